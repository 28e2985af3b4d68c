//! The fence between proxies: nothing that a lost peer was sent is carried out once something newer was.
//!
//! ```text
//!   leaf: peer X lost ─► lease of X over ─► another peer: PDW.FENCE X ─► confirmed ─► what X had is sent again
//!   that peer: closes X's links to it; tells every instance to close X's connections; waits for what it has itself of
//!              links that are lost
//! ```
//!
//! What X has not sent it will not send (`lease.rs`). What it has sent may lie in an instance's buffers, or be carried out by
//! X, which may be alive: its links call themselves by its name, so the instance can be told to close them.
//!
//! X has links to every worker of that peer, and that peer's workers each have something on its way: the worker that was
//! asked tells the others, and confirms when all of them have.

use std::time::Duration;

use crate::link::part::Target;
use crate::mutant::Mutant;
use crate::order::{FenceCall, Output, SessionKey};
use crate::refusal::Refusal;
use crate::request::pending::PendingKey;
use crate::resp::{self, Request, write};
use crate::router::{Setup, Traffic};
use crate::time::Time;

/// The command.
const NAME: &[u8] = b"PDW.FENCE";
/// So often it is looked whether what a fence waits for has been answered.
const LOOK: Duration = Duration::from_millis(5);

/// A peer that was lost, and what it may still do.
#[derive(Debug)]
pub(crate) struct LostPeer {
    incarnation: String,
    /// When another peer is asked to fence it off; until then it may send what it was given.
    due: Time,
    /// The number of the question by which it is being fenced off.
    asked: Option<u64>,
    /// Until then a proxy below may want to know that nothing of it is carried out any more.
    kept: Time,
}

/// A proxy that is being fenced off, for another one or for another worker.
#[derive(Debug)]
pub(crate) struct FenceTask {
    number: u64,
    asker: Asker,
    name: String,
    /// Answers that are awaited.
    awaited: usize,
    /// Somebody has said no.
    failed: bool,
}

/// Who has asked for a fence.
#[derive(Clone, Copy, Debug)]
enum Asker {
    /// A proxy below.
    Below(PendingKey),
    /// Another router of this process.
    Worker(FenceCall),
}

/// Whether a request is one for a fence.
pub(crate) fn is_fence(request: &Request<'_>) -> bool {
    request.arg(0).eq_ignore_ascii_case(NAME)
}

impl Traffic {
    /// A peer is lost that may still have something to do. `until`: so long it may send what it was given; `carried`:
    /// what proxies below have asked for is among that.
    pub(crate) fn note_lost_peer(
        &mut self,
        setup: &Setup,
        index: usize,
        incarnation: String,
        (until, carried): (Time, bool),
    ) {
        let kept = if carried { self.now.after(setup.limits.patience) } else { self.now };
        let lost = &mut self.upstreams[index].lost;
        match lost.iter_mut().find(|peer| peer.incarnation == incarnation) {
            Some(known) => {
                (known.due, known.asked, known.kept) = (known.due.max(until), None, known.kept.max(kept));
            }
            None => lost.push(LostPeer { incarnation, due: until, asked: None, kept }),
        }
    }

    /// Has peers that are lost fenced off when it is time to, if anybody waits for that.
    pub(crate) fn fence_lost_peers(&mut self, setup: &Setup, index: usize) {
        if self.upstreams[index].lost.is_empty() {
            return;
        }
        if !self.awaits_fence(index) && self.fence_tasks.is_empty() {
            let now = self.now;
            return self.upstreams[index].lost.retain(|peer| peer.kept > now);
        }
        if !(0..self.upstreams.len()).any(|other| self.is_there(other)) {
            return;
        }
        for at in 0..self.upstreams[index].lost.len() {
            self.last_id += 1;
            let (number, now) = (self.last_id, self.now);
            let Some(name) = self.upstreams[index].lost.get_mut(at).and_then(|peer| peer.begin(number, now)) else {
                continue;
            };
            let stream = self.control_stream(setup);
            let words = [NAME, name.as_bytes()];
            self.send_own(setup, stream, Target::PeerFence(number), |out| {
                write::request(out, words.len(), words.into_iter());
            });
        }
    }

    /// When peers that are lost are to be fenced off.
    pub(crate) fn next_peer_fence(&self) -> Option<Time> {
        let lost = self.upstreams.iter().flat_map(|upstream| &upstream.lost);
        lost.filter(|peer| peer.asked.is_none() && peer.due > self.now).map(|peer| peer.due).min()
    }

