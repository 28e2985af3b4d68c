//! What the driver tells the core, and what the core orders the driver to do.

use std::fmt;

slotmap::new_key_type! {
    /// Names a session for as long as it lives; never used again afterwards.
    pub struct SessionKey;
    /// Names a link for as long as it lives; never used again afterwards.
    pub struct LinkKey;
    /// Names a file that holds a large request until it is answered; never used again afterwards.
    pub struct SpoolKey;
}

/// The fence that a router asks the others of its process for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FenceCall {
    /// The worker whose router asks.
    pub worker: usize,
    /// Its own number for it.
    pub number: u64,
}

/// What happened outside.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// A client sent these bytes.
    SessionBytes(SessionKey, &'a [u8]),
    /// So many bytes of [`session_output`](crate::Router::session_output) were written.
    SessionWritten(SessionKey, usize),
    /// The client will send nothing more; it may still read.
    SessionEnded(SessionKey),
    /// The client's connection is gone.
    SessionLost(SessionKey),
    /// The proxy is to end and the client has been silent: close the session if it is
    /// [idle](crate::Router::is_idle).
    SessionRetired(SessionKey),
    /// A connection that [`Output::Connect`] asked for is there.
    LinkConnected(LinkKey),
    /// An upstream sent these bytes.
    LinkBytes(LinkKey, &'a [u8]),
    /// So many bytes of [`link_output`](crate::Router::link_output) were written.
    LinkWritten(LinkKey, usize),
    /// So many bytes of this end have reached the other end of its [`Order::Relay`].
    Relayed(End, u64),
    /// The relay of this end stands still, for this reason until another is reported.
    RelayWaits(End, Wait),
    /// The file that [`Output::GrowSpool`] asked for is there, and has the room.
    SpoolReady(SpoolKey),
    /// So many bytes of [`spool_output`](crate::Router::spool_output) are in the file.
    SpoolWritten(SpoolKey, usize),
    /// The file could not be made, made larger, written or read.
    SpoolFailed(SpoolKey),
    /// So much the driver holds of this end by now; only where it has to keep something, as under a seal.
    Buffered(End, Buffered),
    /// So many bytes the driver holds for clients that are no sessions yet.
    GuestBytes(usize),
    /// The connection is gone, or could not be made.
    LinkLost(LinkKey, LossReason),
    /// The upstream of this index is to be reached at another address: its links are opened anew, without
    /// losing what is on the old ones.
    UpstreamMoved(usize),
    /// The proxy is to end: whoever has framed links to it is asked to take others.
    Leaving,
    /// The router of another worker wants a proxy fenced off, whose links have this name.
    FenceWanted(FenceCall, &'a str),
    /// The router of another worker has put up the fence that [`Output::CallFence`] of this number asked for, or says
    /// that it cannot.
    FenceAnswered(u64, bool),
    /// The time that [`poll_timeout`](crate::Router::poll_timeout) named has come.
    Timeout,
}

/// Bytes that the driver holds of one connection, and that are in memory only for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buffered {
    /// Arrived, and not handed in: a record that is not whole, what was opened and is not wanted yet.
    pub unread: u32,
    /// Written, and not taken by the kernel: what is sealed cannot be taken back.
    pub unsent: u32,
}

impl Buffered {
    /// All of them.
    pub fn bytes(self) -> usize {
        self.unread as usize + self.unsent as usize
    }
}

/// Why a link was lost, as the driver saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossReason {
    /// The connection was refused or could not be made.
    Unreachable,
    /// The upstream closed the connection.
    Closed,
    /// Reading or writing failed.
    Failed,
    /// The connection is there, but it could not be sealed.
    Unsealed,
}

/// One end of a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// A client.
    Session(SessionKey),
    /// An upstream.
    Link(LinkKey),
    /// A file. What is relayed to it is added at its end; what is relayed from it are its first bytes, whatever
    /// was relayed from it before.
    Spool(SpoolKey),
}

/// For which of its ends a relay stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// All that came from there has gone on.
    Source,
    /// The other end takes nothing more for now.
    Sink,
}

