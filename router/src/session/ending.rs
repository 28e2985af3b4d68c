//! What is written to a session, and its end.

use super::Session;
use crate::order::{End, Output, SessionKey};
use crate::router::{Setup, Traffic};
use crate::stats::CloseReason;

impl Session {
    /// Bytes of replies that wait to be written.
    pub(crate) fn reply_bytes(&self) -> usize {
        self.unwritten().len()
    }

    /// Replies that wait to be written.
    pub(crate) fn unwritten(&self) -> &[u8] {
        &self.out[self.written..]
    }
}

impl Traffic {
    /// Reads nothing more of a session and closes it when everything is answered and written.
    pub(crate) fn finish_session(&mut self, setup: &Setup, key: SessionKey, reason: CloseReason) {
        if let Some(session) = self.sessions.get_mut(key) {
            session.finishing = true;
            session.reason = reason;
        }
        self.close_if_done(setup, key);
    }

    /// The client sends nothing more. What it sent before is still carried out and answered.
    pub(crate) fn session_ended(&mut self, setup: &Setup, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let broken = session.framed.is_some();
        // One that may be resumed is not over: what its driver writes until it hears of that is lost with the connection.
        session.ended = !broken;
        // The rest of a value that is being passed on will not come.
        if broken && self.sever_below(setup, key) {
            return self.outputs.push_back(Output::CloseSession(key));
        }
        if broken || self.relays.inner_of(End::Session(key)).is_some() {
            return self.close_session(setup, key);
        }
        self.close_if_done(setup, key);
    }

    /// So many bytes of a session's output are written.
    pub(crate) fn session_written(&mut self, setup: &Setup, key: SessionKey, bytes: usize) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        if session.carried.is_none() {
            self.stats.bytes.to_clients += bytes as u64;
        }
        if let Some(accepted) = &mut session.framed {
            let end = session.out.len().min(session.written + bytes);
            accepted.note_written(&session.out[session.written..end]);
        }
        session.written += bytes;
        session.note_taken(bytes, self.now);
        if session.written >= session.out.len() {
            session.written = 0;
            self.buffers.give_back_output(std::mem::take(&mut session.out));
            self.close_if_done(setup, key);
        } else if session.written > setup.limits.session_output_max {
            session.out.drain(..std::mem::take(&mut session.written));
        }
        self.refill(setup, key);
        self.wake_feeder(setup, End::Session(key));
        self.frames_written(key);
        self.resume_if_relieved(setup, key);
    }

    /// What is to be written to a session.
    pub(crate) fn session_output(&self, key: SessionKey) -> &[u8] {
        self.sessions.get(key).map_or(&[], |session| &session.out[session.written..])
    }

    /// Closes a session that is finishing once everything is answered and written.
    pub(crate) fn close_if_done(&mut self, setup: &Setup, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.finishing |= session.ended && session.paused.is_none();
        if session.finishing && session.held.is_some() {
            // Its EXEC will not come.
            self.answer_held(setup, key);
        }
        let relaying = self.is_relaying(End::Session(key));
        let Some(session) = self.sessions.get(key) else { return };
        let answered = session.first.is_none() && session.out.is_empty();
        // The rest of a request that is on a lane already will not come, and nor will its reply.
        if session.finishing && (answered || session.cut && !relaying) {
            self.close_session(setup, key);
        }
    }

    /// Forgets a session whose connection, or stream, is gone; whether it had a connection.
    pub(crate) fn session_lost(&mut self, setup: &Setup, key: SessionKey) -> bool {
        let Some(mut session) = self.sessions.remove(key) else { return false };
        let amid = session.is_amid();
        let severed = session.framed.as_ref().is_some_and(|accepted| accepted.severed.is_some());
        let connected = session.carried.is_none() && !severed;
        if connected || session.reason != CloseReason::Client && !severed {
            self.stats.sessions_closed[session.reason as usize] += 1;
        }
        session.carried.iter_mut().for_each(|end| self.carried_lost(end));
        session.framed.iter().for_each(|accepted| self.accepted_lost(setup, key, accepted));
        self.buffers.give_back_output(session.out);
        self.forget_pending(session.first);
        self.unparked.extend(session.source);
        for (from, remaining) in self.relays.drop_of(End::Session(key)) {
            if let End::Link(link) = from {
                self.orphan_stream(setup, link, remaining);
            }
        }
        self.leave_streams(session.streams, session.lane, amid);
        if let Some(lane) = session.lane.filter(|lane| !self.is_stream(*lane)) {
            self.abandon_lane(setup, lane, amid);
        }
        self.leave_spool(key, session.spooling);
        connected
    }
}
