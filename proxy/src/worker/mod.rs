//! A worker: one thread, one event loop, one router, its own listeners and links.
//!
//! ```text
//!        ┌─────────────────────────────── one turn ────────────────────────────────┐
//!  wait ─► note who is ready ─► read each once ─► do what the router says ─► relay ─► wait
//!                               (batches grow)    (each batch written once)  (a share)
//! ```
//!
//! Nothing on this path is shared with another thread: no lock, no atomic, no wake-up.

mod closing;
mod drain;
mod ends;
mod fences;
mod greeting;
mod guests;
mod handover;
mod links;
mod listener;
mod mailbox;
mod numbers;
mod pace;
mod reading;
mod relay;
mod seals;
mod sessions;
mod socket;
mod spool;
mod token;
mod wakes;
mod wire;

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use mio::{Events, Poll};
use pdw_metrics::Names;
use pdw_router::limits::Limits;
use pdw_router::{End, Input, LinkKey, Order, Output, Router, SessionKey, Setup, SpoolKey, Time};
use slotmap::SecondaryMap;

pub(crate) use links::{Dial, DialAddress};
pub(crate) use listener::{Listener, Liveness};
pub(crate) use mailbox::{Letter, Mailbox};
pub(crate) use numbers::names;
pub(crate) use spool::try_folder;

use closing::Closing;
use drain::Drain;
use ends::Line;
use guests::Guests;
use links::LinkSocket;
use pace::Pace;
use reading::{Ahead, Reading};
use relay::Pipe;
use seals::SealNumbers;
use spool::{Folder, SpoolFile};
use token::Source;
use wakes::Dozing;
use wire::Scratch;

use crate::seal::{Complaints, Pool};

/// Events taken from the kernel at once. A turn with more of them is followed by another.
const EVENTS: usize = 1024;
/// Bytes read from a link at once. Its replies are for many: large enough that most are whole in one read.
const READ_LINK: usize = 128 << 10;
/// How long a listener rests after the process has run out of descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// How long a link waits that would be one handshake too many at a time.
const LEAVE_REST: Duration = Duration::from_millis(10);

/// What a worker is started with.
pub(crate) struct Orders {
    /// Which worker it is, and of how many.
    pub(crate) place: (usize, usize),
    /// Everything the router has to know.
    pub(crate) setup: Setup,
    /// When the time of all workers began.
    pub(crate) started: Instant,
    /// Where the upstreams are, in the router's order.
    pub(crate) upstreams: Vec<Dial>,
    /// Its own listeners, or its handles of shared ones.
    pub(crate) listeners: Vec<Listener>,
    /// Which of the configured listeners each of them is.
    pub(crate) doors: Vec<u16>,
    /// How dead peers are found.
    pub(crate) liveness: Liveness,
    /// Where large requests are kept, if they are.
    pub(crate) spool: Option<PathBuf>,
    /// So many sockets it may have open before it stops accepting.
    pub(crate) descriptors: usize,
    /// At most so many clients' handshakes may have begun at a time.
    pub(crate) handshakes: usize,
    /// Who does the dear parts of handshakes.
    pub(crate) pool: Pool,
    /// Whom the operator was told of.
    pub(crate) complaints: Complaints,
    /// Names for its numbers.
    pub(crate) names: Arc<Names>,
}

/// One thread's share of the proxy.
pub(crate) struct Worker {
    poll: Poll,
    router: Router,
    listeners: Vec<Listener>,
    doors: Vec<u16>,
    upstreams: Vec<Dial>,
    liveness: Liveness,
    descriptors: usize,
    sessions: SecondaryMap<SessionKey, Line>,
    links: SecondaryMap<LinkKey, LinkSocket>,
    /// Links that will be opened when fewer handshakes are going on, with their upstreams.
    turned_away: Vec<(LinkKey, usize)>,
    /// Clients that are not sessions yet.
    guests: Guests,
    /// Connections whose sessions are gone.
    closing: Closing,
    spools: SecondaryMap<SpoolKey, SpoolFile>,
    folder: Folder,
    /// Who is to be read.
    reading: Reading,
    /// Ends that were written in this turn already and have more to write.
    unwritten: Vec<End>,
    /// Events since time was kept last.
    heard: usize,
    /// When listeners that ran out of descriptors are tried again.
    rested: Option<Instant>,
    /// It is to end when its clients have left.
    drain: Option<Drain>,
    buffer: Box<[u8]>,
    /// The same for sealed sockets.
    scratch: Scratch,
    pool: Pool,
    complaints: Complaints,
    seal_numbers: SealNumbers,
    /// Ends whose relays can go on.
    relays: VecDeque<End>,
    pace: Pace,
    /// Empty pipes for relays.
    pipes: Vec<Pipe>,
    /// Held once by each pipe that is open.
    pipes_open: Arc<()>,
    dozing: Dozing,
    mailbox: Mailbox,
    letters: Receiver<Letter>,
    /// Which worker it is, and the mailboxes of all, in order.
    nth: usize,
    crew: Vec<Mailbox>,
    names: Arc<Names>,
    started: Instant,
    now: Time,
    turn: u32,
    turns: u64,
}

