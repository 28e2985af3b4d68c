//! Error replies that the proxy itself utters, and what they say.

use std::borrow::Cow;

use crate::permit::Denied;

/// Why the proxy answers with an error of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Redis would have said the same; the text is Redis's.
    AsRedis(Cow<'static, str>),
    /// The keys of one request live on different shards.
    CrossShard(Vec<u8>, Vec<u8>),
    /// A command that cannot be used on a spread set.
    SpreadSet(String, Vec<u8>),
    /// A command that the proxy does not pass on; the text says what to do instead.
    Unsupported(String),
    /// A key above the limit.
    KeyTooLong(usize),
    /// A request above the limit.
    RequestTooLong(usize),
    /// A request that has to be split is above the limit.
    SplitTooLong(usize),
    /// A request that has to be whole before it is known where it goes is above the limit.
    WholeTooLong(usize),
    /// A value in a reply that has to be gathered from several shards is above the limit.
    GatherTooLong(usize),
    /// The upstream does not let the proxy run MULTI.
    TransactionsForbidden,
    /// The request was not sent: the upstream was not there in time.
    NotSent,
    /// The request was sent and no answer came: it may have been carried out, or not.
    OutcomeUnknown,
    /// The upstreams' answers do not fit together.
    Disagreement,
    /// This proxy is its own upstream.
    Loop,
    /// The user may not do this; the text is Redis's.
    Denied(String),
    /// The client has to authenticate first.
    NotAuthenticated,
    /// There is no such user, or the password is another.
    WrongPassword,
    /// Too many wrong passwords came from the same address; seconds until the next is looked at.
    TooManyAttempts(u64),
    /// A transaction that finds no more room in the spool.
    SpoolFull(usize),
    /// The file that a request was kept in cannot be written.
    SpoolFailed,
    /// Too many sessions.
    TooManySessions,
    /// Too many streams on one framed link.
    TooManyStreams(usize),
}

/// Refusals as metrics count them.
pub const REFUSAL_KINDS: [&str; 22] = [
    "as_redis",
    "cross_shard",
    "spread_set",
    "unsupported",
    "key_too_long",
    "request_too_long",
    "split_too_long",
    "gather_too_long",
    "transactions_forbidden",
    "not_sent",
    "outcome_unknown",
    "disagreement",
    "loop",
    "whole_too_long",
    "denied",
    "not_authenticated",
    "wrong_password",
    "too_many_attempts",
    "spool_full",
    "spool_failed",
    "too_many_sessions",
    "too_many_streams",
];

impl Refusal {
    /// What Redis 7.0 tells a user who may not do this.
    pub(crate) fn denied(why: Denied, command: &str) -> Self {
        let text = match why {
            Denied::Command => format!("NOPERM this user has no permissions to run the '{command}' command"),
            Denied::Key(_) => "NOPERM this user has no permissions to access one of the keys used as arguments".into(),
            Denied::Channel(_) => {
                "NOPERM this user has no permissions to access one of the channels used as arguments".into()
            }
        };
        Self::Denied(text)
    }

    /// Index in [`REFUSAL_KINDS`].
    pub fn kind(&self) -> usize {
        match self {
            Self::AsRedis(_) => 0,
            Self::CrossShard(..) => 1,
            Self::SpreadSet(..) => 2,
            Self::Unsupported(_) => 3,
            Self::KeyTooLong(_) => 4,
            Self::RequestTooLong(_) => 5,
            Self::SplitTooLong(_) => 6,
            Self::GatherTooLong(_) => 7,
            Self::TransactionsForbidden => 8,
            Self::NotSent => 9,
            Self::OutcomeUnknown => 10,
            Self::Disagreement => 11,
            Self::Loop => 12,
            Self::WholeTooLong(_) => 13,
            Self::Denied(_) => 14,
            Self::NotAuthenticated => 15,
            Self::WrongPassword => 16,
            Self::TooManyAttempts(_) => 17,
            Self::SpoolFull(_) => 18,
            Self::SpoolFailed => 19,
            Self::TooManySessions => 20,
            Self::TooManyStreams(_) => 21,
        }
    }

