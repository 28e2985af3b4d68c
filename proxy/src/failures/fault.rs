//! What a row of "what happens when" says.

/// One fault, and all that is known of it.
#[derive(Debug)]
pub(super) struct Fault {
    /// What goes wrong; the heading of its section.
    pub(super) name: &'static str,
    /// What the table below it takes for granted; may be empty.
    pub(super) note: &'static str,
    /// What becomes of requests.
    pub(super) cases: &'static [Case],
    /// Series that tell of it, beyond those of the outcomes themselves.
    pub(super) metrics: &'static [&'static str],
    /// What the log says, as far as it is always the same.
    pub(super) log: &'static [&'static str],
    /// Tests that show it, as `binary::module::name`; none where nothing does yet.
    pub(super) tests: &'static [&'static str],
}

/// What becomes of some requests under a profile.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) profile: Under,
    /// Which requests, in the words of the page's head.
    pub(super) requests: &'static str,
    /// What the client sees.
    pub(super) client: &'static str,
    /// What may have happened at the instance.
    pub(super) instance: &'static str,
}

/// Profiles for which a case holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Under {
    Pdwfs,
    Redis,
    Both,
}

impl Under {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Pdwfs => "`pdwfs`",
            Self::Redis => "`redis`",
            Self::Both => "both",
        }
    }
}

/// A case under profile `pdwfs`.
pub(super) const fn pdwfs(requests: &'static str, client: &'static str, instance: &'static str) -> Case {
    Case { profile: Under::Pdwfs, requests, client, instance }
}

/// A case under profile `redis`.
pub(super) const fn redis(requests: &'static str, client: &'static str, instance: &'static str) -> Case {
    Case { profile: Under::Redis, requests, client, instance }
}

/// A case under either profile.
pub(super) const fn both(requests: &'static str, client: &'static str, instance: &'static str) -> Case {
    Case { profile: Under::Both, requests, client, instance }
}