impl Worker {
    /// A worker that has not begun to wait, and the mailbox by which it is told things.
    ///
    /// # Errors
    /// The kernel refuses an event queue or a listener's registration.
    pub(crate) fn new(orders: Orders) -> io::Result<(Self, Mailbox)> {
        let poll = Poll::new()?;
        let (mailbox, letters) = Mailbox::open(poll.registry())?;
        let pace = Pace::new(poll.registry())?;
        let now = since(orders.started);
        let mut router = Router::new(orders.setup, now);
        let (nth, workers) = orders.place;
        router.stand_among(nth, workers);
        let mut worker = Self {
            poll,
            router,
            listeners: orders.listeners,
            doors: orders.doors,
            upstreams: orders.upstreams,
            liveness: orders.liveness,
            descriptors: orders.descriptors,
            sessions: SecondaryMap::new(),
            links: SecondaryMap::new(),
            turned_away: Vec::new(),
            guests: Guests::new(orders.handshakes),
            closing: Closing::default(),
            spools: SecondaryMap::new(),
            folder: Folder::new(orders.spool),
            reading: Reading::default(),
            unwritten: Vec::new(),
            heard: 0,
            rested: None,
            drain: None,
            buffer: vec![0; READ_LINK].into_boxed_slice(),
            scratch: Scratch::default(),
            pool: orders.pool,
            complaints: orders.complaints,
            seal_numbers: SealNumbers::default(),
            relays: VecDeque::new(),
            pace,
            pipes: Vec::new(),
            pipes_open: Arc::default(),
            dozing: Dozing::default(),
            mailbox: mailbox.clone(),
            letters,
            nth,
            crew: Vec::new(),
            names: orders.names,
            started: orders.started,
            now,
            turn: 0,
            turns: 0,
        };
        for (index, listener) in worker.listeners.iter_mut().enumerate() {
            listener.register(worker.poll.registry(), Source::Listener(index).token())?;
        }
        Ok((worker, mailbox))
    }

    /// Serves until a letter says stop, or says drain and that is done.
    ///
    /// # Errors
    /// The kernel's event queue fails.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        self.obey();
        loop {
            match self.poll.poll(&mut events, self.patience()) {
                // Who was stopped wakes up here (signal(7)), without events: the router must not hear how late it is
                // before it hears what came in meanwhile, or it would take that for new.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            self.begin_turn();
            self.accept_on();
            let (mut mail, mut seen) = (false, 0);
            for event in &events {
                seen += 1;
                mail |= self.note(event);
            }
            if mail && self.read_mail().is_stop() {
                self.say_end_to_all();
                return Ok(());
            }
            if self.read_ready().is_stop() {
                self.say_end_to_all();
                return Ok(());
            }
            if !self.relays.is_empty() {
                self.move_relays();
                self.obey();
            }
            self.closing.close_some();
            if self.has_heard_all(seen) && self.keep_time() {
                self.obey();
            }
            if self.is_drained() {
                return Ok(());
            }
        }
    }

    /// How long to wait for events.
    fn patience(&self) -> Option<Duration> {
        let relays_go_on = !self.relays.is_empty() && !self.pace.is_resting();
        if relays_go_on || !(self.reading.is_empty() && self.unwritten.is_empty() && self.closing.is_empty()) {
            return Some(Duration::ZERO);
        }
        let due = self.router.poll_timeout().map(|due| due.since(self.clock()));
        let rested = self.rested.map(|until| until.saturating_duration_since(Instant::now()));
        let drain = self.drain.as_ref().and_then(|drain| drain.due(!self.listeners.is_empty()));
        let drain = drain.map(|due| due.saturating_duration_since(Instant::now()));
        let guests = self.guests.due().map(|due| due.saturating_duration_since(Instant::now()));
        let leave = (!self.turned_away.is_empty()).then_some(LEAVE_REST);
        let dozing = self.dozing.until().map(|until| until.saturating_duration_since(Instant::now()));
        due.into_iter().chain(rested).chain(drain).chain(guests).chain(dozing).chain(leave).min()
    }

    fn clock(&self) -> Time {
        since(self.started)
    }

    fn begin_turn(&mut self) {
        self.now = self.clock();
        self.turn = self.turn.wrapping_add(1);
        self.turns += 1;
        self.reading.begin_turn();
    }

    /// Takes note of an event; whether there is mail.
    fn note(&mut self, event: &mio::event::Event) -> bool {
        match Source::of(event.token()) {
            Source::Session(key) => self.note_session(key, event),
            Source::Link(key) => self.note_link(key, event),
            Source::Guest(key) => self.note_guest(key, event.is_readable()),
            Source::Listener(index) => self.accept(index),
            Source::Mailbox => return true,
            Source::Rest => self.pace.end_rest(),
        }
        false
    }

