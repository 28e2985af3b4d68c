//! Gathered replies that are too long to be held: their elements are handed on in the request's order.
//!
//! ```text
//!   part 0: whole, held        ──┐
//!   part 1: link, parked       ──┼─ the element that is due ─► session      the others wait, each in its link
//!   part 2: link, read now     ──┘
//! ```
//!
//! Nothing is handed on before every part has begun, so that an error of one of them is the whole answer.
//! A link whose reply is too long is retired, and parked but for the elements that are due.

use crate::link::part::Target;
use crate::link::{Flow, Link};
use crate::mutant::Mutant;
use crate::order::{End, LinkKey, SessionKey};
use crate::request::gather::Due;
use crate::request::pending::PendingKey;
use crate::resp::{self, ReplyScan, write};
use crate::router::{Setup, Traffic};
use crate::time::Time;

impl Traffic {
    /// Leaves the rest of a part's reply in its link, if its elements can be handed on one by one. How many bytes
    /// are done with: the array's head.
    pub(crate) fn begin_flow(
        &mut self,
        setup: &Setup,
        key: LinkKey,
        target: Target,
        scan: &mut ReplyScan,
        bytes: &[u8],
    ) -> Option<usize> {
        let Target::Request(pending, part) = target else { return None };
        let count = resp::parse_integer(resp::line(bytes)).filter(|_| bytes.first() == Some(&b'*'))?;
        let left = u64::try_from(count).ok()?;
        let (gather, _) = self.gather_of(pending)?;
        if !gather.may_flow(part, left as usize) {
            return None;
        }
        let last = gather.flow(part, key);
        *scan = ReplyScan::default();
        self.retire_link(setup, key);
        if let Some(link) = self.links.get_mut(key) {
            link.flow = Some(Flow { pending, part, left });
            link.parked = true;
            if let Some(part) = link.batch.front_mut() {
                part.deadline = Time::NEVER;
            }
        }
        if last {
            self.join_parts(setup, pending);
        }
        Some(resp::line(bytes).len() + 3)
    }

    /// Hands on what is here of a woven reply whose turn it is, and reads on where the next element is.
    pub(crate) fn weave(&mut self, setup: &Setup, key: PendingKey) {
        let Some((session_key, _, true)) = self.turn_of(key) else { return };
        loop {
            let Some((gather, true)) = self.gather_of(key) else { return };
            let head = gather.take_head();
            let any = gather.flows().last().filter(|_| setup.mutation.is(Mutant::WovenOutOfTurn));
            let due = any.map_or(gather.due(), Due::From);
            match (head, due) {
                (Some(count), _) => {
                    let mut text = Vec::new();
                    write::array(&mut text, count);
                    self.hand_on(session_key, &text);
                }
                (None, Due::Nothing) => return self.finish_weaving(setup, key),
                (None, Due::From(link)) => return self.call_for_element(setup, session_key, link),
                (None, Due::Element(element)) => {
                    let element = element.to_vec();
                    gather.advance(element.len());
                    self.hand_on(session_key, &element);
                }
            }
            if self.is_satisfied(setup, session_key) {
                return;
            }
        }
    }

    /// Whether a session has enough to write; it is looked at again when it has less.
    fn is_satisfied(&mut self, setup: &Setup, key: SessionKey) -> bool {
        let Some(session) = self.sessions.get_mut(key) else { return true };
        session.hungry = session.reply_bytes() >= setup.limits.session_output_max;
        session.hungry
    }

    fn call_for_element(&mut self, setup: &Setup, session: SessionKey, link: LinkKey) {
        if !self.is_satisfied(setup, session) {
            self.unparked.push(link);
        }
    }

    /// A whole element is there, and due.
    pub(crate) fn hand_on_element(&mut self, key: LinkKey, element: &[u8]) {
        let flow = self.links.get(key).and_then(|link| link.flow);
        if let Some((session, ..)) = flow.and_then(|flow| self.turn_of(flow.pending)) {
            self.hand_on(session, element);
        }
        self.end_element(key);
    }

    /// Hands on what is here of the element that is due, if it is too long to be held.
    pub(crate) fn stream_element(&mut self, setup: &Setup, key: LinkKey, scan: &mut ReplyScan, bytes: &[u8]) -> usize {
        let Some(link) = self.links.get(key).filter(|link| !link.parked) else { return 0 };
        let Some((session, ..)) = link.flow.and_then(|flow| self.turn_of(flow.pending)) else { return 0 };
        match scan.arriving(bytes) {
            Some((size, end)) if size >= setup.limits.large_min && end > bytes.len() => {
                self.hand_on(session, bytes);
                self.relay(End::Link(key), End::Session(session), (end - bytes.len()) as u64);
                scan.pass_bulk();
                bytes.len()
            }
            _ if bytes.len() > setup.limits.request_buffer_max => {
                let whole = scan.pass_whole();
                self.hand_on(session, &bytes[..whole]);
                whole
            }
            _ => 0,
        }
    }

    /// The element that was due has been handed on.
    pub(crate) fn end_element(&mut self, key: LinkKey) {
        let Some(link) = self.links.get_mut(key) else { return };
        let Some(flow) = &mut link.flow else { return };
        flow.left -= 1;
        let Flow { pending, part, left } = *flow;
        link.parked = left > 0;
        if left == 0 {
            link.flow = None;
            link.batch.take_answered();
        }
        if let Some((gather, _)) = self.gather_of(pending) {
            gather.advance(0);
            if left == 0 {
                gather.end_flow(part);
            }
        }
        self.weaving.push(pending);
        if left == 0 {
            self.tidy_after_reply(key);
        }
    }

    /// A link is lost that holds a part.
    pub(crate) fn flow_lost(&mut self, setup: &Setup, flow: Flow) {
        match self.gather_of(flow.pending) {
            Some((gather, true)) if gather.has_begun() => self.close_stream(setup, flow.pending),
            Some(_) => self.gather_again(flow.pending, flow.part),
            None => {}
        }
    }

    /// Whether requests wait behind any part of the woven reply of which a link holds one.
    pub(crate) fn others_wait_for_flows(&self, link: &Link) -> bool {
        let Some(flow) = link.flow else { return false };
        let same = |other: &&Link| other.flow.is_some_and(|other| other.pending == flow.pending);
        self.links.values().filter(same).any(|other| other.batch.in_flight() > 1)
    }

    /// Nobody wants the rest of a part any more: it is an ordinary reply then, for nobody.
    pub(crate) fn end_flow_if_unwanted(&mut self, key: LinkKey) {
        let flow = self.links.get(key).and_then(|link| link.flow);
        let wanted = flow.is_none_or(|flow| self.gather_of(flow.pending).is_some_and(|(_, weaving)| weaving));
        if let (false, Some(link)) = (wanted, self.links.get_mut(key)) {
            link.dissolve_flow();
        }
    }
}

impl Link {
    /// Makes an ordinary reply of what is left of a part.
    pub(crate) fn dissolve_flow(&mut self) {
        // The scanner stands in the element that is due.
        let flow = self.flow.take();
        flow.into_iter().for_each(|flow| self.scan.expect_more(flow.left - 1));
    }
}
