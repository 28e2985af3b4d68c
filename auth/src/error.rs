//! Why a connection was not sealed, or its seal broke.

use thiserror::Error;

/// Why a connection was not sealed, or its seal broke. The text tells the operator what to look at, and never
/// anything secret.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SealError {
    /// The far end has another key.
    #[error(
        "the far end has another key, or speaks another protocol; compare the key files of both ends, and their seals"
    )]
    Key,
    /// The far end speaks something else: RESP, TLS.
    #[error("the far end speaks {0}; give it the same seal as this end has, or send it to an address without one")]
    Foreign(&'static str),
    /// The far end closed during the handshake.
    #[error("the far end closed during the handshake: {0}")]
    Closed(&'static str),
    /// The handshake took too long.
    #[error("the handshake took too long (clients have 5 seconds, upstreams times.connect_timeout): {0}")]
    Late(&'static str),
    /// The handshake stood still while others waited for their turn.
    #[error(
        "the handshake stood still while others waited for their turn, as many being under way as limits.handshakes_max: {0}"
    )]
    GaveWay(&'static str),
    /// What arrived was not sent so.
    #[error(
        "what arrived was altered, repeated, left out or put in another order on the way; if it happens again, somebody tampers with the connection, or a device on the way is broken"
    )]
    Forged,
    /// The stream ended without the far end's word that it ends.
    #[error("the connection ended before the far end said so; the far end died, or somebody cut the connection")]
    Cut,
    /// The far end does what this protocol does not allow.
    #[error("the far end breaks the protocol ({0}); compare the versions and settings of both ends")]
    Protocol(&'static str),
    /// The far end does what is allowed, but not here.
    #[error("refused: {0}")]
    Refused(&'static str),
    /// The far end's certificate is not what it should be, or it has none.
    #[error("{0}")]
    Certificate(String),
    /// The two ends' TLS does not come together.
    #[error("TLS: {0}")]
    Tls(String),
    /// This end's cryptography failed.
    #[error("sealing failed ({0}); report this as a fault of pdw-proxy")]
    Broken(&'static str),
}

impl SealError {
    /// The kind, as a word for metrics and for counting what was logged.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Foreign(_) => "foreign",
            Self::Closed(_) => "closed",
            Self::Late(_) | Self::GaveWay(_) => "late",
            Self::Forged => "forged",
            Self::Cut => "cut",
            Self::Protocol(_) => "protocol",
            Self::Refused(_) => "refused",
            Self::Certificate(_) => "certificate",
            Self::Tls(_) => "tls",
            Self::Broken(_) => "broken",
        }
    }
}
