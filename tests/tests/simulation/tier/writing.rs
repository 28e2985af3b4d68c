//! Writing ends: first what the router holds for them, then what is relayed to them.

use pdw_router::{End, Input, LinkKey, SessionKey};

use super::{LinkState, Tier};
use crate::history::{History, Violation};
use crate::net::{ConnId, Net};
use crate::resp::shown;

impl Tier {
    /// Writes what did not go out before, and moves on what relays carry.
    pub(super) fn flush(&mut self, net: &mut Net, history: &mut History) -> Result<(), Violation> {
        std::mem::take(&mut self.unwritten).into_iter().try_for_each(|end| self.write(end, net, history))?;
        let carriers: Vec<End> = self.carriers().map(|(from, _)| from).collect();
        carriers.into_iter().try_for_each(|from| match from {
            End::Spool(key) => self.pump_spool(key, net, history),
            _ => self.pump(from, net, history),
        })
    }

    /// Ends from which a relay carries bytes, and where to.
    pub(super) fn carriers(&self) -> impl Iterator<Item = (End, End)> + '_ {
        let sessions = self.sessions.iter().map(|(key, session)| (End::Session(*key), &session.detour));
        let links = self.links.iter().map(|(key, link)| (End::Link(*key), &link.detour));
        let spools = self.spools.iter().filter_map(|(key, spool)| Some((End::Spool(*key), spool.carrier()?)));
        sessions.chain(links).filter_map(|(from, detour)| Some((from, detour.carried()?.0))).chain(spools)
    }

    pub(super) fn has_room(&self, end: End, net: &Net) -> bool {
        match end {
            End::Spool(key) => self.spools.contains_key(&key),
            _ => self.conn(end).is_some_and(|conn| net.has_room(conn, matches!(end, End::Link(_)))),
        }
    }

    /// The connection of an end that may be written.
    pub(super) fn conn(&self, end: End) -> Option<ConnId> {
        match end {
            End::Session(key) => self.sessions.get(&key).map(|session| session.conn),
            End::Link(key) => self.links.get(&key).and_then(|link| match link.state {
                LinkState::Open(conn) => Some(conn),
                _ => None,
            }),
            End::Spool(_) => None,
        }
    }

    /// Writes what the router holds for an end.
    pub(super) fn write(&mut self, end: End, net: &mut Net, history: &History) -> Result<(), Violation> {
        let all = match end {
            End::Session(key) => self.write_session(key, net),
            End::Link(key) => self.write_link(key, net, history)?,
            End::Spool(_) => true,
        };
        if !all && !self.unwritten.contains(&end) {
            self.unwritten.push(end);
        }
        Ok(())
    }

    /// Whether all of it went out.
    fn write_session(&mut self, key: SessionKey, net: &mut Net) -> bool {
        let Some(conn) = self.conn(End::Session(key)) else { return true };
        let bytes = self.router.session_output(key).to_vec();
        if bytes.is_empty() {
            return true;
        }
        let written = net.write(conn, false, &bytes);
        self.router.handle(net.now, Input::SessionWritten(key, written));
        written == bytes.len()
    }

    fn write_link(&mut self, key: LinkKey, net: &mut Net, history: &History) -> Result<bool, Violation> {
        let Some(conn) = self.conn(End::Link(key)) else { return Ok(true) };
        let bytes = self.router.link_output(net.now, key).to_vec();
        if bytes.is_empty() {
            return Ok(true);
        }
        let written = net.write(conn, true, &bytes);
        self.note_sent(key, &bytes[..written], net, history)?;
        self.router.handle(net.now, Input::LinkWritten(key, written));
        Ok(written == bytes.len())
    }

    pub(super) fn note_sent(
        &mut self,
        key: LinkKey,
        bytes: &[u8],
        net: &mut Net,
        history: &History,
    ) -> Result<(), Violation> {
        if bytes.is_empty() {
            return Ok(());
        }
        net.trace.note(net.now, format_args!("tier {} {key:?} wrote {}", self.index, shown(bytes)));
        match self.links.get_mut(&key) {
            Some(link) if self.audited => link.audit.written(bytes, net.now, history),
            _ => Ok(()),
        }
    }

    /// Moves on what the relay from an end carries.
    pub(super) fn pump(&mut self, from: End, net: &mut Net, history: &History) -> Result<(), Violation> {
        let Some((to, carried)) = self.detour(from).and_then(|detour| detour.carried()) else { return Ok(()) };
        let carried = carried.to_vec();
        let conn = self.conn(to);
        if conn.is_none() && !matches!(to, End::Spool(_)) || !self.router.may_relay(net.now, from) {
            return Ok(());
        }
        let moved = match (to, conn) {
            (End::Spool(key), _) => self.fill_spool(key, &carried, net),
            (_, Some(conn)) => net.write(conn, matches!(to, End::Link(_)), &carried),
            _ => 0,
        };
        if let End::Link(key) = to {
            self.note_sent(key, &carried[..moved], net, history)?;
        }
        if let Some(detour) = self.detour(from) {
            detour.delivered(moved);
        }
        if moved > 0 {
            net.trace.note(net.now, format_args!("tier {} relayed {moved} from {from:?} to {to:?}", self.index));
            self.router.handle(net.now, Input::Relayed(from, moved as u64));
        }
        Ok(())
    }
}
