//! `INFO` and `CONFIG GET`: enough for clients and tools to start, about the proxy itself.

use super::hello::VERSION;
use crate::limits::Limits;
use crate::resp::{Request, write};
use crate::router::Traffic;

/// `INFO [section ...]`
pub(super) fn info(traffic: &Traffic, request: &Request<'_>) -> Vec<u8> {
    let wanted = |section: &str| {
        let named = |arg: &[u8]| {
            [section, "all", "everything", "default"].iter().any(|name| arg.eq_ignore_ascii_case(name.as_bytes()))
        };
        request.len() == 1 || request.args(1).any(named)
    };
    let stats = &traffic.stats;
    let requests: u64 = stats.requests.iter().sum();
    let sections = [
        (
            "server",
            format!(
                "redis_version:{VERSION}\r\nredis_mode:standalone\r\npdw_proxy_version:{}\r\n",
                env!("CARGO_PKG_VERSION")
            ),
        ),
        ("clients", format!("connected_clients:{}\r\n", traffic.sessions.len())),
        ("persistence", "loading:0\r\n".to_owned()),
        (
            "stats",
            format!("total_connections_received:{}\r\ntotal_commands_processed:{requests}\r\n", stats.sessions_opened),
        ),
        ("replication", "role:master\r\nconnected_slaves:0\r\n".to_owned()),
        ("cluster", "cluster_enabled:0\r\n".to_owned()),
    ];
    let shown = sections.iter().filter(|(name, _)| wanted(name));
    let text: Vec<String> = shown.map(|(name, lines)| format!("# {}\r\n{lines}", title(name))).collect();
    let mut out = Vec::new();
    write::bulk(&mut out, text.join("\r\n").as_bytes());
    out
}

fn title(section: &str) -> String {
    let (first, rest) = section.split_at(1);
    first.to_uppercase() + rest
}

/// `CONFIG GET pattern ...`: what tools ask for at their start.
pub(super) fn config_get(limits: &Limits, request: &Request<'_>) -> Vec<u8> {
    let sessions_max = limits.sessions_max.to_string();
    let known = [
        ("appendonly", "no"),
        ("cluster-enabled", "no"),
        ("databases", "1"),
        ("maxclients", &sessions_max),
        ("maxmemory", "0"),
        ("maxmemory-policy", "noeviction"),
        ("notify-keyspace-events", ""),
        ("proto-max-bulk-len", "536870912"),
        ("save", ""),
        ("timeout", "0"),
    ];
    let asked = |name: &str| request.args(2).any(|pattern| matches(&pattern.to_ascii_lowercase(), name.as_bytes()));
    let found: Vec<_> = known.iter().filter(|(name, _)| asked(name)).collect();
    let mut out = Vec::new();
    write::array(&mut out, 2 * found.len());
    for (name, value) in found {
        write::bulk(&mut out, name.as_bytes());
        write::bulk(&mut out, value.as_bytes());
    }
    out
}

/// Glob patterns as far as parameter names need them: `*` and `?`. Only the last `*` that was met is ever tried again,
/// since an earlier one could not match more: any client may ask, with any pattern.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut byte, mut last) = (0, 0, None);
    while byte < name.len() {
        match (pattern.get(at), last) {
            (Some(b'*'), _) => {
                at += 1;
                last = Some((at, byte));
            }
            (Some(wanted), _) if *wanted == b'?' || *wanted == name[byte] => (at, byte) = (at + 1, byte + 1),
            (_, Some((behind, from))) => {
                (at, byte) = (behind, from + 1);
                last = Some((behind, from + 1));
            }
            _ => return false,
        }
    }
    pattern[at..].iter().all(|rest| *rest == b'*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn globs() {
        assert!(matches(b"*", b"save"));
        assert!(matches(b"max*y", b"maxmemory"));
        assert!(matches(b"s?ve", b"save"));
        assert!(!matches(b"max", b"maxmemory"));
        assert!(matches(b"*mem*-*y", b"maxmemory-policy") && matches(b"**", b"") && !matches(b"?", b""));
        assert!(matches(b"*a*e", b"save") && !matches(b"*e?", b"save") && !matches(b"sav", b"save"));
    }

    #[test]
    fn no_pattern_takes_long_or_much_stack() {
        let stars = vec![b'*'; 1 << 20];
        assert!(matches(&stars, b"maxmemory-policy"));
        assert!(!matches(&[&stars[..], b"!"].concat(), b"notify-keyspace-events"));
        assert!(!matches(&b"*a".repeat(1 << 16), &[b'a'; 64]));
    }
}
