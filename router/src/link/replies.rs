//! What an upstream's links bring: frames of a peer, replies of an instance, one for each request in its order.

use crate::large::stream::OWN_MAX;
use crate::link::part::{Part, Target};
use crate::link::{Lane, Link, Stage};
use crate::loss::Loss;
use crate::mutant::Mutant;
use crate::order::{End, LinkKey};
use crate::resp::ReplyScan;
use crate::router::{Setup, Traffic};

/// Longest reply of a new link before it is proven; the longest that is asked for has a few hundred bytes.
const PROOF_MAX: usize = 1 << 20;

impl Link {
    /// How much may be there of a reply that is not whole. Those to requests have bounds of their own.
    fn longest_reply(&self) -> usize {
        match self.batch.front() {
            _ if matches!(self.stage, Stage::Proving(_)) => PROOF_MAX,
            Some(part) if part.target.wants_whole() => OWN_MAX,
            _ => usize::MAX,
        }
    }
}

impl Traffic {
    /// Reads what an upstream's connection brought.
    pub(crate) fn upstream_bytes(&mut self, setup: &Setup, key: LinkKey, bytes: &[u8]) {
        let Some(link) = self.links.get(key) else { return };
        let (framed, silent) = (link.lane == Lane::Framed, link.stage == Stage::Silent);
        self.stats.bytes.from_upstreams += bytes.len() as u64;
        self.take_in(setup, bytes.len());
        if framed {
            return self.framed_bytes(setup, key, bytes);
        }
        if silent {
            self.end_silence(key);
        }
        let passed = self.pass_on(setup, End::Link(key), bytes);
        if passed < bytes.len() {
            self.link_bytes(setup, key, &bytes[passed..]);
        }
    }

    /// Reads what an upstream sent.
    pub(crate) fn link_bytes(&mut self, setup: &Setup, key: LinkKey, bytes: &[u8]) {
        let Some(link) = self.links.get_mut(key) else { return };
        link.heard = self.now;
        let Some(link) = self.links.get_mut(key) else { return };
        let (mut kept, read) = link.take_reply();
        let mut scan = std::mem::take(&mut link.scan);
        let outcome = if kept.is_empty() {
            let outcome = self.read_replies(setup, key, &mut scan, bytes);
            outcome.map(|used| {
                self.buffers.extend(&mut kept, &bytes[used..]);
                0
            })
        } else {
            self.buffers.extend(&mut kept, bytes);
            self.read_replies(setup, key, &mut scan, &kept[read..]).map(|used| read + used)
        };
        match (outcome, self.links.get_mut(key)) {
            (Err(loss), _) => self.give_up(setup, key, loss),
            (Ok(read), Some(link)) => {
                let done = link.keep_reply(kept, read);
                self.buffers.give_back(done);
                link.scan = scan;
            }
            (Ok(_), None) => {}
        }
    }

    fn read_replies(&mut self, setup: &Setup, key: LinkKey, scan: &mut ReplyScan, bytes: &[u8]) -> Result<usize, Loss> {
        let mut used = 0;
        if self.links.get(key).is_none_or(|link| link.parked) {
            return Ok(0);
        }
        while let Some(len) = whole_reply(setup, scan, &bytes[used..])? {
            let reply = &bytes[used..used + len];
            used += len;
            let Some(link) = self.links.get_mut(key) else { break };
            if matches!(link.stage, Stage::Proving(_)) {
                self.prove(setup, key, reply)?;
                continue;
            }
            if link.flow.is_some() {
                self.hand_on_element(key, reply);
                if self.links.get(key).is_none_or(|link| link.parked) {
                    break;
                }
                continue;
            }
            if link.batch.front().is_none() && setup.mutation.is(Mutant::UnaskedKept) {
                used -= len;
                break;
            }
            link.batch.front().ok_or(Loss::UnaskedReply)?;
            link.end_stream();
            self.conclude(setup, key, reply);
            self.tidy_after_reply(key);
        }
        let proving = |link: &Link| matches!(link.stage, Stage::Proving(_)) || setup.mutation.is(Mutant::UnaskedKept);
        let asked = |link: &Link| proving(link) || link.batch.front().is_some();
        if used < bytes.len() && self.links.get(key).is_some_and(|link| !asked(link)) {
            // Not whole yet, but whatever it becomes, it would swallow the replies that follow.
            return Err(Loss::UnaskedReply);
        }
        if self.links.contains_key(key) {
            used += self.stream_reply(setup, key, scan, &bytes[used..])?;
        }
        let most = self.links.get(key).map_or(usize::MAX, Link::longest_reply);
        if bytes.len() - used <= most { Ok(used) } else { Err(Loss::EndlessReply) }
    }

    /// Takes a whole reply. Those to a transaction that may be sent again wait for its last one.
    fn conclude(&mut self, setup: &Setup, key: LinkKey, reply: &[u8]) {
        if self.links.get_mut(key).is_none_or(|link| link.batch.wait_for_unit(reply))
            || self.try_again_later(setup, key, reply)
        {
            return;
        }
        self.doubt_refusal(setup, key, reply);
        self.hand_out_early(setup, key);
        let part = self.links.get_mut(key).and_then(|link| link.batch.take_answered());
        part.into_iter().for_each(|part| self.answered(setup, key, part, reply));
    }

    /// Hands out the replies that waited for the last one of their transaction.
    pub(crate) fn hand_out_early(&mut self, setup: &Setup, key: LinkKey) {
        let early = self.links.get_mut(key).map(|link| link.batch.take_early()).unwrap_or_default();
        for reply in early {
            let part = self.links.get_mut(key).and_then(|link| link.batch.take_answered());
            part.into_iter().for_each(|part| self.answered(setup, key, part, &reply));
        }
    }

    fn answered(&mut self, setup: &Setup, key: LinkKey, mut part: Part, reply: &[u8]) {
        if setup.mutation.is(Mutant::LostReply) && part.id.is_multiple_of(31) {
            return;
        }
        if setup.mutation.is(Mutant::SwappedReplies)
            && part.id.is_multiple_of(13)
            && let Some(next) = self.links.get_mut(key).and_then(|link| link.batch.front_mut())
        {
            std::mem::swap(&mut next.target, &mut part.target);
        }
        self.stats.count_error(reply);
        match part.target {
            Target::Request(pending, index) => self.deliver(setup, pending, index, reply),
            Target::Nobody => self.stats.discarded_replies += 1,
            Target::Table(lookup) => self.looked_up(lookup, reply),
            Target::PeerFence(number) => self.peer_fenced(setup, number, reply),
            Target::FenceList(number, index) => self.fence_listed(setup, number, index.into(), reply),
            Target::FencePart(number) => self.fence_part(setup, number, reply),
            Target::Fence(number) => {
                let index = self.links.get(key).map(|link| link.upstream);
                index.into_iter().for_each(|index| self.fenced(setup, index, number, reply));
            }
        }
    }
}

/// How long the reply at the start of `bytes` is, once it is whole.
fn whole_reply(setup: &Setup, scan: &mut ReplyScan, bytes: &[u8]) -> Result<Option<usize>, Loss> {
    match scan.scan(bytes) {
        Err(_) if setup.mutation.is(Mutant::JunkHandedOn) => {
            *scan = ReplyScan::default();
            Ok(Some(bytes.len()))
        }
        found => found.map_err(Loss::NotResp),
    }
}
