//! All links: those with a connection of their own, and the streams that are carried on some of them.

use slotmap::SlotMap;

use crate::link::{Lane, Link};
use crate::order::LinkKey;

/// Links by key. There may be as many streams as sessions, so whatever looks at all of them looks at connections
/// alone, unless it says otherwise.
#[derive(Debug, Default)]
pub(crate) struct Links {
    all: SlotMap<LinkKey, Link>,
    /// Those that have a connection.
    connections: Vec<LinkKey>,
}

impl Links {
    pub(crate) fn insert(&mut self, link: Link) -> LinkKey {
        let carried = link.lane == Lane::Stream;
        let key = self.all.insert(link);
        if !carried {
            self.connections.push(key);
        }
        key
    }

    pub(crate) fn remove(&mut self, key: LinkKey) -> Option<Link> {
        let link = self.all.remove(key)?;
        if link.lane != Lane::Stream {
            self.connections.retain(|other| *other != key);
        }
        Some(link)
    }

    pub(crate) fn get(&self, key: LinkKey) -> Option<&Link> {
        self.all.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: LinkKey) -> Option<&mut Link> {
        self.all.get_mut(key)
    }

    /// Two different links at once.
    pub(crate) fn pair_mut(&mut self, one: LinkKey, other: LinkKey) -> Option<[&mut Link; 2]> {
        self.all.get_disjoint_mut([one, other])
    }

    pub(crate) fn contains_key(&self, key: LinkKey) -> bool {
        self.all.contains_key(key)
    }

    /// The connection at this position.
    pub(crate) fn at(&self, position: usize) -> Option<LinkKey> {
        self.connections.get(position).copied()
    }

    /// Those with a connection.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (LinkKey, &Link)> {
        self.connections.iter().filter_map(|key| Some((*key, self.all.get(*key)?)))
    }

    /// Those with a connection.
    pub(crate) fn values(&self) -> impl Iterator<Item = &Link> {
        self.iter().map(|(_, link)| link)
    }

    /// Streams too.
    pub(crate) fn everything(&self) -> impl Iterator<Item = (LinkKey, &Link)> {
        self.all.iter()
    }

    /// Streams too.
    pub(crate) fn everything_mut(&mut self) -> impl Iterator<Item = &mut Link> {
        self.all.values_mut()
    }

    /// How many streams there are.
    pub(crate) fn streams(&self) -> usize {
        self.all.len() - self.connections.len()
    }
}
