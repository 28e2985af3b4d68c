//! What a placement is built from, and the one door to all of them.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::continuum::Continuum;
use super::ring::{Ring, WEIGHT_SUM_MAX};
use super::slots::{self, SLOTS, SlotTable};
use super::{KeyHash, Shard, hash_tag, ketama, pdwfs};

/// The most shards a group can have: past the number of Redis Cluster's slots some would get none.
pub const MAX_SHARDS: usize = SLOTS as usize;

/// One shard as a placement sees it. The configured order counts: a shard is its position in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What identifies it on a ring (`ring`, `ketama`): its address, or a name that survives a move to another address.
    pub name: String,
    /// Share of the keys relative to the others; `pdwfs` and `slots` know only 1.
    pub weight: u32,
}

impl Target {
    /// A target with a name of its own, as in twemproxy's `host:port:weight name`.
    pub fn named(name: String, weight: u32) -> Self {
        Self { name, weight }
    }

    /// A target known by its address (`host:port` or the path of a UNIX socket), labelled as twemproxy labels a server
    /// without a name: port 11211 is left out, a socket's path gets a colon.
    pub fn at(address: &str, weight: u32) -> Self {
        Self { name: ketama::label_of_address(address), weight }
    }
}

/// Which placement; the text form is the configuration's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PlacementKind {
    /// The ring of pdwfs's own client (PDWFS.md section 2).
    Pdwfs,
    /// The `consistent_hash_ring` crate with XXH64: adding a shard moves only the keys it takes over.
    Ring,
    /// twemproxy's `distribution: ketama`.
    Ketama,
    /// Redis Cluster's 16,384 slots in equal ranges.
    Slots,
}

const KINDS: [(PlacementKind, &str); 4] = [
    (PlacementKind::Pdwfs, "pdwfs"),
    (PlacementKind::Ring, "ring"),
    (PlacementKind::Ketama, "ketama"),
    (PlacementKind::Slots, "slots"),
];

impl fmt::Display for PlacementKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(KINDS.iter().find(|(kind, _)| kind == self).map_or("", |(_, name)| name))
    }
}

/// A placement name that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown placement {0:?}: use pdwfs, ring, ketama or slots")]
pub struct UnknownPlacement(pub String);

impl FromStr for PlacementKind {
    type Err = UnknownPlacement;

    fn from_str(text: &str) -> Result<Self, UnknownPlacement> {
        let row = KINDS.iter().find(|(_, name)| *name == text);
        row.map(|(kind, _)| *kind).ok_or_else(|| UnknownPlacement(text.to_owned()))
    }
}

/// How keys are placed, apart from what they are placed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacementOptions {
    /// Which placement.
    pub kind: PlacementKind,
    /// How `ketama` hashes a key; the others have a hash of their own.
    pub hash: KeyHash,
    /// The delimiters of the part of a key that is hashed, `None` for the whole key. Fixed to `{}` for `pdwfs` and `slots`.
    pub hash_tag: Option<[u8; 2]>,
}

impl PlacementOptions {
    /// The placement's defaults: hash tags in braces, but none for `ketama`, as in twemproxy.
    pub fn new(kind: PlacementKind) -> Self {
        let hash_tag = (kind != PlacementKind::Ketama).then_some(hash_tag::BRACES);
        Self { kind, hash: KeyHash::default(), hash_tag }
    }
}

/// Why a placement cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlacementError {
    /// The list of targets is empty.
    #[error("no shards to place keys on: configure at least one upstream")]
    NoTargets,
    /// More targets than [`MAX_SHARDS`].
    #[error("{0} shards are too many: at most {MAX_SHARDS} in one group; put another level of proxies between")]
    TooManyTargets(usize),
    /// Two targets have one name.
    #[error("upstream {0:?} is listed twice: remove one, or give them different names")]
    DuplicateName(String),
    /// A weight of 0.
    #[error("upstream {0:?} has weight 0 and would get no keys: give it a positive weight or remove it")]
    ZeroWeight(String),
    /// A weight under a placement that has none.
    #[error(
        "upstream {name:?} has weight {weight}, but placement {kind} gives every shard the same share: remove the weight, or use ring or ketama"
    )]
    Weighted {
        /// The placement.
        kind: PlacementKind,
        /// The first target with a weight.
        name: String,
        /// Its weight.
        weight: u32,
    },
    /// Too many points for placement `ring`.
    #[error(
        "the weights add up to {0}, placement ring takes at most {WEIGHT_SUM_MAX}: use smaller weights of the same proportion"
    )]
    WeightSum(u64),
    /// twemproxy's label buffer would overflow.
    #[error(
        "upstream name {name:?} is too long for twemproxy's ring: shorten it by {excess} bytes, or use placement ring"
    )]
    NameTooLong {
        /// The name.
        name: String,
        /// Bytes too many.
        excess: usize,
    },
    /// A hash tag other than `{}` where it is fixed.
    #[error("placement {kind} always hashes what is between {{ and }}: remove hash_tag, or use ring or ketama")]
    FixedHashTag {
        /// The placement.
        kind: PlacementKind,
    },
}

