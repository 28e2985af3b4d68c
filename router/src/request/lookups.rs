//! Commands that an upstream is being asked about, and the sessions that wait for the answers.

use std::collections::{BTreeSet, HashMap};

use crate::order::SessionKey;

/// Each command is asked about once, however many wait, and however many commands are asked about.
#[derive(Debug, Default)]
pub(crate) struct Lookups {
    waiting: HashMap<Vec<u8>, BTreeSet<SessionKey>>,
    /// By the number of the question.
    names: HashMap<u64, Vec<u8>>,
}

impl Lookups {
    /// Adds a session to those that wait for a command; whether the upstream is asked already.
    pub(crate) fn join(&mut self, name: &[u8], session: SessionKey) -> bool {
        self.waiting.get_mut(name).is_some_and(|waiting| {
            waiting.insert(session);
            true
        })
    }

    /// The upstream is asked about a command.
    pub(crate) fn begin(&mut self, number: u64, name: Vec<u8>, session: SessionKey) {
        self.names.insert(number, name.clone());
        self.waiting.insert(name, BTreeSet::from([session]));
    }

    /// A question is answered: the command, and who waited for it.
    pub(crate) fn end(&mut self, number: u64) -> Option<(Vec<u8>, BTreeSet<SessionKey>)> {
        let name = self.names.remove(&number)?;
        let waiting = self.waiting.remove(&name).unwrap_or_default();
        Some((name, waiting))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slotmap::SlotMap;

    #[test]
    fn whoever_waits_for_a_command_waits_once_and_for_that_one_alone() {
        let mut sessions = SlotMap::with_key();
        let [one, other] = [(); 2].map(|()| sessions.insert(()));
        let mut lookups = Lookups::default();
        assert!(!lookups.join(b"a", one));
        lookups.begin(1, b"a".to_vec(), one);
        lookups.begin(2, b"b".to_vec(), other);
        assert!(lookups.join(b"a", other) && lookups.join(b"a", other));
        assert_eq!(lookups.end(1), Some((b"a".to_vec(), BTreeSet::from([one, other]))));
        assert_eq!((lookups.end(1), lookups.join(b"a", one)), (None, false));
        assert_eq!(lookups.end(2), Some((b"b".to_vec(), BTreeSet::from([other]))));
    }
}