/// What the driver has to do with an end's bytes before the core sees any more of them.
///
/// Large payloads never enter the core: it sees a request's or a reply's head and orders what is
/// to become of the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Move the next `bytes` to the other end, through a bounded buffer or through the kernel.
    Relay {
        /// Where they go.
        to: End,
        /// How many.
        bytes: u64,
    },
    /// Read the next `bytes` and forget them. After a relay that lost its other end, `bytes` counts from
    /// what was reported with [`Input::Relayed`].
    Skip {
        /// How many.
        bytes: u64,
    },
    /// Write what the core holds for this end before anything that is relayed to it.
    Inject,
}

/// What the core wants done. Drain with [`poll_output`](crate::Router::poll_output) after every turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Open this link to the upstream of this index.
    Connect(LinkKey, usize),
    /// What happens to the next bytes of this end.
    Order(End, Order),
    /// Have room for so many bytes more in this file, and make it if there is none. No bytes of it may ever be found
    /// by anybody else, nor outlive the process.
    GrowSpool(SpoolKey, u64),
    /// Forget the file, and its relay if it has one.
    CloseSpool(SpoolKey),
    /// The end may be read again.
    Read(End),
    /// Close the session's connection; its output has been written.
    CloseSession(SessionKey),
    /// Give the session's connection to the router of this worker, with
    /// [`take_over`](crate::Router::take_over) and what [`hand_over`](crate::Router::hand_over) gives. The core has
    /// forgotten it.
    HandOver(SessionKey, usize),
    /// Close the link's connection. The core has forgotten it.
    CloseLink(LinkKey),
    /// Give [`Input::FenceWanted`] to the router of every other worker, with this name; their answers are for this
    /// number.
    CallFence(u64, String),
    /// Give [`Input::FenceAnswered`] to the router that has called for the fence.
    AnswerFence(FenceCall, bool),
    /// Something that the operator may want to know.
    Notice(Notice),
}

/// What the operator may want to know of an upstream, by its index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The upstream answers.
    UpstreamReady(usize),
    /// The upstream cannot be used for now; another attempt follows.
    UpstreamDown(usize, String),
    /// The upstream does not let this proxy's user run MULTI: transactions are refused.
    TransactionsForbidden(usize),
    /// The upstream will not close a lost link on demand: what it may still have of it cannot be repeated.
    Unfenced(usize),
    /// A wrong password came from this address; the first for a while. The user's name, if there is such a user.
    WrongPassword {
        /// The address.
        origin: String,
        /// The user.
        user: Option<String>,
    },
    /// The upstream is this very proxy.
    UpstreamIsSelf(usize),
    /// The upstream leads back to this proxy, by way of these.
    Circle(usize, String),
    /// The upstream is the proxy of this name.
    PeerMet(usize, String),
    /// The proxy of this name has made a framed link to this one.
    PeerCame(String),
    /// A framed link of the proxy of this name is gone.
    PeerLeft(String),
    /// The proxy of this name has said something that it must not.
    PeerBroke(String, String),
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UpstreamReady(index) => write!(f, "upstream {index} is ready"),
            Self::UpstreamDown(index, why) => write!(f, "upstream {index} is down: {why}"),
            Self::TransactionsForbidden(index) => write!(
                f,
                "upstream {index} forbids MULTI to this user, so transactions are refused: allow it with 'ACL SETUSER <user> +multi +exec +discard'"
            ),
            Self::Unfenced(index) => write!(
                f,
                "upstream {index} cannot be told to forget a lost link, so only reads are repeated after one: unless it is a proxy, allow CLIENT INFO and CLIENT KILL with 'ACL SETUSER <user> +client|info +client|kill'"
            ),
            Self::WrongPassword { origin, user } => {
                let user = user.as_ref().map_or("a user that does not exist".into(), |name| format!("user '{name}'"));
                write!(
                    f,
                    "a wrong password for {user} came from {origin}; further ones are counted, and after a few the address has to wait"
                )
            }
            Self::UpstreamIsSelf(index) => {
                write!(f, "upstream {index} is this proxy itself: correct the address in 'upstreams'")
            }
            Self::Circle(index, way) => write!(
                f,
                "upstream {index} leads back to this proxy, by way of {way}: correct the upstreams of one of these proxies"
            ),
            Self::PeerMet(index, node) => write!(f, "upstream {index} is proxy {node}"),
            Self::PeerCame(node) => write!(f, "proxy {node} has made a link to this one (told once a minute)"),
            Self::PeerLeft(node) => write!(f, "a link of proxy {node} is closed (told once a minute)"),
            Self::PeerBroke(node, why) => write!(f, "a link of proxy {node} is closed: {why}"),
        }
    }
}