    /// A peer has answered that others of an upstream are fenced off, or that it cannot do that now.
    pub(crate) fn peer_fenced(&mut self, setup: &Setup, number: u64, reply: &[u8]) {
        let confirmed = reply == b"+OK\r\n";
        self.stats.fences[usize::from(confirmed)] += 1;
        let again = self.now.after(setup.limits.reconnect_max);
        let mut all = self.upstreams.iter_mut().enumerate();
        let found = all.find_map(|(index, upstream)| {
            let at = upstream.lost.iter().position(|peer| peer.asked == Some(number))?;
            Some((index, at, &mut upstream.lost))
        });
        let Some((index, at, lost)) = found else { return };
        if !confirmed {
            (lost[at].asked, lost[at].due) = (None, again);
            // Who waits for it below would wait as long as it is refused, and ask no other.
            self.fence_tasks.iter_mut().for_each(FenceTask::fail);
            return self.serve_fence_tasks(setup);
        }
        lost.remove(at);
        if lost.is_empty() {
            self.release_fenced(setup, index, true);
        }
    }

    /// Another proxy asks that a third one be fenced off.
    pub(crate) fn accept_fence(&mut self, setup: &Setup, session: SessionKey, request: &Request<'_>) {
        if let Some(why) = self.trouble_of_fence(session, request) {
            return self.refuse(setup, session, &why);
        }
        let name = String::from_utf8_lossy(request.arg(1)).into_owned();
        let asker = Asker::Below(self.push_pending(session));
        self.last_id += 1;
        let number = self.last_id;
        self.dismiss(setup, &name, Some(session));
        // What this very proxy still has to do is waited for.
        let upstreams = if name == setup.name { 0 } else { self.upstreams.len() };
        let others = if setup.mutation.is(Mutant::FenceOfOneWorker) { 0 } else { self.other_workers() };
        if others > 0 {
            self.outputs.push_back(Output::CallFence(number, name.clone()));
        }
        self.fence_tasks.push(FenceTask { number, asker, name, awaited: upstreams + others, failed: false });
        for index in 0..upstreams {
            self.ask_for_fence(setup, index, number, request);
        }
        self.serve_fence_tasks(setup);
    }

    /// How many other routers the process has.
    fn other_workers(&self) -> usize {
        self.numbering.1.saturating_sub(1) as usize
    }

    /// Another router of this process was asked for a fence. It asks the upstreams itself, for all.
    pub(crate) fn fence_wanted(&mut self, setup: &Setup, call: FenceCall, name: &str) {
        self.last_id += 1;
        let (number, asker, name) = (self.last_id, Asker::Worker(call), name.to_owned());
        self.dismiss(setup, &name, None);
        self.fence_tasks.push(FenceTask { number, asker, name, awaited: 0, failed: false });
        self.serve_fence_tasks(setup);
    }

    /// Another router of this process has done its part of a fence.
    pub(crate) fn fence_answered(&mut self, setup: &Setup, number: u64, confirmed: bool) {
        self.note_fence_part(number, confirmed);
        self.serve_fence_tasks(setup);
    }

    /// Closes the links of a proxy that is fenced off: what it has asked for and was not sent goes with them, and so does
    /// what has not been read. What was sent is waited for.
    fn dismiss(&mut self, setup: &Setup, name: &str, asker: Option<SessionKey>) {
        // Nobody fences himself off: he would not hear the answer.
        let asker = asker.and_then(|asker| self.sessions.get(asker));
        let own = asker.and_then(|session| session.carried.as_ref()).map(|end| end.carrier);
        let is_its = |key: &SessionKey| {
            let framed = self.sessions.get(*key).and_then(|session| session.framed.as_ref());
            own != Some(*key) && framed.is_some_and(|accepted| accepted.peer.incarnation == name)
        };
        let its: Vec<SessionKey> = self.accepted.iter().copied().filter(is_its).collect();
        its.into_iter().for_each(|key| self.end_accepted(setup, key));
    }

    /// Why a fence is not put up: it closes connections, those of the name that it is given.
    fn trouble_of_fence(&self, session: SessionKey, request: &Request<'_>) -> Option<Refusal> {
        let text = if self.sessions.get(session).is_none_or(|session| session.carried.is_none()) || request.len() != 2 {
            "ERR PDW.FENCE is for proxies, on a framed link"
        } else if request.arg(1).is_empty() {
            // Most connections have none.
            "ERR PDW.FENCE needs the name of a proxy's links"
        } else if self.is_bounded(session) {
            "NOPERM this user has no permissions to run the 'pdw.fence' command"
        } else {
            return None;
        };
        Some(Refusal::AsRedis(text.into()))
    }

    /// Asks one upstream: an instance for its connections, a peer for the same fence.
    fn ask_for_fence(&mut self, setup: &Setup, index: usize, number: u64, request: &Request<'_>) {
        if setup.has_peers() {
            let carrier = self.upstreams[index].shared;
            let known = self.upstreams[index].control;
            let stream = known.unwrap_or_else(|| self.open_stream(setup, carrier, None));
            self.upstreams[index].control = Some(stream);
            let bytes = request.bytes;
            self.send_own(setup, stream, Target::FencePart(number), |out| out.extend_from_slice(bytes));
        } else {
            let link = self.control_link(setup, index);
            let words = [b"CLIENT".as_slice(), b"LIST"];
            self.send_own(setup, link, Target::FenceList(number, index as u16), |out| {
                write::request(out, words.len(), words.into_iter());
            });
        }
    }

