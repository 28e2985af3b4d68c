//! What is demanded of the other end of a framed link for which there is no credit: that it takes what it is told, and
//! closes the streams that are over.

use crate::order::{LinkKey, SessionKey};
use crate::peer::frame::FrameError;
use crate::router::{Setup, Traffic};

/// No more than this, and what is kept of a link that was resumed, waits for an end that goes on sending: what it is sent
/// without having credit for it are words about streams and answers to questions, and it takes those, unless it means harm.
const UNTAKEN_MAX: usize = 1 << 20;

/// So many streams beyond `limits.sessions_max` may wait to be turned away, or for the other end to close them, too. All
/// that one read brings are fewer.
const TURNED_AWAY_MAX: usize = 16 << 10;

/// How many sessions there may be with those that are turned away, or streams of a link that only this end has closed.
pub(crate) fn most_streams(setup: &Setup) -> usize {
    setup.limits.sessions_max.saturating_add(TURNED_AWAY_MAX)
}

impl Traffic {
    /// # Errors
    /// The proxy below sends, and has not taken what it was sent for too long, or does not close its streams.
    pub(crate) fn demand_taken(&self, setup: &Setup, key: SessionKey) -> Result<(), FrameError> {
        let Some(session) = self.sessions.get(key) else { return Ok(()) };
        let Some(accepted) = session.framed.as_ref() else { return Ok(()) };
        let untaken = session.reply_bytes() + accepted.carrier.bytes();
        let takes = untaken <= UNTAKEN_MAX + setup.limits.resume_max;
        if takes && accepted.carrier.closing() <= most_streams(setup) { Ok(()) } else { Err(FrameError::Deaf) }
    }

    /// # Errors
    /// The proxy above does not close the streams that are over.
    pub(crate) fn demand_closed(&self, setup: &Setup, key: LinkKey) -> Result<(), FrameError> {
        let carrier = self.links.get(key).and_then(|link| link.framed.as_ref()).map(|framed| &framed.carrier);
        let closing = carrier.map_or(0, |carrier| carrier.closing());
        if closing <= most_streams(setup) { Ok(()) } else { Err(FrameError::Deaf) }
    }
}
