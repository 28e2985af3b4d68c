//! Fuzz target `carrier`: whatever the other end of a framed link says, this end neither panics nor says nonsense.
//!
//! The first byte chooses the end: the one that accepts the link, before an instance, or the one that opens it, with
//! clients. Then a byte for each thing that happens.

use pdw_router::frame::{self, FrameFlags, FrameReader, Piece, StreamId};
use pdw_router::mutant::Mutation;
use pdw_router::{End, Input, LinkKey, LossReason, Order, Output, Peers, Router, Time};

use super::script::Script;
use super::setup::setup;

const PROOF: &[u8] = b"+OK\r\n+OK\r\n*0\r\n+PONG\r\n$20\r\nid=1 addr=10.0.0.1:1\r\n";
const HELLO: &[u8] =
    b"*6\r\n$9\r\nPDW.HELLO\r\n$1\r\n4\r\n$6\r\nnode=x\r\n$13\r\nincarnation=y\r\n$10\r\nstream=300\r\n$8\r\nlink=900\r\n";
/// The answer of a proxy before two instances.
const ANSWER: &[u8] = b"*9\r\n$9\r\nPDW.HELLO\r\n$1\r\n4\r\n$6\r\nnode=x\r\n$13\r\nincarnation=y\r\n$10\r\nstream=300\r\n$8\r\nlink=900\r\n$15\r\nplacement=slots\r\n$9\r\nshard=1 a\r\n$9\r\nshard=1 b\r\n";
const REQUESTS: [&[u8]; 6] = [
    b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n",
    b"*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$1\r\nx\r\n",
    b"*3\r\n$4\r\nMGET\r\n$1\r\na\r\n$1\r\nb\r\n",
    b"*1\r\n$5\r\nMULTI\r\n*2\r\n$4\r\nINCR\r\n$1\r\na\r\n*1\r\n$4\r\nEXEC\r\n",
    b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$400\r\nxxxxxxxx",
    b"*1\r\n$6\r\nDBSIZE\r\n",
];

/// One end of a framed link, and what it has said so far.
struct Rig {
    router: Router,
    now: Time,
    /// The framed link, at the end that opened it or the one that accepted it.
    framed: End,
    /// Other links and sessions.
    others: Vec<End>,
    said: FrameReader,
    /// The hello or its answer is written; what follows are frames.
    met: bool,
    over: bool,
}

/// Runs one input.
pub fn carrier(input: &[u8]) {
    let mut script = Script::new(input);
    let opens = script.byte() & 1 == 1;
    let Some(mut rig) = Rig::new(opens) else { return };
    while let Some(what) = script.next() {
        rig.happen(what, &mut script);
        rig.obey();
        if rig.over {
            return;
        }
    }
}

impl Rig {
    fn new(opens: bool) -> Option<Rig> {
        let mut setup = setup(0, Mutation::default())?;
        setup.limits.stream_window = 300;
        setup.limits.peer_window = 900;
        setup.peers = opens.then_some(Peers { count: 1, links: 1 });
        let mut router = Router::new(setup, Time::default());
        let now = Time::from_micros(1);
        let session = router.open_session(now);
        let framed = End::Session(session);
        let mut rig =
            Rig { router, now, framed, others: Vec::new(), said: FrameReader::default(), met: false, over: false };
        if opens {
            rig.others.push(framed);
        }
        rig.obey();
        if !opens {
            rig.router.handle(now, Input::SessionBytes(session, HELLO));
        }
        rig.obey();
        Some(rig)
    }

    fn happen(&mut self, what: u8, script: &mut Script<'_>) {
        match what & 7 {
            0 => self.hear(script.bytes()),
            1 | 2 => {
                let (stream, flags) = (u32::from(script.byte() & 3), FrameFlags::from_bits_truncate(script.byte()));
                let mut wire = Vec::new();
                frame::write(&mut wire, StreamId(stream), flags, script.bytes());
                self.hear(&wire);
            }
            3 | 4 => {
                let (stream, request) = (1 + u32::from(script.byte() & 1), REQUESTS[usize::from(what >> 3) % 6]);
                let reply: &[u8] = if what & 64 == 0 { b"$5\r\nhello\r\n" } else { b"+OK\r\n" };
                let payload = if matches!(self.framed, End::Session(_)) { request } else { reply };
                let mut wire = Vec::new();
                frame::write_data(&mut wire, StreamId(stream), None, payload);
                self.hear(&wire);
            }
            5 => self.others_say(what, script),
            6 => {
                self.now = Time::from_micros(self.now.micros() + u64::from(script.byte()) * 20_000);
                self.router.handle(self.now, Input::Timeout);
            }
            _ => self.write(self.framed, usize::from(script.byte())),
        }
    }

