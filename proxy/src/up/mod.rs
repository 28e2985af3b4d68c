//! `pdw-proxy up`: instances and proxies, one or a tree of them, as real processes on one screen, to be looked at and
//! broken on purpose.
//!
//! ```text
//!   terminal ──► wishes ─┐                        ┌─► watchdog ─► instances, proxies   (embedded)
//!   standard input ──────┼─► loop: scene ◄────────┤
//!   signals ─────────────┘    │                   └── events
//!                             ▼          ◄── numbers ── /metrics of each proxy
//!                      screen or lines   ◄── load: clients of the first proxy, on and off
//! ```

mod lines;
mod load;
mod numbers;
mod plan;
mod scene;
mod screen;
mod wish;

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::cli::UpArgs;
use crate::embedded::{EmbeddedError, Event, Order, Tier};
use lines::Lines;
use load::Load;
use numbers::Watcher;
use plan::Plan;
use scene::Scene;
use screen::Screen;
use wish::{Wish, Wishes};

/// How often the picture is drawn anew when nothing happens.
const TICK: Duration = Duration::from_millis(500);

/// Why there is nothing to look at.
#[derive(Debug, thiserror::Error)]
pub enum UpError {
    /// The processes cannot be started.
    #[error("{0}")]
    Start(String),
    /// The proxy ended before it served.
    #[error("the proxy did not start: {0}")]
    Proxy(String),
    /// The watchdog is gone, and all processes with it.
    #[error("the watchdog of the processes is gone, and they with it: start anew")]
    Watchdog,
    /// The terminal or the kernel fails.
    #[error("the terminal cannot be used ({0}): try --plain")]
    Terminal(#[from] io::Error),
}

impl From<EmbeddedError> for UpError {
    fn from(error: EmbeddedError) -> Self {
        Self::Start(error.to_string())
    }
}

/// Runs until the operator has seen enough.
///
/// # Errors
/// Why it could not begin, or had to end.
pub fn run(args: &UpArgs) -> Result<(), UpError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(up(args));
    // A thread may still wait for the next key.
    runtime.shutdown_background();
    outcome
}

async fn up(args: &UpArgs) -> Result<(), UpError> {
    let screen = !args.plain && io::stdout().is_terminal() && io::stdin().is_terminal();
    let plan = Plan::new(args);
    let tier = Tier::start(plan.instances, plan.spines + plan.leaves, &|sockets, member| {
        proxy_arguments(args, plan, sockets, member)
    })?;
    let (outcome, tier) = match Show::new(args, &tier, screen) {
        Ok(show) => show.run(tier).await,
        Err(error) => (Err(error.into()), tier),
    };
    // The screen is gone by now: what is said next is seen.
    tier.end().await;
    outcome
}

/// How a proxy is started: a leaf before the spines, a spine before the instances.
fn proxy_arguments(args: &UpArgs, plan: Plan, sockets: &[PathBuf], member: usize) -> Vec<OsString> {
    let mut words: Vec<OsString> = ["serve", "--name", &plan.name(member)].map(Into::into).to_vec();
    if member == plan.front() {
        words.extend(["--listen", &args.listen].map(OsString::from));
    }
    words.extend(["--listen".into(), sockets[member].clone().into()]);
    words.extend(["--admin".into(), admin_of(args, plan, sockets, member).into()]);
    let above = if plan.is_leaf(member) { plan.instances..plan.instances + plan.spines } else { 0..plan.instances };
    for upstream in above {
        let mut named = OsString::from(format!("{}=", plan.name(upstream)));
        named.push(&sockets[upstream]);
        words.extend(["--upstream".into(), named]);
    }
    if plan.is_leaf(member) {
        words.extend(["--group", "peers"].map(OsString::from));
    }
    let placement = args.placement.as_ref().filter(|_| !plan.is_leaf(member));
    for (flag, value) in [("--profile", args.profile.as_ref()), ("--placement", placement)] {
        words.extend(value.into_iter().flat_map(|value| [flag.into(), value.into()]));
    }
    words.extend(args.workers.iter().flat_map(|workers| ["--workers".into(), workers.to_string().into()]));
    words
}