/// Key to shard, knowing nothing of the key's meaning.
#[derive(Clone)]
pub struct Placement {
    options: PlacementOptions,
    targets: Arc<[Target]>,
    shards: u16,
    weighted: bool,
    hash_tag: Option<[u8; 2]>,
    map: Map,
}

#[derive(Clone)]
enum Map {
    Pdwfs(Continuum),
    Ring(Ring),
    Ketama(KeyHash, Continuum),
    Slots(SlotTable),
}

impl Placement {
    /// Builds a placement over `targets`, whose order is that of the shards.
    ///
    /// # Errors
    /// What [`PlacementError`] lists: no or too many targets, names or weights the placement has no use for.
    pub fn new(options: &PlacementOptions, targets: &[Target]) -> Result<Self, PlacementError> {
        let shards = shard_count(targets)?;
        check_names(targets)?;
        check_weights(options.kind, targets)?;
        let map = match options.kind {
            PlacementKind::Pdwfs => Map::Pdwfs(pdwfs::continuum(shards)),
            PlacementKind::Ring => Map::Ring(Ring::new(targets)),
            PlacementKind::Ketama => Map::Ketama(options.hash, ketama::continuum(targets)?),
            PlacementKind::Slots => Map::Slots(SlotTable::new(shards)),
        };
        let weighted = targets.iter().any(|target| target.weight != targets[0].weight);
        let hash_tag = checked_hash_tag(options)?;
        Ok(Self { options: options.clone(), targets: targets.into(), shards, weighted, hash_tag, map })
    }

    /// Everything on the one shard there is.
    pub fn single() -> Self {
        Self {
            options: PlacementOptions::new(PlacementKind::Slots),
            targets: [Target::named("0".to_owned(), 1)].into(),
            shards: 1,
            weighted: false,
            hash_tag: Some(hash_tag::BRACES),
            map: Map::Slots(SlotTable::new(1)),
        }
    }

    /// What it was built from.
    pub(super) fn source(&self) -> (&PlacementOptions, &[Target]) {
        (&self.options, &self.targets)
    }

    /// The shard on which `key` lives.
    #[inline]
    pub fn home(&self, key: &[u8]) -> Shard {
        if self.shards == 1 {
            return Shard(0);
        }
        let part = self.hashed_part(key);
        match &self.map {
            Map::Pdwfs(ring) => ring.owner(crc32fast::hash(part)),
            Map::Ring(ring) => ring.owner(part),
            Map::Ketama(hash, ring) => ring.owner(hash.digest(part)),
            Map::Slots(table) => table.owner(slots::slot(part)),
        }
    }

    /// The part of `key` that decides its home: what the hash tag encloses, or all of it.
    pub fn hashed_part<'k>(&self, key: &'k [u8]) -> &'k [u8] {
        self.hash_tag.map_or(key, |delimiters| hash_tag::hashed_part(key, delimiters))
    }

    /// The hash slot of `key`, where the placement has slots.
    pub fn slot(&self, key: &[u8]) -> Option<u16> {
        matches!(self.map, Map::Slots(_)).then(|| slots::slot(self.hashed_part(key)))
    }

    /// Number of shards.
    pub fn shards(&self) -> usize {
        usize::from(self.shards)
    }

    /// Which placement this is.
    pub fn kind(&self) -> PlacementKind {
        self.options.kind
    }

    /// Whether the targets' weights differ.
    pub(super) fn weighted(&self) -> bool {
        self.weighted
    }
}

impl fmt::Debug for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Placement({} over {} shards)", self.options.kind, self.shards)
    }
}

fn shard_count(targets: &[Target]) -> Result<u16, PlacementError> {
    match targets.len() {
        0 => Err(PlacementError::NoTargets),
        count @ 1..=MAX_SHARDS => Ok(count as u16),
        count => Err(PlacementError::TooManyTargets(count)),
    }
}

fn check_names(targets: &[Target]) -> Result<(), PlacementError> {
    let mut seen = HashSet::new();
    let twice = targets.iter().find(|target| !seen.insert(&target.name));
    twice.map_or(Ok(()), |target| Err(PlacementError::DuplicateName(target.name.clone())))
}

fn check_weights(kind: PlacementKind, targets: &[Target]) -> Result<(), PlacementError> {
    if let Some(target) = targets.iter().find(|target| target.weight == 0) {
        return Err(PlacementError::ZeroWeight(target.name.clone()));
    }
    let knows_weights = matches!(kind, PlacementKind::Ring | PlacementKind::Ketama);
    if let Some(Target { name, weight }) = targets.iter().find(|target| !knows_weights && target.weight != 1) {
        return Err(PlacementError::Weighted { kind, name: name.clone(), weight: *weight });
    }
    let sum = targets.iter().map(|target| u64::from(target.weight)).sum();
    if kind == PlacementKind::Ring && sum > u64::from(WEIGHT_SUM_MAX) {
        return Err(PlacementError::WeightSum(sum));
    }
    Ok(())
}

