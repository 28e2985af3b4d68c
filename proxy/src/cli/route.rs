//! `pdw-proxy route`: on which shard a key lives, and why.

use std::io::{self, BufRead, Write};
use std::os::unix::ffi::OsStrExt;

use pdw_router::place::{Homes, LayoutKind, Located, Placement, PlacementError, Rule, RuleError};

use super::{RouteArgs, ServeArgs, print};
use crate::config::{Config, Mistakes};

/// Why nothing, or not everything, was routed.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// The configuration is wrong.
    #[error(transparent)]
    Mistakes(#[from] Mistakes),
    /// Where keys live is said by others, once they are asked.
    #[error(
        "group.kind = \"peers\": where keys live is learned from the peers when they are met; give the configuration of \
         a proxy before the instances"
    )]
    Peers,
    /// The placement cannot be built.
    #[error(transparent)]
    Placement(#[from] PlacementError),
    /// A rule is wrong.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// Keys cannot be read or places cannot be written.
    #[error("standard input or output failed: {0}; check that both are open")]
    Io(#[from] io::Error),
}

/// Prints the place of each key.
///
/// # Errors
/// A configuration that is wrong, or standard input or output that fails.
pub fn route(args: &RouteArgs) -> Result<(), RouteError> {
    let mut guide = Guide::new(args)?;
    for key in &args.keys {
        match key.as_bytes() {
            b"-" => guide.tell_input()?,
            key => guide.tell(key)?,
        }
    }
    Ok(print::all(&guide.out)?)
}

/// Bytes of output that are printed at once, so that any number of keys fits in memory.
const OUTPUT_CHUNK: usize = 64 * 1024;

/// Where keys live under one configuration, and the lines that say so.
struct Guide {
    homes: Homes,
    rules: Vec<Rule>,
    verbose: bool,
    out: Vec<u8>,
}

impl Guide {
    fn new(args: &RouteArgs) -> Result<Self, RouteError> {
        let config = Config::from_args(&as_serve(args))?;
        if config.peer_links.is_some() {
            return Err(RouteError::Peers);
        }
        let targets = args.shards.map_or_else(|| config.targets(), |shards| Config::own_instances(shards.into()));
        let placement = Placement::new(&config.placement, &targets)?;
        let homes = Homes::new(placement, config.rules.clone())?;
        Ok(Self { homes, rules: config.rules, verbose: args.verbose, out: Vec::new() })
    }

    /// Tells of each line of standard input.
    fn tell_input(&mut self) -> io::Result<()> {
        io::stdin().lock().split(b'\n').try_for_each(|key| self.tell(&key?))
    }

    fn tell(&mut self, key: &[u8]) -> io::Result<()> {
        let explanation = if self.verbose { self.explain(key) } else { String::new() };
        self.out.extend_from_slice(key);
        let index = match self.homes.locate(key) {
            Located::Home(shard) => shard.index().to_string(),
            Located::Spread(_) => "*".to_owned(),
        };
        writeln!(self.out, "\t{index}{explanation}")?;
        if self.out.len() > OUTPUT_CHUNK {
            print::all(&self.out)?;
            self.out.clear();
        }
        Ok(())
    }

    /// `<TAB>name=value` for everything that decided.
    fn explain(&self, key: &[u8]) -> String {
        let why = self.homes.explain(key);
        let rule = why.rule.as_ref().and_then(|name| self.rules.iter().find(|rule| rule.name == *name));
        let fields = [
            Some(("rule", why.rule.clone().unwrap_or_else(|| "none".to_owned()))),
            why.layout.map(|layout| ("layout", layout.to_string())),
            Some(("hashed", why.hashed_part.escape_ascii().to_string())),
            why.number.map(|number| ("number", number.to_string())),
            why.slot.map(|slot| ("slot", slot.to_string())),
        ];
        let spread =
            rule.filter(|rule| rule.layout == LayoutKind::PartialSet).map(|rule| self.explain_members(rule, key));
        let told = fields.into_iter().flatten().chain(spread.into_iter().flatten());
        told.map(|(name, value)| format!("\t{name}={value}")).collect()
    }

    /// Of a set whose members are spread: the key at whose home a member lives, and the member that stays.
    fn explain_members(&self, rule: &Rule, key: &[u8]) -> Vec<(&'static str, String)> {
        let template = rule.member.clone().unwrap_or_default();
        let mut fields = vec![("member", template)];
        if let Some(anchor) = &rule.anchor {
            fields.push(("anchor", format!("{anchor:?}@{}", self.homes.own_home(key).index())));
        }
        fields
    }
}

/// The configuration that the arguments describe, as `serve` would have it.
fn as_serve(args: &RouteArgs) -> ServeArgs {
    ServeArgs {
        config: args.config.clone(),
        placement: args.placement.clone(),
        profile: args.profile.clone(),
        ..ServeArgs::default()
    }
}