/// Where a proxy serves its numbers.
fn admin_of(args: &UpArgs, plan: Plan, sockets: &[PathBuf], member: usize) -> String {
    match member == plan.front() {
        true => args.admin.clone(),
        false => sockets[member].with_extension("admin").display().to_string(),
    }
}

/// The picture, and everything that changes it.
struct Show {
    scene: Scene,
    face: Face,
    wishes: Wishes,
    /// One for each proxy.
    watchers: Vec<Watcher>,
    load: Load,
}

/// How the picture is shown.
enum Face {
    Screen(Screen),
    Lines(Lines),
}

impl Show {
    fn new(args: &UpArgs, tier: &Tier, screen: bool) -> io::Result<Self> {
        let (sockets, plan) = (tier.sockets(), Plan::new(args));
        let front = sockets.get(plan.front()).cloned().unwrap_or_default();
        let watch = |member| Watcher::start(&admin_of(args, plan, sockets, member));
        Ok(Self {
            scene: Scene::new(args, sockets),
            face: if screen { Face::Screen(Screen::open()?) } else { Face::Lines(Lines::new()) },
            wishes: if screen { Wishes::of_keys() } else { Wishes::of_lines() },
            watchers: plan.proxies().map(watch).collect(),
            load: Load::new(front),
        })
    }

    /// Runs to the end of the show; the processes are handed back, to be ended.
    async fn run(mut self, mut tier: Tier) -> (Result<(), UpError>, Tier) {
        let outcome = self.play(&mut tier).await;
        (outcome, tier)
    }

    async fn play(&mut self, tier: &mut Tier) -> Result<(), UpError> {
        let mut tick = tokio::time::interval(TICK);
        let [mut interrupt, mut terminate, mut hangup] =
            [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?];
        loop {
            tokio::select! {
                event = tier.next() => self.note(event.ok_or(UpError::Watchdog)?)?,
                wish = self.wishes.next() => match wish {
                    Wish::Quit => return Ok(()),
                    wish => self.grant(wish, tier).await?,
                },
                _ = tick.tick() => {
                    let numbers = self.watchers.iter().map(Watcher::latest).collect();
                    self.scene.tell(numbers, self.load.report());
                }
                _ = interrupt.recv() => return Ok(()),
                _ = terminate.recv() => return Ok(()),
                _ = hangup.recv() => return Ok(()),
            }
            self.show()?;
        }
    }

    fn note(&mut self, event: Event) -> Result<(), UpError> {
        match self.scene.note(event) {
            Some(how) => Err(UpError::Proxy(how)),
            None => Ok(()),
        }
    }

    async fn grant(&mut self, wish: Wish, tier: &mut Tier) -> io::Result<()> {
        match wish {
            Wish::Select(index) => self.scene.select(index),
            Wish::Move(by) => self.scene.move_selection(by),
            Wish::Load => {
                self.load.toggle();
                self.scene.say(if self.load.is_on() { "load on" } else { "load off" });
            }
            Wish::Restart => {
                let index = self.scene.selected();
                tier.order(Order::Kill, index).await?;
                tier.order(Order::Start, index).await?;
                self.scene.ordered("restart", index);
            }
            Wish::Order(order) => {
                let index = self.scene.selected();
                tier.order(order, index).await?;
                self.scene.obey(order, index);
            }
            Wish::Unknown(text) => self.scene.say(&format!("`{text}` is none of: {}", wish::WORDS)),
            Wish::Quit => {}
        }
        Ok(())
    }

    fn show(&mut self) -> io::Result<()> {
        match &mut self.face {
            Face::Screen(screen) => screen.draw(&self.scene),
            Face::Lines(lines) => lines.draw(&mut self.scene),
        }
    }
}