    /// An instance has told its connections: those of the proxy that is fenced off are to be closed.
    pub(crate) fn fence_listed(&mut self, setup: &Setup, number: u64, index: usize, reply: &[u8]) {
        let Some(task) = self.fence_tasks.iter_mut().find(|task| task.number == number) else { return };
        task.awaited -= 1;
        task.failed |= resp::is_error(reply) || resp::is_nil(reply);
        let kills: Vec<[String; 2]> = connections(reply, &task.name).collect();
        task.awaited += kills.len();
        let link = self.control_link(setup, index);
        for [id, address] in kills {
            let words = [b"CLIENT".as_slice(), b"KILL", b"ID", id.as_bytes(), b"ADDR", address.as_bytes()];
            self.send_own(setup, link, Target::FencePart(number), |out| {
                write::request(out, words.len(), words.into_iter());
            });
        }
        self.serve_fence_tasks(setup);
    }

    /// One of those who were asked for a fence has answered.
    pub(crate) fn fence_part(&mut self, setup: &Setup, number: u64, reply: &[u8]) {
        self.note_fence_part(number, !resp::is_error(reply));
        self.serve_fence_tasks(setup);
    }

    fn note_fence_part(&mut self, number: u64, confirmed: bool) {
        if let Some(task) = self.fence_tasks.iter_mut().find(|task| task.number == number) {
            task.awaited = task.awaited.saturating_sub(1);
            task.failed |= !confirmed;
        }
    }

    /// Answers those who wait for a fence that stands.
    pub(crate) fn serve_fence_tasks(&mut self, setup: &Setup) {
        if self.fence_tasks.is_empty() {
            return;
        }
        let open = self.has_orphans() || self.has_unfenced();
        let over = |task: &FenceTask| task.awaited == 0 && (task.failed || !open);
        let (over, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.fence_tasks).into_iter().partition(over);
        self.fence_tasks = rest;
        for FenceTask { asker, failed, .. } in over {
            let text: &[u8] = if failed { b"-ERR not everything can be fenced off\r\n" } else { b"+OK\r\n" };
            match asker {
                Asker::Below(asker) => self.answer(setup, asker, text.len(), |out| out.extend_from_slice(text)),
                Asker::Worker(call) => self.outputs.push_back(Output::AnswerFence(call, !failed)),
            }
        }
        let pendings = &self.pendings;
        self.fence_tasks.retain(|task| match task.asker {
            Asker::Below(asker) => pendings.contains_key(asker),
            Asker::Worker(_) => true,
        });
    }

    /// When it is looked whether fences stand that only wait for what is on its way.
    pub(crate) fn next_fence_look(&self) -> Option<Time> {
        self.fence_tasks.iter().any(|task| task.awaited == 0).then(|| self.now.after(LOOK))
    }
}

impl FenceTask {
    /// Something that is on its way cannot be fenced off.
    pub(crate) fn fail(&mut self) {
        self.failed = true;
    }
}

impl LostPeer {
    /// Its name, if it is to be fenced off now.
    fn begin(&mut self, number: u64, now: Time) -> Option<String> {
        let due = self.asked.is_none() && self.due <= now;
        self.asked = if due { Some(number) } else { self.asked };
        due.then(|| self.incarnation.clone())
    }
}

/// Ids and addresses of the connections of a name, from the reply to `CLIENT LIST`.
fn connections<'r>(reply: &'r [u8], name: &'r str) -> impl Iterator<Item = [String; 2]> + 'r {
    let wanted = format!("name={name}");
    String::from_utf8_lossy(reply).into_owned().lines().map(str::to_owned).collect::<Vec<_>>().into_iter().filter_map(
        move |line| {
            let mut fields = line.split(' ');
            fields.clone().find(|field| *field == wanted)?;
            let mut field = |start: &str| fields.find_map(|field| Some(field.strip_prefix(start)?.to_owned()));
            Some([field("id=")?, field("addr=")?])
        },
    )
}

#[cfg(test)]
mod tests {
    use super::connections;

    #[test]
    fn only_the_connections_of_that_name_are_closed() {
        let list = b"$99\r\nid=3 addr=10.0.0.1:5 laddr=x name=pdw/1 db=0\nid=4 addr=10.0.0.2:6 name=pdw/12 db=0\nid=5 addr=10.0.0.3:7 name= db=0\n\r\n";
        assert_eq!(connections(list, "pdw/1").collect::<Vec<_>>(), [["3".to_owned(), "10.0.0.1:5".to_owned()]]);
    }
}