    /// Whether everybody was heard who was ready when time was kept last; `events`: so many came in this turn.
    ///
    /// Events that did not fit come first, so that nobody counts as late who is ready. But there may be no end of
    /// them: the kernel tells of sockets in turn, so as many as there are sockets are enough.
    fn has_heard_all(&mut self, events: usize) -> bool {
        self.heard += events;
        let sockets = self.open_descriptors() + self.listeners.len();
        let all = events < EVENTS || self.heard > sockets;
        if all {
            self.heard = 0;
        }
        all
    }

    /// Accepts on where connections may be left, whether by a turn's share or for want of descriptors.
    fn accept_on(&mut self) {
        if self.rested.take_if(|until| *until <= Instant::now()).is_some() {
            (0..self.listeners.len()).for_each(|index| self.accept(index));
        }
    }

    /// Does what is due; whether there was anything.
    fn keep_time(&mut self) -> bool {
        let due = self.router.poll_timeout().is_some_and(|due| due <= self.now);
        if due {
            self.router.handle(self.now, Input::Timeout);
        }
        self.keep_draining();
        let late = self.guests.due().is_some_and(|due| due <= Instant::now());
        if late {
            self.turn_out_late_guests();
        }
        self.open_turned_away() || self.stir_relays() || due || late
    }

    /// Does what the router says.
    fn obey(&mut self) {
        for end in std::mem::take(&mut self.unwritten) {
            self.write(end);
        }
        while let Some(output) = self.router.poll_output() {
            match output {
                Output::Connect(key, upstream) => self.connect(key, upstream),
                Output::Order(end, Order::Inject) => self.write(end),
                Output::Order(end, Order::Skip { bytes }) => self.skip(end, bytes),
                Output::Order(from, Order::Relay { to, bytes }) => self.begin_relay(from, to, bytes),
                Output::Read(end) => self.read_again(end),
                Output::CloseSession(key) => self.close_session(key),
                Output::HandOver(key, worker) => self.hand_over(key, worker),
                Output::CloseLink(key) => self.close_link(key),
                Output::GrowSpool(key, bytes) => self.grow_spool(key, bytes),
                Output::CloseSpool(key) => drop(self.spools.remove(key)),
                Output::CallFence(number, name) => self.call_fence(number, &name),
                Output::AnswerFence(call, confirmed) => self.answer_fence(call, confirmed),
                Output::Notice(notice) => self.tell(&notice),
            }
        }
    }

    fn write(&mut self, end: End) {
        match end {
            End::Session(key) => self.write_session(key),
            End::Link(key) => self.write_link(key),
            End::Spool(key) => self.write_spool(key),
        }
        if let Some(from) = self.feeder(end) {
            self.list_relay(from);
        }
    }

    /// Keeps to other limits, and to other times in connections made from now on.
    fn adopt(&mut self, limits: Limits, liveness: Liveness) {
        self.router.set_limits(self.now, limits);
        self.liveness = liveness;
        for listener in &self.listeners {
            if let Err(error) = listener.apply(liveness) {
                tracing::warn!(%error, "a listener keeps its former times");
            }
        }
    }

    fn read_mail(&mut self) -> Mail {
        while let Ok(letter) = self.letters.try_recv() {
            match letter {
                Letter::Scrape(answer) => answer(self.numbers()),
                Letter::GuestGreeted(key, handshake) => self.resume_guest(key, handshake),
                Letter::GuestMayBegin(key) => self.admit_guest(key),
                Letter::LinkGreeted(key, handshake) => self.resume_link(key, handshake),
                Letter::Moved(index, address) => self.redirect(index, address),
                Letter::Redirect(index, dial) => self.redial(index, dial),
                Letter::Adopt(limits, liveness) => self.adopt(*limits, liveness),
                Letter::Users(gate) => self.router.set_gate(self.now, gate),
                Letter::Credentials(credentials) => self.router.set_credentials(credentials),
                Letter::FenceWanted(call, name) => self.router.handle(self.now, Input::FenceWanted(call, &name)),
                Letter::FenceAnswered(number, confirmed) => {
                    self.router.handle(self.now, Input::FenceAnswered(number, confirmed));
                }
                Letter::HandedOver(parcel) => self.take_over(*parcel),
                Letter::Drain { close_silent } => self.begin_drain(close_silent),
                Letter::Stop => return Mail::Stop,
            }
        }
        Mail::Read
    }
}

/// The core's time, where it began then.
fn since(started: Instant) -> Time {
    Time::from_micros(started.elapsed().as_micros() as u64)
}

/// What the mail said.
enum Mail {
    Read,
    Stop,
}

impl Mail {
    fn is_stop(&self) -> bool {
        matches!(self, Self::Stop)
    }
}
