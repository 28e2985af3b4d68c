//! Who there is: instances, proxies before them, perhaps proxies before those.

use std::ops::Range;

use super::scene::Kind;
use crate::cli::UpArgs;

/// How many there are of each. Members are numbered: instances, spines, leaves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) instances: usize,
    pub(super) spines: usize,
    pub(super) leaves: usize,
}

impl Plan {
    pub(super) fn new(args: &UpArgs) -> Self {
        Self { instances: args.instances.into(), spines: args.spines.into(), leaves: args.leaves.into() }
    }

    /// All proxies.
    pub(super) fn proxies(self) -> Range<usize> {
        self.instances..self.instances + self.spines + self.leaves
    }

    /// The proxy that clients know: the first leaf, or the first spine where there are no leaves.
    pub(super) fn front(self) -> usize {
        self.instances + if self.leaves > 0 { self.spines } else { 0 }
    }

    pub(super) fn is_leaf(self, member: usize) -> bool {
        member >= self.instances + self.spines
    }

    pub(super) fn kind(self, member: usize) -> Kind {
        if member < self.instances { Kind::Instance } else { Kind::Proxy }
    }

    /// What a member is called.
    pub(super) fn name(self, member: usize) -> String {
        let proxy = member.saturating_sub(self.instances);
        match self.kind(member) {
            Kind::Instance => format!("instance-{member}"),
            Kind::Proxy if self.leaves == 0 => format!("proxy-{proxy}"),
            Kind::Proxy if self.is_leaf(member) => format!("leaf-{}", proxy - self.spines),
            Kind::Proxy => format!("spine-{proxy}"),
        }
    }

    /// The proxies, counted from 0, that have links to a member.
    pub(super) fn below(self, member: usize) -> Range<usize> {
        match self.kind(member) {
            Kind::Instance => 0..self.spines,
            Kind::Proxy if self.is_leaf(member) => 0..0,
            Kind::Proxy => self.spines..self.spines + self.leaves,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_has_a_name_and_those_below_it() {
        let tree = Plan { instances: 2, spines: 2, leaves: 1 };
        let names: Vec<String> = (0..5).map(|member| tree.name(member)).collect();
        assert_eq!(names, ["instance-0", "instance-1", "spine-0", "spine-1", "leaf-0"]);
        let below: Vec<_> = (0..5).map(|member| tree.below(member)).collect();
        assert_eq!(below, [0..2, 0..2, 2..3, 2..3, 0..0]);
        assert_eq!((tree.front(), tree.proxies()), (4, 2..5));
    }

    #[test]
    fn one_proxy_alone_is_no_tree() {
        let alone = Plan { instances: 3, spines: 1, leaves: 0 };
        assert_eq!((alone.name(3), alone.front(), alone.below(3)), ("proxy-0".to_owned(), 3, 1..1));
    }
}
