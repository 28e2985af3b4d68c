//! What the instances were sent: nothing twice, and nothing that was said not to have been sent.

use std::collections::HashMap;

use pdw_router::limits::Limits;
use pdw_router::stats::Stats;

use super::client::Client;
use super::setup::LARGE_MIN;
use super::story::words;

/// Commands of one key that go to its home as they are.
const WHOLE: [&[u8]; 4] = [b"get", b"set", b"append", b"setrange"];

/// How often the instances were sent each request.
#[derive(Debug, Default)]
pub(super) struct Carried(HashMap<Vec<Vec<u8>>, usize>);

/// Whether a request can be recognised at an instance. In a large one may be what no scanner accepts.
fn is_counted(args: &[Vec<u8>]) -> bool {
    WHOLE.contains(&args[0].to_ascii_lowercase().as_slice()) && args.iter().all(|arg| arg.len() < LARGE_MIN)
}

impl Carried {
    /// An instance was sent this.
    pub(super) fn note(&mut self, args: &[Vec<u8>]) {
        if is_counted(args) {
            *self.0.entry(args.to_vec()).or_default() += 1;
        }
    }

    /// Holds it against what the clients sent, but for what they were told has not been sent on. Profile `pdwfs`
    /// says how often it sent something again: after a loss, which is never done with APPEND, or after an error
    /// that passes.
    pub(super) fn check(&self, limits: &Limits, clients: &[Client], stats: &Stats) {
        let retries = stats.retries.iter().sum::<u64>() as usize;
        let again = retries + stats.repeats.iter().sum::<u64>() as usize;
        let mut asked: HashMap<Vec<Vec<u8>>, usize> = HashMap::new();
        for args in clients.iter().flat_map(|client| client.may_have_been_sent_on(limits)) {
            *asked.entry(args).or_default() += 1;
        }
        for (args, count) in &self.0 {
            let times = 1 + if args[0].eq_ignore_ascii_case(b"append") { retries } else { again };
            let most = times * asked.get(args).copied().unwrap_or_default();
            assert!(*count <= most, "{} was sent {count} times, asked {most} times", words(args));
        }
    }
}