    /// The other end says something.
    fn hear(&mut self, bytes: &[u8]) {
        match self.framed {
            End::Session(key) if self.router.wants_bytes(key) => {
                self.router.handle(self.now, Input::SessionBytes(key, bytes));
            }
            End::Link(key) if self.router.wants_link_bytes(key) => {
                self.router.handle(self.now, Input::LinkBytes(key, bytes));
            }
            _ => {}
        }
    }

    /// A client asks, or an instance answers, or leaves.
    fn others_say(&mut self, what: u8, script: &mut Script<'_>) {
        let Some(other) = self.others.get(usize::from(what >> 6) % self.others.len().max(1)).copied() else { return };
        match other {
            End::Session(key) if script.byte() & 15 == 15 => self.router.handle(self.now, Input::SessionLost(key)),
            End::Session(key) if self.router.wants_bytes(key) => {
                self.router.handle(self.now, Input::SessionBytes(key, REQUESTS[usize::from(what >> 3) % 6]));
            }
            End::Link(key) if what & 8 == 0 => self.router.handle(self.now, Input::LinkBytes(key, b"+OK\r\n")),
            End::Link(key) if what & 16 == 0 => {
                self.router.handle(self.now, Input::LinkBytes(key, b"$400\r\nxxxxxxxxx"));
            }
            End::Link(key) => self.router.handle(self.now, Input::LinkLost(key, LossReason::Closed)),
            End::Session(_) | End::Spool(_) => {}
        }
    }

    /// Does what the router wants.
    fn obey(&mut self) {
        while let Some(output) = self.router.poll_output() {
            match output {
                Output::Connect(key, _) => self.connect(key),
                Output::Order(end, Order::Inject) if end != self.framed => self.write(end, usize::MAX),
                Output::CloseSession(key) => self.gone(End::Session(key)),
                Output::CloseLink(key) => self.gone(End::Link(key)),
                _ => {}
            }
        }
    }

    fn gone(&mut self, end: End) {
        self.over |= end == self.framed;
        self.others.retain(|other| *other != end);
    }

    fn connect(&mut self, key: LinkKey) {
        let opens = self.others.iter().any(|other| matches!(other, End::Session(_)));
        self.router.handle(self.now, Input::LinkConnected(key));
        let asked = self.router.link_output(self.now, key).len();
        self.router.handle(self.now, Input::LinkWritten(key, asked));
        if opens {
            self.framed = End::Link(key);
            self.met = true;
            self.router.handle(self.now, Input::LinkBytes(key, ANSWER));
        } else {
            self.others.push(End::Link(key));
            self.router.handle(self.now, Input::LinkBytes(key, PROOF));
        }
    }

    /// Writes at most `most` bytes of what is held for an end. What goes to the other end of the framed link makes sense.
    fn write(&mut self, end: End, most: usize) {
        let bytes = match end {
            End::Session(key) => self.router.session_output(key).to_vec(),
            End::Link(key) => self.router.link_output(self.now, key).to_vec(),
            End::Spool(_) => Vec::new(),
        };
        let written = &bytes[..most.min(bytes.len())];
        if end == self.framed {
            let mut rest = written;
            if !self.met && !rest.is_empty() {
                // The answer to the hello, which is an array.
                let len = pdw_router::resp::ReplyScan::default().scan(&bytes).ok().flatten();
                let len = len.filter(|len| *len <= written.len());
                let Some(len) = len else { return };
                (rest, self.met) = (&written[len..], true);
            }
            while let Some(piece) =
                self.said.next(&mut rest).unwrap_or_else(|error| panic!("it says nonsense: {error}"))
            {
                assert!(!matches!(piece, Piece::Deadline(_, 0)), "a deadline that was never to come");
            }
        }
        let written = written.len();
        match end {
            End::Session(key) => self.router.handle(self.now, Input::SessionWritten(key, written)),
            End::Link(key) => self.router.handle(self.now, Input::LinkWritten(key, written)),
            End::Spool(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::carrier;

    #[test]
    fn any_bytes_will_do() {
        let mut random = fastrand::Rng::with_seed(5);
        for _ in 0..4_000 {
            let input: Vec<u8> = (0..random.usize(..120)).map(|_| random.u8(..)).collect();
            carrier(&input);
        }
    }
}
