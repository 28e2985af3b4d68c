//! The fence: nothing that was sent on a lost link is carried out once something newer was.
//!
//! A lost link may have left requests in its instance's buffers, which carries them out when it comes to
//! them: after a freeze, say, when the same client has long written something newer on another link. So
//! before anything else is sent in its place, the instance is told to `CLIENT KILL` the old connection, by
//! the id *and* the address that it gave the link itself (`CLIENT INFO`): ids begin anew when an instance
//! restarts, and nobody else's connection may be hit. What was lost is repeated only once that is confirmed.
//!
//! An upstream that does not tell the address (it forbids `CLIENT INFO`, or it is a proxy that is spoken to in plain RESP, whose
//! own links this would not reach) cannot be fenced: only reads are repeated then. Peers: `peer/fence.rs`.

use crate::link::part::Target;
use crate::link::{Lane, Link};
use crate::mutant::Mutant;
use crate::order::{LinkKey, Notice, Output};
use crate::peer::fence::FenceTask;
use crate::resp::{self, write};
use crate::router::{Setup, Traffic};
use crate::time::Time;

/// How an instance knows a link: what `CLIENT INFO` says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Badge {
    id: Vec<u8>,
    address: Vec<u8>,
}

impl Badge {
    /// From the reply to `CLIENT INFO`, a line of `name=value` fields.
    pub(crate) fn read(reply: &[u8]) -> Option<Self> {
        let mut fields = reply.split(|byte| matches!(byte, b' ' | b'\r' | b'\n'));
        let mut field = |name: &[u8]| fields.find_map(|field| Some(field.strip_prefix(name)?.to_vec()));
        Some(Self { id: field(b"id=")?, address: field(b"addr=")? })
    }

    fn write_kill(&self, out: &mut Vec<u8>) {
        let words = [b"CLIENT".as_slice(), b"KILL", b"ID", &self.id, b"ADDR", &self.address];
        write::request(out, words.len(), words.into_iter());
    }
}

impl Traffic {
    /// A link is lost: has its instance forget what it may still have of it, on the link that carries on.
    /// `asked`: requests of it may be unanswered.
    pub(crate) fn fence_off(&mut self, setup: &Setup, lost: &Link, asked: bool, next: LinkKey) {
        let index = lost.upstream;
        self.last_id += 1;
        let asked = lost.lane == Lane::Bulk || lost.lane == Lane::Shared && asked;
        let newest = lost.badge.clone().filter(|_| asked).map(|badge| (self.last_id, badge));
        // What was under way on the lost link itself has to be asked again.
        let served = lost.lane == Lane::Shared;
        let again = self.upstreams[index].unfenced.iter().filter(|_| served).cloned();
        let kills: Vec<(u64, Badge)> = again.chain(newest.clone()).collect();
        self.upstreams[index].unfenced.extend(newest);
        let Some(link) = self.links.get_mut(next) else { return };
        for (number, badge) in kills.iter().filter(|_| !setup.mutation.is(Mutant::MissingFence)) {
            link.batch.append(*number, Target::Fence(*number), Time::NEVER, |out| badge.write_kill(out));
        }
        self.order_write(next);
    }

    /// Tells the operator when it turns out that nothing but reads can be repeated.
    pub(crate) fn note_fenceable(&mut self, setup: &Setup, index: usize, fenceable: bool) {
        let known = std::mem::replace(&mut self.upstreams[index].unfenceable, !fenceable);
        if setup.holds() && !fenceable && !known {
            self.outputs.push_back(Output::Notice(Notice::Unfenced(index)));
        }
    }

    /// The instance has answered `CLIENT KILL`: with how many connections it closed, or that it will not.
    pub(crate) fn fenced(&mut self, setup: &Setup, index: usize, number: u64, reply: &[u8]) {
        let unfenced = &mut self.upstreams[index].unfenced;
        let confirmed = resp::integer(reply).is_some();
        self.stats.fences[usize::from(confirmed)] += 1;
        unfenced.retain(|(other, _)| *other != number);
        if !confirmed {
            unfenced.clear();
            self.fence_tasks.iter_mut().for_each(FenceTask::fail);
        }
        self.note_fenceable(setup, index, confirmed);
        if self.upstreams[index].unfenced.is_empty() {
            self.freed_lanes.push(index);
            self.release_fenced(setup, index, confirmed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Badge;

    #[test]
    fn a_badge_is_read_from_what_servers_say() {
        let line = b"$60\r\nid=12 addr=127.0.0.1:5000 laddr=127.0.0.1:6379 fd=8 name=pdw/1\n\r\n";
        let badge = Badge::read(line).unwrap();
        let mut out = Vec::new();
        badge.write_kill(&mut out);
        assert!(out.ends_with(b"$2\r\nID\r\n$2\r\n12\r\n$4\r\nADDR\r\n$14\r\n127.0.0.1:5000\r\n"));
        assert_eq!(Badge::read(b"-NOPERM no\r\n"), None);
    }

    #[test]
    fn a_proxy_gives_no_badge() {
        assert_eq!(Badge::read(b"$9\r\nid=12 name=pdw/1 flags=N\n\r\n"), None);
    }
}
