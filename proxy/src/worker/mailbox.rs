//! What other threads tell a worker.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};

use mio::{Registry, Waker};
use pdw_auth::Handshake;
use pdw_metrics::WorkerSet;
use pdw_router::limits::Limits;
use pdw_router::{Credentials, FenceCall, Gate, LinkKey};

use super::guests::GuestKey;
use super::handover::Parcel;
use super::links::{Dial, DialAddress};
use super::listener::Liveness;
use super::token::Source;

/// Something that a worker is told or asked.
pub(crate) enum Letter {
    /// Give a copy of your numbers.
    Scrape(Box<dyn FnOnce(WorkerSet) + Send>),
    /// Another thread has worked at a client's handshake.
    GuestGreeted(GuestKey, Box<dyn Handshake>),
    /// A client may begin its handshake that had to wait.
    GuestMayBegin(GuestKey),
    /// Another thread has worked at a link's handshake.
    LinkGreeted(LinkKey, Box<dyn Handshake>),
    /// The name of the upstream of this index leads to another address now.
    Moved(usize, DialAddress),
    /// The upstream of this index is somewhere else now.
    Redirect(usize, Dial),
    /// Keep to other limits and times.
    Adopt(Box<Limits>, Liveness),
    /// Let these users in, and close who may not stay.
    Users(Arc<dyn Gate>),
    /// New links authenticate by these, one for each upstream.
    Credentials(Vec<Option<Credentials>>),
    /// Another worker's router wants a proxy fenced off, whose links have this name.
    FenceWanted(FenceCall, String),
    /// Another worker's router has put up the fence of this number, or cannot.
    FenceAnswered(u64, bool),
    /// The link that this connection is to resume is yours.
    HandedOver(Box<Parcel>),
    /// Take no new sessions, and return when the last one is gone and its requests are done.
    Drain {
        /// Whether sessions are closed that have nothing outstanding and are silent.
        close_silent: bool,
    },
    /// Close everything and return.
    Stop,
}

/// Where letters to a worker are put.
#[derive(Clone)]
pub(crate) struct Mailbox {
    sender: Sender<Letter>,
    waker: Arc<Waker>,
}

impl Mailbox {
    /// A mailbox, and its worker's end of it.
    pub(super) fn open(registry: &Registry) -> io::Result<(Self, Receiver<Letter>)> {
        let (sender, receiver) = mpsc::channel();
        let waker = Arc::new(Waker::new(registry, Source::Mailbox.token())?);
        Ok((Self { sender, waker }, receiver))
    }

    /// Puts a letter in. A worker that is gone never reads it.
    pub(crate) fn put(&self, letter: Letter) {
        self.try_put(letter);
    }

    /// The same; whether there is a worker.
    pub(super) fn try_put(&self, letter: Letter) -> bool {
        let there = self.sender.send(letter).is_ok();
        if there && let Err(error) = self.waker.wake() {
            tracing::warn!(%error, "a worker could not be woken");
        }
        there
    }
}
