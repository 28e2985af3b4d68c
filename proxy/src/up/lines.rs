//! The picture without a terminal: what happens as it happens, and the state now and then.

use std::io;
use std::time::{Duration, Instant};

use super::scene::{Kind, Scene, latency};
use crate::cli::say;

/// Time between two lines of state.
const PERIOD: Duration = Duration::from_secs(2);

/// What has been written.
pub(super) struct Lines {
    seen: usize,
    next: Instant,
    /// All processes have answered, and what to try was told.
    begun: bool,
}

impl Lines {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self { seen: 0, next: Instant::now(), begun: false }
    }

    /// Writes what is new.
    pub(super) fn draw(&mut self, scene: &mut Scene) -> io::Result<()> {
        let (news, seen) = scene.news(self.seen);
        news.for_each(|(when, text)| say(&format!("{:>5.1} s  {text}", when.as_secs_f64())));
        self.seen = seen;
        let all_up = [Kind::Instance, Kind::Proxy].iter().all(|kind| scene.up(*kind).0 == scene.up(*kind).1);
        if all_up && !std::mem::replace(&mut self.begun, true) {
            say(&format!("serves on {}; try:\n  {}", scene.listen, scene.tries().join("\n  ")));
            say(&format!("on standard input: {}; Ctrl-C ends all of it", super::wish::WORDS));
        }
        if self.begun && self.next <= Instant::now() {
            self.next = Instant::now() + PERIOD;
            say(&state(scene));
        }
        Ok(())
    }
}

fn state(scene: &Scene) -> String {
    let (proxies, instances) = (scene.up(Kind::Proxy), scene.up(Kind::Instance));
    let mut text = format!(
        "{:>5.1} s  proxies {}/{}  instances {}/{}",
        scene.elapsed().as_secs_f64(),
        proxies.0,
        proxies.1,
        instances.0,
        instances.1
    );
    match scene.number("pdw_sessions") {
        Some(sessions) => {
            let rates = &scene.rates;
            text += &format!(
                "  requests/s {:.0}  p50 {}  p99 {}  refusals/s {:.0}  sessions {sessions}",
                rates.requests,
                latency(rates.half),
                latency(rates.most),
                rates.refusals
            );
        }
        None => text += "  no numbers",
    }
    if scene.load.on {
        let load = &scene.load;
        text += &format!("  load: good {} errors {} lost {}", load.good, load.errors, load.lost);
    }
    text
}
