//! The short way: what of a request is still to be looked at, command by command, worked out when a permit is compiled.
//!
//! All selectors together have one list of patterns, those that are quickly compared first. For a command there is a bit
//! for each of them: the request is allowed if its key fits one that has a bit. So selectors cost nothing, and
//! usually one comparison of one word tells.

use super::inside::Inside;
use super::{Access, Glob, Selector};
use crate::command::{BeginSearch, CommandId, CommandSpec, FindKeys, Flags, KeyFlags, KeySpec, PUBLISHED, Table};
use crate::resp::Request;

/// As many patterns have a bit; requests that others allow go the long way.
const PATTERNS: usize = u16::BITS as usize;

/// Where numbers of plain patterns begin.
const PLAIN: usize = PATTERNS;
/// Where numbers of what keys have inside begin.
const INSIDE: usize = PLAIN + PATTERNS;
/// No pattern.
const NO_FIRST: usize = INSIDE + PATTERNS;

/// Which arguments of a request are left to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// All, the long way.
    All,
    /// None: every request is allowed.
    Nothing,
    /// Argument 1, which is the only key.
    Key,
    /// Argument 1 and every so many behind it.
    Every(u8),
}

/// What is left to be looked at of a command's requests.
#[derive(Clone, Copy, Debug)]
struct Quick {
    left: Left,
    /// The first pattern that its only key may fit, as most do, if it is quickly compared: its number if it is simple, else
    /// from `PLAIN` on if it is plain, from `INSIDE` on that of what the key may have inside, else `NO_FIRST`.
    first: u8,
    /// A bit for each pattern that its keys may fit.
    patterns: u16,
}

/// The short way of a permit.
#[derive(Clone, Debug, Default)]
pub(super) struct Shortcuts {
    /// By number in the command table.
    commands: Box<[Quick]>,
    set: Option<CommandId>,
    /// What the key of a `SET` may fit that has no options, so that it does not read.
    plain_set: u16,
    patterns: Box<[Glob]>,
    /// Of those patterns that are about the inside of a key alone, what that is.
    insides: Box<[Inside]>,
}

impl Shortcuts {
    pub(super) fn of(selectors: &[Selector], table: &Table) -> Self {
        let patterns = Pattern::all(selectors);
        let quick = |spec| quick(selectors, &patterns, table, spec);
        let set = table.find(b"set");
        let plain = |id| bits(&patterns, &allowing(selectors, id, table.spec(id)), Access::WRITE);
        Self {
            commands: table.iter().take(PUBLISHED).map(quick).collect(),
            plain_set: set.map_or(0, plain),
            set,
            patterns: patterns.iter().map(|pattern| pattern.glob.clone()).collect(),
            insides: patterns.iter().filter_map(|pattern| pattern.glob.inside()).cloned().collect(),
        }
    }

    /// Whether it can be told by the short way that a request is allowed. If not it may be all the same.
    #[inline]
    pub(super) fn allow(&self, id: CommandId, request: &Request<'_>) -> bool {
        self.allow_first(id, request) || self.allow_otherwise(id, request)
    }

    /// By the first pattern, if the command needs one.
    ///
    /// Never inlined, and what is less often needed in other functions: so each needs few registers and saves none.
    #[inline(never)]
    fn allow_first(&self, id: CommandId, request: &Request<'_>) -> bool {
        let Some(quick) = self.commands.get(id.index()) else { return false };
        if quick.left == Left::Nothing {
            return true;
        }
        match self.patterns.get(usize::from(quick.first)) {
            Some(glob) => only_key(request).is_some_and(|(bytes, length)| glob.begins(bytes, length)),
            None if usize::from(quick.first) < INSIDE => self.allow_plain(quick.first, request),
            None => self.allow_inside(quick.first, request),
        }
    }

    #[inline(never)]
    fn allow_plain(&self, first: u8, request: &Request<'_>) -> bool {
        let Some(glob) = self.patterns.get(usize::from(first).wrapping_sub(PLAIN)) else { return false };
        only_key(request).is_some_and(|(bytes, length)| glob.surely_matches(bytes, length))
    }

    #[inline(never)]
    fn allow_inside(&self, first: u8, request: &Request<'_>) -> bool {
        let Some(inside) = self.insides.get(usize::from(first).wrapping_sub(INSIDE)) else { return false };
        let Some(key) = request.spans.get(1) else { return false };
        inside.is_surely_in(request.bytes, key.start as usize, key.end as usize)
    }

    #[inline(never)]
    fn allow_otherwise(&self, id: CommandId, request: &Request<'_>) -> bool {
        let Some(quick) = self.commands.get(id.index()) else { return false };
        match quick.left {
            Left::Key if request.spans.len() > 1 => self.allow_key(id, quick.patterns, request),
            Left::Every(step) => self.allow_keys(usize::from(step), quick.patterns, request),
            Left::Nothing => true,
            Left::Key | Left::All => false,
        }
    }

    fn allow_key(&self, id: CommandId, patterns: u16, request: &Request<'_>) -> bool {
        let key = request.arg(1);
        self.fits(patterns, key) || self.is_plain_set(id, request) && self.fits(self.plain_set, key)
    }

