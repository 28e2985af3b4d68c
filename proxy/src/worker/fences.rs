//! Fences between proxies, which all workers of a process put up: what one worker's router has to say to the others'.

use pdw_router::{FenceCall, Input};

use super::Worker;
use super::mailbox::{Letter, Mailbox};

impl Worker {
    /// Has it know the mailboxes of all workers of the process, in order.
    pub(crate) fn meet(&mut self, crew: Vec<Mailbox>) {
        self.crew = crew;
    }

    /// Tells all other workers that a proxy is to be fenced off, whose links have this name.
    pub(super) fn call_fence(&mut self, number: u64, name: &str) {
        let call = FenceCall { worker: self.nth, number };
        for nth in (0..self.crew.len()).filter(|nth| *nth != self.nth) {
            if !self.crew[nth].try_put(Letter::FenceWanted(call, name.to_owned())) {
                // It has ended. What it has left to instances nobody can tell any more.
                self.router.handle(self.now, Input::FenceAnswered(number, false));
            }
        }
    }

    /// Tells the worker that has called for a fence whether it stands here.
    pub(super) fn answer_fence(&self, call: FenceCall, confirmed: bool) {
        if let Some(mailbox) = self.crew.get(call.worker) {
            mailbox.put(Letter::FenceAnswered(call.number, confirmed));
        }
    }
}
