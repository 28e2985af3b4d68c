//! Addresses: what a listener binds and what a link dials.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

/// Longest path of a UNIX socket in bytes: `sun_path` of Linux has 108, one of them the closing zero.
const UNIX_PATH_MAX: usize = 107;

/// Where a listener listens or an upstream is reached.
///
/// Written `host:port`, `[v6]:port`, or as the path of a UNIX socket, which is recognised by its `/`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// A TCP port of a host.
    Tcp {
        /// A name or an IP address; IPv6 without its brackets.
        host: String,
        /// 0 lets the kernel choose, which only a listener can use.
        port: u16,
    },
    /// A UNIX stream socket.
    Unix(PathBuf),
}

/// Why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No colon, or nothing after it.
    #[error("the port is missing: write host:port, as in 127.0.0.1:6379, or the path of a UNIX socket")]
    NoPort,
    /// Nothing before the colon.
    #[error("the host is missing: write 127.0.0.1:PORT for this machine only, 0.0.0.0:PORT for every interface")]
    NoHost,
    /// Something else than a number of 16 bits after the colon.
    #[error("`{0}` is no port: write a number from 0 to 65535")]
    BadPort(String),
    /// Several colons without brackets, or brackets around something else.
    #[error("an IPv6 address stands in brackets: write [::1]:6379")]
    Brackets,
    /// A character that no host name has.
    #[error("`{0}` is no host: a name has letters, digits, `-`, `_` and `.` only")]
    BadHost(String),
    /// A path that the kernel would refuse.
    #[error("the path has {0} bytes and the kernel takes 107: use a shorter folder")]
    LongPath(usize),
}

impl Address {
    /// Whether only this machine can reach a listener here.
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Tcp { host, .. } => is_loopback(host),
            Self::Unix(_) => true,
        }
    }

    /// Whether a connection to `self` would, as far as the text tells, arrive at a listener on `listener`.
    ///
    /// Nothing is resolved: a name that leads here through DNS is found when the link says hello, not before.
    pub fn reaches(&self, listener: &Address) -> bool {
        let (here, there) = (self.canonical(), listener.canonical());
        match (&here, &there) {
            (Self::Tcp { port: 0, .. }, _) => false,
            (Self::Tcp { host: a, port: p }, Self::Tcp { host: b, port: q }) => p == q && hosts_meet(a, b),
            _ => here == there,
        }
    }

    /// The same address in one spelling: names in lower case, `localhost` as 127.0.0.1, paths without `.`.
    pub fn canonical(&self) -> Address {
        match self {
            Self::Tcp { host, port } => Self::Tcp { host: canonical_host(host), port: *port },
            Self::Unix(path) => Self::Unix(path.components().filter(|part| *part != Component::CurDir).collect()),
        }
    }
}

/// Whether dialling `host` arrives at a listener on `listener`; the unspecified address dials this machine.
/// 127.0.0.0/8 is one machine but many addresses: 127.0.0.2 does not arrive at 127.0.0.1.
fn hosts_meet(host: &str, listener: &str) -> bool {
    let arrives_here = is_loopback(host) || is_unspecified(host);
    host == listener || (arrives_here && is_unspecified(listener)) || (is_unspecified(host) && is_loopback(listener))
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn is_unspecified(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified())
}

fn canonical_host(host: &str) -> String {
    if host.eq_ignore_ascii_case("localhost") {
        return "127.0.0.1".to_owned();
    }
    host.parse::<IpAddr>().map_or_else(|_| host.to_ascii_lowercase(), |ip| ip.to_canonical().to_string())
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.contains('/') {
            return parse_unix(text);
        }
        let (host, port) = text.rsplit_once(':').ok_or(AddressError::NoPort)?;
        let host = parse_host(host)?;
        let port = match port {
            "" => return Err(AddressError::NoPort),
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok(),
            _ => None,
        };
        let port = port.ok_or_else(|| AddressError::BadPort(text.rsplit(':').next().unwrap_or_default().to_owned()))?;
        Ok(Self::Tcp { host, port })
    }
}

fn parse_unix(text: &str) -> Result<Address, AddressError> {
    match text.len() {
        len if len > UNIX_PATH_MAX => Err(AddressError::LongPath(len)),
        _ => Ok(Address::Unix(Path::new(text).to_path_buf())),
    }
}

fn parse_host(text: &str) -> Result<String, AddressError> {
    if let Some(rest) = text.strip_prefix('[') {
        let inner = rest.strip_suffix(']').ok_or(AddressError::Brackets)?;
        return inner.parse::<Ipv6Addr>().map(|ip| ip.to_string()).map_err(|_| AddressError::Brackets);
    }
    match text {
        "" => Err(AddressError::NoHost),
        _ if text.contains(':') => Err(AddressError::Brackets),
        _ if text.bytes().all(is_host_byte) => Ok(text.to_owned()),
        _ => Err(AddressError::BadHost(text.to_owned())),
    }
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Address {
        text.parse().unwrap()
    }

    #[test]
    fn every_form_prints_as_it_was_written() {
        for text in ["127.0.0.1:6380", "node-1.rack_2:1", "[::1]:6379", "/run/pdw.sock", "./pdw.sock"] {
            assert_eq!(parse(text).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_says_what_to_write() {
        use AddressError::*;
        let cases = [
            ("", NoPort),
            ("localhost", NoPort),
            ("localhost:", NoPort),
            (":6379", NoHost),
            ("a:65536", BadPort("65536".into())),
            ("a:+1", BadPort("+1".into())),
            ("a:x", BadPort("x".into())),
            ("::1:6379", Brackets),
            ("[::1:6379", Brackets),
            ("[localhost]:6379", Brackets),
            ("a b:6379", BadHost("a b".into())),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<Address>(), Err(error), "{text}");
        }
        let long = format!("/{}", "x".repeat(107));
        assert_eq!(long.parse::<Address>(), Err(LongPath(108)));
    }

    #[test]
    fn an_upstream_that_is_the_listener_is_recognised() {
        let cases = [
            ("127.0.0.1:6380", "127.0.0.1:6380", true),
            ("localhost:6380", "127.0.0.1:6380", true),
            ("127.0.0.1:6380", "0.0.0.0:6380", true),
            ("[::1]:6380", "[::]:6380", true),
            ("0.0.0.0:6380", "127.0.0.1:6380", true),
            ("127.0.0.1:6381", "127.0.0.1:6380", false),
            ("127.0.0.2:6380", "127.0.0.1:6380", false),
            ("node1:6380", "0.0.0.0:6380", false),
            ("NODE1:6380", "node1:6380", true),
            ("/run/./a.sock", "/run/a.sock", true),
            ("/run/a.sock", "/run/b.sock", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
        ];
        for (upstream, listener, expected) in cases {
            assert_eq!(parse(upstream).reaches(&parse(listener)), expected, "{upstream} -> {listener}");
        }
    }
}
