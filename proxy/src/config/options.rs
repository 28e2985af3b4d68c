//! The option table: each option is one row, from which defaults, checks, `--help` and the reference page come.

use super::draft::Profile;
use super::kind::{Kind, Reload};
use super::mistakes::Problem;
use super::placement::{HASHES, PLACEMENTS, check_hash_tag};
use super::secrets::{PASSWORD_ENV, PASSWORD_FILE, USER};

/// One option.
#[derive(Debug)]
pub(crate) struct OptionSpec {
    /// Dotted name, as in the file: `limits.key_max`.
    pub(crate) name: &'static str,
    /// Type, default, range, unit, and the field that holds the value.
    pub(crate) kind: Kind,
    /// Whether a running proxy takes a new value.
    pub(crate) reload: Reload,
    /// What it does, in a sentence or two.
    pub(crate) sentence: &'static str,
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// Every option, in the order of the reference page.
pub(crate) static OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        name: "profile",
        kind: Kind::Choice { choices: Profile::NAMES, default: "pdwfs", field: |draft| &mut draft.profile },
        reload: Reload::Restart,
        sentence: "A set of defaults. `pdwfs` places keys as pdwfs's own client does, knows its stripes, and holds \
                   requests while an instance is away; `redis` places by `ring`, has no rules and fails fast.",
    },
    OptionSpec {
        name: "listen",
        kind: Kind::Listeners,
        reload: Reload::Restart,
        sentence: "Where clients connect: an address or a list of them, or tables with `address` and `seal`. Port 0 takes a \
                   free port.",
    },
    OptionSpec {
        name: "upstreams",
        kind: Kind::Upstreams,
        reload: Reload::Restart,
        sentence: "The instances, in the order that numbers the shards: addresses, or tables with `address`, `name` \
                   (what `ketama` hashes; the address unless given), `weight` (1 unless given) and `seal`. Without \
                   any, the proxy starts instances of its own. A running proxy takes other addresses of the same names in the \
                   same places.",
    },
    OptionSpec {
        name: "group.kind",
        kind: Kind::Choice { choices: GROUPS, default: "shards", field: |draft| &mut draft.group_kind },
        reload: Reload::Restart,
        sentence: "What the upstreams are. `shards`: each owns a part of the keys. `peers`: each is a pdw-proxy that \
                   reaches all of them; where keys live is then learned from them, `placement`, `rule` and the like \
                   have no effect, and links to them are framed.",
    },
    OptionSpec {
        name: "group.links",
        kind: Kind::Count { default: 1, range: (1, 64), field: |draft| &mut draft.group_links },
        reload: Reload::Restart,
        sentence: "Framed links of one worker to each of the `peers`. All its sessions share them; one is enough until a single connection is too slow for its traffic.",
    },
    OptionSpec {
        name: "group.user",
        kind: Kind::Credential(USER),
        reload: Reload::Live,
        sentence: "As whom links authenticate at all upstreams that have no password of their own; `default` unless given. See [upstreams](#upstreams).",
    },
    OptionSpec {
        name: "group.password_file",
        kind: Kind::Credential(PASSWORD_FILE),
        reload: Reload::Live,
        sentence: "A file whose first line is the password for that, which not everybody may read.",
    },
    OptionSpec {
        name: "group.password_env",
        kind: Kind::Credential(PASSWORD_ENV),
        reload: Reload::Live,
        sentence: "Or the variable of the proxy's environment that holds it.",
    },
    OptionSpec {
        name: "name",
        kind: Kind::Text { default: "", check: check_name, field: |draft| &mut draft.name },
        reload: Reload::Restart,
        sentence: "What proxies above and below call this one in their logs and metrics; the machine's name and the first listener unless given.",
    },
    OptionSpec {
        name: "instances",
        kind: Kind::Count { default: 3, range: (1, 64), field: |draft| &mut draft.instances },
        reload: Reload::Restart,
        sentence: "How many instances the proxy starts itself when it has no upstreams. They keep nothing on disk \
                   and end with the proxy.",
    },
    OptionSpec {
        name: "workers",
        kind: Kind::Count { default: 1, range: (1, 256), field: |draft| &mut draft.workers },
        reload: Reload::Restart,
        sentence: "Threads that serve sessions; each has its own links to every upstream.",
    },
    OptionSpec {
        name: "admin",
        kind: Kind::Address { field: |draft| &mut draft.admin },
        reload: Reload::Restart,
        sentence: "Where `/metrics`, `/healthz` and `/readyz` are served over HTTP.",
    },
    OptionSpec {
        name: "log",
        kind: Kind::Text { default: "warn", check: check_log_filter, field: |draft| &mut draft.log },
        reload: Reload::Live,
        sentence: "Which log lines go to standard error: a level (`error`, `warn`, `info`, `debug`, `trace`) or a \
                   list of `target=level`.",
    },
    OptionSpec {
        name: "placement",
        kind: Kind::ByProfile { choices: PLACEMENTS, default: Profile::placement, field: |draft| &mut draft.placement },
        reload: Reload::Restart,
        sentence: "How a key finds its shard: `pdwfs` as pdwfs's client does, `ring` by consistent hashing, `ketama` \
                   as twemproxy does, `slots` as a Redis Cluster of equal ranges would.",
    },
    OptionSpec {
        name: "hash",
        kind: Kind::Choice { choices: HASHES, default: "fnv1a_64", field: |draft| &mut draft.hash },
        reload: Reload::Restart,
        sentence: "Hash of placement `ketama`, by twemproxy's name for it.",
    },
    OptionSpec {
        name: "hash_tag",
        kind: Kind::Text { default: "{}", check: check_hash_tag, field: |draft| &mut draft.hash_tag },
        reload: Reload::Restart,
        sentence: "The two characters that enclose the hashed part of a key; empty to hash whole keys, which under \
                   placement `ketama` is the default, as in twemproxy. `pdwfs` and `slots` take no other than `{}`.",
    },
    OptionSpec {
        name: "spread_children",
        kind: Kind::Flag { default: false, field: |draft| &mut draft.spread_children },
        reload: Reload::Restart,
        sentence: "Spreads the members of pdwfs's `{dir}:children` sets over all shards, so that a hot directory is \
                   no longer one key on one instance. Clients that reach the instances without this proxy do not \
                   find them then.",
    },
    OptionSpec {
        name: "rule",
        kind: Kind::Rules,
        reload: Reload::Restart,
        sentence: "Families of keys with a layout of their own, one `[[rule]]` each; the first rule whose pattern \
                   matches a key holds, the profile's own rules come last.",
    },
    OptionSpec {
        name: "user",
        kind: Kind::Users,
        reload: Reload::Live,
        sentence: "Who may speak, one `[[user]]` each, in the rules of Redis's access control lists. Without any user \
                   everybody may do everything.",
    },
    OptionSpec {
        name: "users",
        kind: Kind::UsersFile,
        reload: Reload::Live,
        sentence: "The same from a file in Redis's own format (aclfile): `user NAME RULES...`, a line for each user.",
    },
    OptionSpec {
        name: "state_dir",
        kind: Kind::Text { default: "", check: |_| Ok(()), field: |draft| &mut draft.state_dir },
        reload: Reload::Restart,
        sentence: "A folder in which the proxy remembers the upstreams' order, names and weights, the placement and \
                   the rules. A start with others is refused, since keys would not be found, unless it is given \
                   `--accept-upstreams`.",
    },
    OptionSpec {
        name: "spool",
        kind: Kind::Text { default: "", check: |_| Ok(()), field: |draft| &mut draft.spool },
        reload: Reload::Restart,
        sentence: "Under profile `pdwfs`: a folder in which large requests, from `limits.retain_max` on, are kept until \
                   they are answered, so that they can be sent again as small ones are. A request is sent when all of \
                   it is there. The files have no names and end with the process. The folder should be on a fast disk \
                   of this machine: while the disk makes the kernel wait, a worker waits. A folder in memory (tmpfs) is never \
                   waited for, but costs twice the CPU time, and memory beyond `limits.memory_max`. What travels on framed links \
                   between proxies is kept in no file.",
    },
    OptionSpec {
        name: "limits.key_max",
        kind: Kind::Bytes { default: 64 * KIB, range: (1, 512 * MIB), field: |draft| &mut draft.limits.key_max },
        reload: Reload::Live,
        sentence: "Longest key; a request with a longer one is refused.",
    },
    OptionSpec {
        name: "limits.request_buffer_max",
        kind: Kind::Bytes {
            default: MIB,
            range: (KIB, 512 * MIB),
            field: |draft| &mut draft.limits.request_buffer_max,
        },
        reload: Reload::Live,
        sentence: "Most bytes of a request that has to be whole: because it is split over shards, as an `MSET` with several homes, or because its keys come behind a large value. A larger one is refused as soon as that shows, and its rest skipped. So much is held, too, of a part of a gathered reply; a longer part of an `MGET` waits in its link until its elements are due, a larger value in other gathered replies is refused.",
    },
    OptionSpec {
        name: "limits.request_max",
        kind: Kind::Bytes { default: GIB, range: (KIB, 2 * GIB), field: |draft| &mut draft.limits.request_max },
        reload: Reload::Live,
        sentence: "Largest request up to the end of its first large value; a larger one is refused and its rest skipped. Above `limits.request_buffer_max` nothing is held of a request: it passes through, or is refused.",
    },
    OptionSpec {
        name: "limits.args_max",
        kind: Kind::Count { default: 1_048_576, range: (16, 16_777_216), field: |draft| &mut draft.limits.args_max },
        reload: Reload::Live,
        sentence: "Most arguments of one request; more of them is a protocol error, as in Redis.",
    },
    OptionSpec {
        name: "limits.multi_max",
        kind: Kind::Bytes { default: MIB, range: (KIB, 512 * MIB), field: |draft| &mut draft.limits.multi_max },
        reload: Reload::Live,
        sentence: "Most bytes of a transaction that are held; a larger one, or one with a large value, takes a link of its own and begins at its instance before its `EXEC`.",
    },
    OptionSpec {
        name: "limits.large_min",
        kind: Kind::Bytes { default: 128 * KIB, range: (4 * KIB, GIB), field: |draft| &mut draft.limits.large_min },
        reload: Reload::Live,
        sentence: "A value of at least this size is large: it is never held, but passes through a link of its own while its tail is still on its way.",
    },
    OptionSpec {
        name: "limits.retain_max",
        kind: Kind::Bytes { default: MIB, range: (KIB, GIB), field: |draft| &mut draft.limits.retain_max },
        reload: Reload::Live,
        sentence: "Under profile `pdwfs`: values below this size are kept until they are answered, so that they can be \
                   sent again when a link is lost; a larger one passes through, and if its link is lost on the way its \
                   session is closed.",
    },
    OptionSpec {
        name: "limits.retain_total",
        kind: Kind::Bytes {
            default: 256 * MIB,
            range: (MIB, 1024 * GIB),
            field: |draft| &mut draft.limits.retain_total,
        },
        reload: Reload::Live,
        sentence: "Bytes of requests that one worker holds because they are not sent or not answered; past that its \
                   sessions are not read until it is less.",
    },
    OptionSpec {
        name: "limits.spool_max",
        kind: Kind::Bytes { default: 4 * GIB, range: (MIB, 1024 * GIB), field: |draft| &mut draft.limits.spool_max },
        reload: Reload::Live,
        sentence: "Bytes of all files in `spool` together; each worker has its part. While it is reached, or while what \
                   is kept for one upstream is as much as is left, clients wait in TCP. A request that needs more than half of a worker's \
                   part passes as if there were no spool.",
    },
    OptionSpec {
        name: "limits.bulk_lanes",
        kind: Kind::Count { default: 2, range: (1, 64), field: |draft| &mut draft.limits.bulk_lanes },
        reload: Reload::Live,
        sentence: "Links of one worker to one upstream for large values; who needs one while all are taken waits, first come first served.",
    },
    OptionSpec {
        name: "limits.spare_lanes",
        kind: Kind::Count { default: 30, range: (0, 1000), field: |draft| &mut draft.limits.spare_lanes },
        reload: Reload::Live,
        sentence: "Links beyond `limits.bulk_lanes`, one for each of these whose client has sent nothing for 100 ms while others wait: \
                   clients that are stopped in the middle of large values do not hold up the others for `times.stall_max` each.",
    },
    OptionSpec {
        name: "limits.session_pending_max",
        kind: Kind::Count { default: 192, range: (1, 1_048_576), field: |draft| &mut draft.limits.session_pending_max },
        reload: Reload::Live,
        sentence: "Unanswered requests of one session past which the session is not read until replies have gone out.",
    },
    OptionSpec {
        name: "limits.session_output_max",
        kind: Kind::Bytes { default: MIB, range: (4 * KIB, GIB), field: |draft| &mut draft.limits.session_output_max },
        reload: Reload::Live,
        sentence: "Bytes of replies that one session has not taken past which the session is not read.",
    },
    OptionSpec {
        name: "limits.link_output_max",
        kind: Kind::Bytes {
            default: 8 * MIB,
            range: (64 * KIB, GIB),
            field: |draft| &mut draft.limits.link_output_max,
        },
        reload: Reload::Live,
        sentence: "Bytes of requests that one link has not taken past which the sessions that need that link are not read.",
    },
    OptionSpec {
        name: "limits.stream_window",
        kind: Kind::Bytes { default: 256 * KIB, range: (4 * KIB, GIB), field: |draft| &mut draft.limits.stream_window },
        reload: Reload::Live,
        sentence: "Bytes of one session that may be on their way between two proxies before the far end has taken them, each way. Who takes nothing holds up itself, with so much, and nobody else. Links that are made from then on keep to another value.",
    },
    OptionSpec {
        name: "limits.peer_window",
        kind: Kind::Bytes {
            default: 32 * MIB,
            range: (64 * KIB, 64 * GIB),
            field: |draft| &mut draft.limits.peer_window,
        },
        reload: Reload::Live,
        sentence: "The same of all sessions of one framed link together. A sixteenth of limits.stream_window of each does not count. Once half of it is used up, no session with much to send may have more than that sixteenth waiting, and a quarter is left to those that have little to send, and to large values that have their lane.",
    },
    OptionSpec {
        name: "limits.resume_max",
        kind: Kind::Bytes { default: 4 * MIB, range: (0, GIB), field: |draft| &mut draft.limits.resume_max },
        reload: Reload::Live,
        sentence: "Bytes that a framed link may hold so that it can be resumed when its connection is lost: what was sent and is not known to have come, at each end, and what comes for it while it has none. Beyond that, or with 0, what is on it shares its fate. Links that are made from then on keep to another value.",
    },
    OptionSpec {
        name: "limits.memory_max",
        kind: Kind::Bytes { default: GIB, range: (48 * MIB, 1024 * GIB), field: |draft| &mut draft.limits.memory_max },
        reload: Reload::Live,
        sentence: "Resident memory under which the whole process keeps itself. Above three quarters of what it leaves for buffers no new sessions are taken and each session is read less far ahead; at the top the newest unfinished request loses its buffer and its session is closed.",
    },
    OptionSpec {
        name: "limits.streams_max",
        kind: Kind::Count { default: 25_000, range: (1, 10_000_000), field: |draft| &mut draft.limits.streams_max },
        reload: Reload::Live,
        sentence: "Sessions that one framed link may carry at once, so that one proxy, or who poses as one, leaves some of limits.sessions_max to all others. A session is carried while it has asked for something within the last two seconds. One more is refused: its client is told TRYAGAIN and the name of this limit, under profile pdwfs of the proxy before this one when the patience is over. Nothing of its request was carried out, and the link and all others on it go on.",
    },
    OptionSpec {
        name: "limits.sessions_max",
        kind: Kind::Count { default: 100_000, range: (1, 10_000_000), field: |draft| &mut draft.limits.sessions_max },
        reload: Reload::Live,
        sentence: "Sessions of one worker past which new ones are refused.",
    },
    OptionSpec {
        name: "limits.handshakes_max",
        kind: Kind::Count { default: 1024, range: (1, 1_000_000), field: |draft| &mut draft.handshakes_max },
        reload: Reload::Restart,
        sentence: "Handshakes of clients on sealed listeners that may be under way at one worker. Whoever comes then \
                   waits, unread, until one of them is done or closed: after 5 s, and while others wait for their turn \
                   after half a second in which it keeps the proxy waiting. A client that has said nothing yet \
                   does not count.",
    },
    OptionSpec {
        name: "times.patience",
        kind: Kind::Time { default: 60 * SECOND, range: (100, 24 * HOUR), field: |draft| &mut draft.limits.patience },
        reload: Reload::Live,
        sentence: "How long a request may wait to be sent and answered before its client hears of the trouble. \
                   After that it is never sent, nor sent again.",
    },
    OptionSpec {
        name: "times.connect_timeout",
        kind: Kind::Time {
            default: 5 * SECOND,
            range: (10, 10 * MINUTE),
            field: |draft| &mut draft.limits.connect_timeout,
        },
        reload: Reload::Live,
        sentence: "How long a link may take to be connected and proven.",
    },
    OptionSpec {
        name: "times.reconnect_min",
        kind: Kind::Time { default: 50, range: (1, MINUTE), field: |draft| &mut draft.limits.reconnect_min },
        reload: Reload::Live,
        sentence: "First pause before a lost link is dialled again; it doubles up to `times.reconnect_max`, with jitter.",
    },
    OptionSpec {
        name: "times.reconnect_max",
        kind: Kind::Time { default: 600, range: (1, 10 * MINUTE), field: |draft| &mut draft.limits.reconnect_max },
        reload: Reload::Live,
        sentence: "Longest pause before a lost link is dialled again, and how long a dial waits to be answered.",
    },
    OptionSpec {
        name: "times.ping_interval",
        kind: Kind::Time { default: 30 * SECOND, range: (100, HOUR), field: |draft| &mut draft.limits.ping_interval },
        reload: Reload::Live,
        sentence: "How long a link may be idle before it is tried with a `PING`.",
    },
    OptionSpec {
        name: "times.stall_max",
        kind: Kind::Time {
            default: 10 * SECOND,
            range: (SECOND / 10, HOUR),
            field: |draft| &mut draft.limits.stall_max,
        },
        reload: Reload::Live,
        sentence: "How long a session may deliver or take nothing of a large value while others wait for its link; then it is closed. An instance that takes or sends nothing is no session's fault: see `times.link_dead`.",
    },
    OptionSpec {
        name: "times.probe_after",
        kind: Kind::Time { default: SECOND, range: (50, HOUR), field: |draft| &mut draft.limits.probe_after },
        reload: Reload::Live,
        sentence: "How long a link with unanswered requests may be silent before a fresh connection is tried beside it; \
                   if that is answered and the link still says nothing, it takes the link's place.",
    },
    OptionSpec {
        name: "times.link_dead",
        kind: Kind::Time { default: 120 * SECOND, range: (SECOND, HOUR), field: |draft| &mut draft.limits.link_dead },
        reload: Reload::Live,
        sentence: "How long a link with unanswered requests may be silent before it is given up.",
    },
    OptionSpec {
        name: "times.tcp_keepalive",
        kind: Kind::Time {
            default: 60 * SECOND,
            range: (SECOND, 2 * HOUR),
            field: |draft| &mut draft.times.tcp_keepalive,
        },
        reload: Reload::Live,
        sentence: "How long a TCP connection may be idle before the kernel asks whether its peer is still there.",
    },
    OptionSpec {
        name: "times.tcp_user_timeout",
        kind: Kind::Time {
            default: 15 * MINUTE,
            range: (SECOND, HOUR),
            field: |draft| &mut draft.times.tcp_user_timeout,
        },
        reload: Reload::Live,
        sentence: "How long sent bytes may stay unacknowledged, or a peer may have no room for more, before the kernel gives a TCP connection up: whoever stands still for longer in the middle of a reply loses its connection.",
    },
    OptionSpec {
        name: "times.drain",
        kind: Kind::Time { default: 30 * SECOND, range: (0, HOUR), field: |draft| &mut draft.times.drain },
        reload: Reload::Live,
        sentence: "How long sessions may last after SIGTERM before what is left is closed. Under profile `pdwfs` an idle session lasts until its client leaves, under `redis` until it was silent for a second.",
    },
];

/// What a group of upstreams can be.
pub(crate) const GROUPS: &[&str] = &["shards", "peers"];

/// Accepts a name that can stand in a line of the log.
fn check_name(text: &str) -> Result<(), Problem> {
    let fits = text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_graphic());
    if fits { Ok(()) } else { Err(Problem::Name(text.to_owned())) }
}

/// Whether the log lines' filter can be parsed.
fn check_log_filter(text: &str) -> Result<(), Problem> {
    crate::log::check(text).map_err(|reason| Problem::LogFilter { text: text.to_owned(), reason })
}

/// The option of that name.
pub(crate) fn find(name: &str) -> Option<&'static OptionSpec> {
    OPTIONS.iter().find(|option| option.name == name)
}

/// Whether some options have names of the form `name.*`.
pub(crate) fn is_group(name: &str) -> bool {
    groups().any(|group| group == name)
}

/// The tables that hold options, once for each option.
pub(crate) fn groups() -> impl Iterator<Item = &'static str> {
    names().filter_map(|option| option.split_once('.')).map(|(group, _)| group)
}

/// All names.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    OPTIONS.iter().map(|option| option.name)
}
