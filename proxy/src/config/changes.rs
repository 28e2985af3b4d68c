//! Two configurations compared: what a running proxy can take of the second.

use super::kind::Reload;
use super::options::{OPTIONS, OptionSpec};
use super::{Config, ListenConfig, UpstreamConfig};

/// What belongs to the process, so that not even new workers can take another value.
pub(crate) const FIXED: [&str; 3] = ["admin", "instances", "state_dir"];

/// What has become of the upstreams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Upstreams {
    /// The same order, names and weights. Those of these indices have another address.
    Moved(Vec<usize>),
    /// Another order or number, other names or weights: keys would be looked for elsewhere.
    Replaced,
}

/// What a new configuration changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Options that a running proxy takes.
    pub(crate) live: Vec<&'static str>,
    /// Options that take effect at the next start.
    pub(crate) restart: Vec<&'static str>,
    /// The option `upstreams`.
    pub(crate) upstreams: Upstreams,
}

impl Changes {
    /// What is different in `new`.
    pub(crate) fn between(old: &Config, new: &Config) -> Self {
        let changed = |option: &&OptionSpec| old.values.get(option.name) != new.values.get(option.name);
        let names = |reload: Reload| {
            let changed = OPTIONS.iter().filter(changed).filter(|option| option.name != "upstreams");
            let changed = changed.filter(|option| option.name != "listen" || !same_places(&old.listen, &new.listen));
            changed.filter(|option| option.reload == reload).map(|option| option.name).collect()
        };
        let upstreams = compare(&old.upstreams, &new.upstreams);
        Self { live: names(Reload::Live), restart: names(Reload::Restart), upstreams }
    }
}

fn compare(old: &[UpstreamConfig], new: &[UpstreamConfig]) -> Upstreams {
    let stays = |(old, new): (&UpstreamConfig, &UpstreamConfig)| old.name == new.name && old.weight == new.weight;
    if old.len() != new.len() || !old.iter().zip(new).all(stays) {
        return Upstreams::Replaced;
    }
    let differs =
        |old: &UpstreamConfig, new: &UpstreamConfig| old.address != new.address || old.seal.kind() != new.seal.kind();
    Upstreams::Moved((0..old.len()).filter(|index| differs(&old[*index], &new[*index])).collect())
}

/// Whether the addresses, and the kinds of seals on them, are the same. Their keys and certificates may change.
fn same_places(old: &[ListenConfig], new: &[ListenConfig]) -> bool {
    let same =
        |(old, new): (&ListenConfig, &ListenConfig)| old.address == new.address && old.seal.kind() == new.seal.kind();
    old.len() == new.len() && old.iter().zip(new).all(same)
}

impl Config {
    /// Keeps what not even new workers can take of another configuration.
    pub(crate) fn keep_fixed(&mut self, old: &Config) {
        self.admin.clone_from(&old.admin);
        self.instances = old.instances;
        self.state_dir.clone_from(&old.state_dir);
        for name in FIXED {
            if let Some(value) = old.values.get(name) {
                self.values.insert(name, value.clone());
            }
        }
    }

    /// Takes what a running proxy can take of `new`: everything but what needs a restart.
    pub(crate) fn adopt(&mut self, new: &Config) {
        self.log.clone_from(&new.log);
        self.limits = new.limits.clone();
        self.times = new.times.clone();
        self.upstreams.clone_from(&new.upstreams);
        self.users.clone_from(&new.users);
        let resealed = same_places(&self.listen, &new.listen);
        if resealed {
            self.listen.clone_from(&new.listen);
        }
        let taken = |option: &&OptionSpec| match option.name {
            "upstreams" => true,
            "listen" => resealed,
            _ => option.reload == Reload::Live,
        };
        for option in OPTIONS.iter().filter(taken) {
            if let Some(value) = new.values.get(option.name) {
                self.values.insert(option.name, value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::tests::config;

    #[test]
    fn what_needs_a_restart_is_told_until_it_is_as_it_was() {
        let mut old = config("upstreams = [\"a:1\"]\nworkers = 1\n").unwrap();
        let new = config("upstreams = [\"a:1\"]\nworkers = 2\nlog = \"info\"\n[times]\ndrain = \"1s\"\n").unwrap();
        let changes = Changes::between(&old, &new);
        assert_eq!(changes.live, ["log", "times.drain"]);
        assert_eq!(changes.restart, ["workers"]);
        assert_eq!(changes.upstreams, Upstreams::Moved(Vec::new()));
        old.adopt(&new);
        assert_eq!((old.workers, old.times.drain), (1, Duration::from_secs(1)));
        let changes = Changes::between(&old, &new);
        assert_eq!((changes.live.len(), changes.restart), (0, vec!["workers"]));
    }

    #[test]
    fn new_workers_take_all_but_what_belongs_to_the_process() {
        let old = config("instances = 2\n").unwrap();
        let text = "instances = 3\nadmin = \"127.0.0.1:1\"\nstate_dir = \"/x\"\nspool = \"/y\"\nworkers = 2\n";
        let mut new = config(text).unwrap();
        new.keep_fixed(&old);
        assert_eq!((new.instances, &new.admin, &new.state_dir), (2, &None, &None));
        assert_eq!(Changes::between(&old, &new).restart, ["workers", "spool"]);
    }

    #[test]
    fn every_live_option_is_adopted() {
        let new = "upstreams = [\"a:1\"]\ngroup.password_env = \"PATH\"\nlog = \"info\"\n[limits]\nlarge_min = \"1MiB\"\nbulk_lanes = 3\nkey_max = \"1KiB\"\n\
                   [times]\npatience = \"7s\"\ntcp_keepalive = \"61s\"\n";
        let (mut old, new) = (config("upstreams = [\"a:1\"]\n").unwrap(), config(new).unwrap());
        old.adopt(&new);
        assert_eq!((&old.limits, &old.times, &old.log), (&new.limits, &new.times, &new.log));
        assert!(old.upstreams[0].credentials.is_some());
        let places = ["limits.", "times.", "log", "user", "group.user", "group.password"];
        let live = OPTIONS.iter().filter(|option| option.reload == Reload::Live);
        assert!(live.map(|option| option.name).all(|name| places.iter().any(|place| name.starts_with(place))));
    }

    #[test]
    fn upstreams_move_if_their_names_stay_in_place() {
        let list = |text: &str| config(&format!("placement = \"ring\"\nupstreams = [{text}]\n")).unwrap().upstreams;
        let old = list("{address = \"a:1\", name = \"x\"}, {address = \"b:1\", name = \"y\"}");
        let moved = list("{address = \"a:1\", name = \"x\"}, {address = \"c:1\", name = \"y\"}");
        assert_eq!(compare(&old, &moved), Upstreams::Moved(vec![1]));
        for other in [
            "{address = \"b:1\", name = \"y\"}, {address = \"a:1\", name = \"x\"}",
            "{address = \"a:1\", name = \"x\"}",
            "{address = \"a:1\", name = \"x\"}, {address = \"b:1\", name = \"y\", weight = 2}",
            "{address = \"a:1\", name = \"x\"}, \"b:1\"",
        ] {
            assert_eq!(compare(&old, &list(other)), Upstreams::Replaced, "{other}");
        }
    }
}