    /// Whether it is a `SET` without options, which does not read.
    fn is_plain_set(&self, id: CommandId, request: &Request<'_>) -> bool {
        self.set == Some(id) && request.spans.len() == 3 && request.missing == 0
    }

    fn allow_keys(&self, step: usize, patterns: u16, request: &Request<'_>) -> bool {
        let whole = request.missing == 0 && request.spans.len() > 1;
        whole && request.args(1).step_by(step).all(|key| self.fits(patterns, key))
    }

    fn fits(&self, mut patterns: u16, key: &[u8]) -> bool {
        while let Some(glob) = self.patterns.get(patterns.trailing_zeros() as usize) {
            if glob.matches(key) {
                return true;
            }
            patterns &= patterns - 1;
        }
        false
    }
}

/// The only key of a request: the bytes that begin with it, and how many it has.
#[inline]
fn only_key<'a>(request: &Request<'a>) -> Option<(&'a [u8], usize)> {
    let key = request.spans.get(1)?;
    Some((request.bytes.get(key.start as usize..)?, key.end.wrapping_sub(key.start) as usize))
}

/// A pattern, and where it comes from.
struct Pattern<'a> {
    /// Which selector.
    selector: usize,
    access: Access,
    glob: &'a Glob,
}

impl<'a> Pattern<'a> {
    /// Those of all selectors, as many as have a bit.
    fn all(selectors: &'a [Selector]) -> Vec<Self> {
        let of = |(selector, one): (usize, &'a Selector)| {
            one.keys.iter().map(move |key| Self { selector, access: key.access, glob: &key.glob })
        };
        let mut all: Vec<Self> = selectors.iter().enumerate().flat_map(of).collect();
        all.sort_by_key(|pattern| pattern.glob.cost());
        all.truncate(PATTERNS);
        all
    }
}

/// A bit for each pattern of these selectors that allows at least this.
fn bits(patterns: &[Pattern<'_>], selectors: &[usize], needed: Access) -> u16 {
    let fits = |pattern: &Pattern<'_>| pattern.access.contains(needed) && selectors.contains(&pattern.selector);
    patterns.iter().enumerate().filter(|(_, pattern)| fits(pattern)).fold(0, |bits, (at, _)| bits | 1 << at)
}

/// The selectors that allow a command, whatever its arguments, if they allow its keys.
fn allowing(selectors: &[Selector], id: CommandId, spec: &CommandSpec) -> Vec<usize> {
    let bare = Request { bytes: b"", spans: &[], missing: 0 };
    let listens = |one: &Selector| spec.flags.contains(Flags::PUBSUB) && !one.all_channels;
    let allows = |one: &Selector| !listens(one) && one.commands.allow(id, spec, &bare);
    (0..selectors.len()).filter(|&at| allows(&selectors[at])).collect()
}

fn quick(selectors: &[Selector], patterns: &[Pattern<'_>], table: &Table, spec: &CommandSpec) -> Quick {
    let allowing = table.find(spec.name.as_bytes()).map_or(Vec::new(), |id| allowing(selectors, id, spec));
    let all_keys = allowing.iter().any(|&at| selectors[at].all_keys);
    let left = if allowing.is_empty() { Left::All } else { left(spec, all_keys) };
    // One selector has to allow all keys of a request.
    let together = if let Left::Every(_) = left { &allowing[..1] } else { &allowing[..] };
    let needed = spec.keys.first().map_or(Access::all(), |keys| Access::needed(keys.flags));
    let bits = bits(patterns, together, needed);
    let first = if left == Left::Key { first(patterns, bits) } else { NO_FIRST } as u8;
    Quick { left, first, patterns: bits }
}

/// What the only key is held against first, of these patterns.
fn first(patterns: &[Pattern<'_>], bits: u16) -> usize {
    let lowest = bits.trailing_zeros() as usize;
    match patterns.get(lowest).map(|pattern| pattern.glob) {
        Some(glob) if glob.is_simple() => return lowest,
        Some(glob) if glob.is_plain() => return PLAIN + lowest,
        _ => {}
    }
    let insides = patterns.iter().enumerate().filter(|(_, pattern)| pattern.glob.inside().is_some());
    let place = insides.map(|(at, _)| at).position(|at| bits >> at & 1 == 1);
    place.map_or(NO_FIRST, |place| INSIDE + place)
}

/// What is left to be looked at of a command that is allowed. Flags that depend on the arguments are published as the most
/// that may be done.
fn left(spec: &CommandSpec, all_keys: bool) -> Left {
    let by_hand = matches!(&*spec.name, "sort" | "sort_ro" | "migrate");
    match &*spec.keys {
        _ if by_hand => Left::All,
        _ if all_keys => Left::Nothing,
        [] if !spec.flags.contains(Flags::MOVABLEKEYS) => Left::Nothing,
        [KeySpec { begin: BeginSearch::Index(1), find: FindKeys::Range { last, step, limit: 0 }, flags }]
            if !flags.contains(KeyFlags::NOT_KEY) =>
        {
            match (last, u8::try_from(*step)) {
                (0, _) => Left::Key,
                (-1, Ok(step)) if step > 0 => Left::Every(step),
                _ => Left::All,
            }
        }
        _ => Left::All,
    }
}