    /// The error reply's text, without `-` and line end.
    pub fn text(&self) -> Vec<u8> {
        match self {
            Self::AsRedis(text) => text.as_bytes().to_vec(),
            Self::CrossShard(first, second) => cross_shard(first, second),
            Self::SpreadSet(command, key) => [
                format!("ERR '{command}' cannot be used on the spread set '").as_bytes(),
                shown(key),
                b"': its members live on several shards; use SADD, SREM, SISMEMBER, SMISMEMBER, SMEMBERS, SCARD, SSCAN, DEL, UNLINK, EXISTS, TYPE or EXPIRE",
            ]
            .concat(),
            Self::Unsupported(text) => text.clone().into_bytes(),
            Self::KeyTooLong(max) => format!("ERR key is longer than limits.key_max ({max} bytes)").into_bytes(),
            Self::RequestTooLong(max) => format!("ERR request is longer than limits.request_max ({max} bytes)").into_bytes(),
            Self::SplitTooLong(max) => format!(
                "ERR request has keys on several shards and is longer than limits.request_buffer_max ({max} bytes); send it in smaller parts"
            )
            .into_bytes(),
            Self::WholeTooLong(max) => format!(
                "ERR request is longer than limits.request_buffer_max ({max} bytes) and has to be whole before it is known where it goes; name its keys before large values, and all with one home"
            )
            .into_bytes(),
            Self::GatherTooLong(max) => format!(
                "ERR a value is longer than limits.request_buffer_max ({max} bytes) and would have to be held until all shards have answered; ask for its key alone"
            )
            .into_bytes(),
            Self::TransactionsForbidden => {
                b"NOPERM the upstream does not let pdw-proxy run MULTI, so transactions are refused".to_vec()
            }
            Self::NotSent => b"ERR upstream is not available; the request was not sent".to_vec(),
            Self::OutcomeUnknown => {
                b"ERR upstream was lost before it answered; the request may or may not have been carried out".to_vec()
            }
            Self::Disagreement => b"ERR the shards gave answers that do not fit together; ask each instance directly".to_vec(),
            Self::Loop => b"ERR LOOP this proxy is its own upstream; correct its list of upstreams".to_vec(),
            Self::Denied(text) => text.clone().into_bytes(),
            Self::NotAuthenticated => b"NOAUTH Authentication required.".to_vec(),
            Self::WrongPassword => b"WRONGPASS invalid username-password pair or user is disabled.".to_vec(),
            Self::TooManyAttempts(seconds) => format!(
                "ERR too many wrong passwords from this address; none is looked at for {seconds} s"
            )
            .into_bytes(),
            Self::SpoolFull(max) => format!(
                "ERR transaction is longer than what is left of the spool (limits.spool_max, {max} bytes for all sessions of a worker); the transaction was not sent: send it in smaller parts"
            )
            .into_bytes(),
            Self::SpoolFailed => {
                b"ERR the spool of pdw-proxy cannot be written, see its log; the request was not sent".to_vec()
            }
            Self::TooManyStreams(max) => format!(
                "TRYAGAIN limits.streams_max ({max}) of the next proxy is reached on this link; the request was not sent: try again, or raise that limit there"
            )
            .into_bytes(),
            Self::TooManySessions => b"ERR max number of clients reached".to_vec(),
        }
    }
}

fn cross_shard(first: &[u8], second: &[u8]) -> Vec<u8> {
    [
        b"CROSSSLOT Keys in request don't hash to the same shard: '",
        shown(first),
        b"' and '",
        shown(second),
        b"'; give them one hash tag, or send one request per shard",
    ]
    .concat()
}

/// As much of a key as fits in an error's line.
fn shown(key: &[u8]) -> &[u8] {
    &key[..key.len().min(64)]
}