fn checked_hash_tag(options: &PlacementOptions) -> Result<Option<[u8; 2]>, PlacementError> {
    match (options.kind, options.hash_tag) {
        (PlacementKind::Ring | PlacementKind::Ketama, chosen) => Ok(chosen),
        (_, None | Some(hash_tag::BRACES)) => Ok(Some(hash_tag::BRACES)),
        (kind, Some(_)) => Err(PlacementError::FixedHashTag { kind }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [PlacementKind; 4] =
        [PlacementKind::Pdwfs, PlacementKind::Ring, PlacementKind::Ketama, PlacementKind::Slots];

    fn targets(count: u32) -> Vec<Target> {
        (0..count).map(|i| Target::at(&format!("127.0.0.1:{}", 7000 + i), 1)).collect()
    }

    fn refusal(kind: PlacementKind, targets: &[Target]) -> String {
        Placement::new(&PlacementOptions::new(kind), targets).unwrap_err().to_string()
    }

    #[test]
    fn kinds_read_back_and_others_are_refused_by_name() {
        for kind in ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        let error = "modula".parse::<PlacementKind>().unwrap_err().to_string();
        assert!(error.contains("modula") && error.contains("ketama"), "{error}");
    }

    #[test]
    fn one_shard_is_every_keys_home() {
        for kind in ALL {
            let placement = Placement::new(&PlacementOptions::new(kind), &targets(1)).unwrap();
            assert!([&b""[..], b"a", b"{x}y", b"\xff\0"].iter().all(|key| placement.home(key) == Shard(0)));
            assert_eq!(placement.shards(), 1);
        }
    }

    #[test]
    fn every_shard_gets_about_its_share() {
        let lowest_of = |kind: PlacementKind, shards: u32| {
            let placement = Placement::new(&PlacementOptions::new(kind), &targets(shards)).unwrap();
            let mut keys = vec![0u32; shards as usize];
            (0..30_000).for_each(|i| keys[placement.home(format!("/m/out.{i:05}:{}", i % 7).as_bytes()).index()] += 1);
            *keys.iter().min().unwrap()
        };
        for kind in ALL {
            for shards in [3, 8, 32] {
                let (lowest, fair) = (lowest_of(kind, shards), 30_000 / shards);
                assert!(lowest * 2 > fair, "{kind} over {shards}: {lowest} of {fair}");
            }
        }
    }

    #[test]
    fn keys_with_one_tag_share_a_home_and_only_slots_have_a_slot() {
        for kind in ALL {
            let options = PlacementOptions { hash_tag: Some(*b"{}"), ..PlacementOptions::new(kind) };
            let placement = Placement::new(&options, &targets(16)).unwrap();
            assert!((0..200).all(|i| placement.home(format!("{i}{{tag}}{i}").as_bytes()) == placement.home(b"tag")));
            assert_eq!(placement.hashed_part(b"1{tag}2"), b"tag");
            assert_eq!(placement.slot(b"{foo}2"), (kind == PlacementKind::Slots).then_some(12_182));
        }
    }

    #[test]
    fn ketama_hashes_whole_keys_unless_told_and_takes_any_delimiters() {
        let whole = Placement::new(&PlacementOptions::new(PlacementKind::Ketama), &targets(3)).unwrap();
        assert_eq!(whole.hashed_part(b"a{b}c"), b"a{b}c");
        let options = PlacementOptions { hash_tag: Some(*b"<>"), ..PlacementOptions::new(PlacementKind::Ketama) };
        assert_eq!(Placement::new(&options, &targets(3)).unwrap().hashed_part(b"a<b>c"), b"b");
    }

    #[test]
    fn a_list_that_makes_no_sense_is_refused_with_a_remedy() {
        for kind in ALL {
            assert!(refusal(kind, &[]).contains("at least one upstream"));
            assert!(refusal(kind, &targets(MAX_SHARDS as u32 + 1)).contains("16385 shards are too many"));
            let twice = [targets(2), targets(1)].concat();
            assert!(refusal(kind, &twice).contains("\"127.0.0.1:7000\" is listed twice"));
            let zero = [Target::named("a".into(), 0)];
            assert!(refusal(kind, &zero).contains("positive weight"));
        }
    }

    #[test]
    fn weights_are_refused_where_they_would_be_ignored() {
        let weighted = [Target::named("a".into(), 1), Target::named("b".into(), 2)];
        assert!(refusal(PlacementKind::Pdwfs, &weighted).contains("\"b\" has weight 2, but placement pdwfs"));
        assert!(refusal(PlacementKind::Slots, &weighted).contains("remove the weight"));
        assert!(refusal(PlacementKind::Ring, &[Target::named("a".into(), 300)]).contains("smaller weights"));
    }

    #[test]
    fn another_hash_tag_is_refused_where_it_is_fixed() {
        for kind in [PlacementKind::Pdwfs, PlacementKind::Slots] {
            let options = PlacementOptions { hash_tag: Some(*b"<>"), ..PlacementOptions::new(kind) };
            let error = Placement::new(&options, &targets(2)).unwrap_err().to_string();
            assert!(error.contains("between { and }"), "{error}");
            let options = PlacementOptions { hash_tag: None, ..options };
            assert_eq!(Placement::new(&options, &targets(2)).unwrap().hashed_part(b"a{b}"), b"b");
        }
    }
}
