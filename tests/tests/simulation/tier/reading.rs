//! Reading ends: what they bring goes to the router, or where the router ordered it.

use pdw_router::{End, Input, LinkKey, LossReason, SessionKey};

use super::{LinkState, Tier};
use crate::history::{History, Violation};
use crate::net::Net;
use crate::resp::shown;
use crate::wire::Read;

impl Tier {
    /// Reads some of the ends that have something, or all, in any order.
    pub(super) fn read_some(&mut self, all: bool, net: &mut Net, history: &mut History) -> Result<(), Violation> {
        let sessions = self.sessions.iter().filter(|(_, session)| session.has_news(net));
        let links = self.links.iter().filter(|(_, link)| link.has_news(net));
        let mut ready: Vec<End> =
            sessions.map(|(key, _)| End::Session(*key)).chain(links.map(|(key, _)| End::Link(*key))).collect();
        net.rng.shuffle(&mut ready);
        let some = net.rng.usize(..=ready.len()).max(if all { ready.len() } else { 1 });
        ready.into_iter().take(some).try_for_each(|end| match end {
            End::Session(key) => self.read_session(key, net, history),
            End::Link(key) => self.read_link(key, net, history),
            End::Spool(_) => Ok(()),
        })
    }

    fn read_session(&mut self, key: SessionKey, net: &mut Net, history: &mut History) -> Result<(), Violation> {
        let Some(session) = self.sessions.get_mut(&key) else { return Ok(()) };
        if net.is_broken(session.conn) {
            self.lose_session(key, net);
            return Ok(());
        }
        if !self.router.wants_bytes(key) {
            session.unread = true;
            return Ok(());
        }
        let Some(most) = session.detour.appetite() else { return Ok(()) };
        match net.read(session.conn, true, most) {
            Read::Bytes(bytes) => self.session_bytes(key, bytes, net, history)?,
            // A relay ends in the middle of a value.
            Read::Ended if most < usize::MAX => self.lose_session(key, net),
            Read::Ended => {
                session.ended = true;
                net.trace.note(net.now, format_args!("tier {} {key:?} ended", self.index));
                self.router.handle(net.now, Input::SessionEnded(key));
            }
            Read::Blocked => {}
        }
        Ok(())
    }

    fn session_bytes(
        &mut self,
        key: SessionKey,
        bytes: Vec<u8>,
        net: &mut Net,
        history: &mut History,
    ) -> Result<(), Violation> {
        let Some(session) = self.sessions.get_mut(&key) else { return Ok(()) };
        session.received += bytes.len();
        if let Some(client) = session.client {
            history.deliver(client, session.received, self.turned);
        }
        net.trace.note(net.now, format_args!("tier {} {key:?} got {}", self.index, shown(&bytes)));
        let bytes = session.detour.sort(bytes);
        if !bytes.is_empty() {
            self.router.handle(net.now, Input::SessionBytes(key, &bytes));
        }
        self.pump(End::Session(key), net, history)
    }

    fn read_link(&mut self, key: LinkKey, net: &mut Net, history: &mut History) -> Result<(), Violation> {
        let Some(link) = self.links.get_mut(&key) else { return Ok(()) };
        match link.state {
            LinkState::Dialling { .. } => {}
            LinkState::Established(conn) => {
                link.state = LinkState::Open(conn);
                self.router.handle(net.now, Input::LinkConnected(key));
            }
            LinkState::Refused => self.lose_link(key, LossReason::Unreachable, net),
            LinkState::Open(conn) if net.is_broken(conn) => self.lose_link(key, LossReason::Failed, net),
            LinkState::Open(_) if !self.router.wants_link_bytes(key) => link.unread = true,
            LinkState::Open(conn) => {
                let Some(most) = link.detour.appetite() else { return Ok(()) };
                match net.read(conn, false, most) {
                    Read::Bytes(bytes) => self.link_bytes(key, bytes, net, history)?,
                    Read::Ended => self.lose_link(key, LossReason::Closed, net),
                    Read::Blocked => {}
                }
            }
        }
        Ok(())
    }

    fn link_bytes(
        &mut self,
        key: LinkKey,
        bytes: Vec<u8>,
        net: &mut Net,
        history: &mut History,
    ) -> Result<(), Violation> {
        let Some(link) = self.links.get_mut(&key) else { return Ok(()) };
        net.trace.note(net.now, format_args!("tier {} {key:?} got {}", self.index, shown(&bytes)));
        let bytes = link.detour.sort(bytes);
        if !bytes.is_empty() {
            self.router.handle(net.now, Input::LinkBytes(key, &bytes));
        }
        self.pump(End::Link(key), net, history)
    }

    fn lose_session(&mut self, key: SessionKey, net: &mut Net) {
        net.trace.note(net.now, format_args!("tier {} lost {key:?}", self.index));
        if let Some(session) = self.sessions.remove(&key) {
            net.close_above(session.conn);
        }
        self.router.handle(net.now, Input::SessionLost(key));
    }

    fn lose_link(&mut self, key: LinkKey, why: LossReason, net: &mut Net) {
        net.trace.note(net.now, format_args!("tier {} lost {key:?}: {why:?}", self.index));
        self.close_link(key, net);
        self.router.handle(net.now, Input::LinkLost(key, why));
    }
}
