//! The ways from the load to the instance, how proxies are configured for them, and how much each may cost.

use super::Row;
use serde::Serialize;

/// One way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Way {
    /// One proxy.
    Alone,
    /// Leaf and spine, with a link that nothing protects.
    Plain,
    /// The same through a pair of real spiped daemons.
    Daemons,
    /// Every client through a pair of real spiped daemons to one proxy: what daemons are there for, and what a sealed link
    /// between two proxies replaces.
    Clients,
    /// With our own spiped.
    Spiped,
    /// With Noise, its cipher ChaCha20-Poly1305.
    Noise,
    /// With Noise, its cipher AES-256-GCM.
    Aes,
}

impl Way {
    /// Those that a row has, in the order of the table.
    pub(super) fn of(row: &Row) -> Vec<Self> {
        let all = [Self::Alone, Self::Plain, Self::Daemons, Self::Clients, Self::Spiped, Self::Noise, Self::Aes];
        // Of few connections with large values one is as good as another.
        all.into_iter().filter(|way| *way != Self::Clients || !row.is_large()).collect()
    }

    /// The daemons whose cost is the measure of a row.
    pub(super) fn measure(row: &Row) -> Self {
        if row.is_large() { Self::Daemons } else { Self::Clients }
    }

    /// So many clients it has at most. A daemon listens with a backlog of 10, so that
    /// connecting 1,000 takes minutes, or fails, where the machine is not quiet. With fewer of them a request costs it less, if
    /// anything: it waits with poll(2).
    pub(super) fn connections_max(self) -> usize {
        if self == Self::Clients { 40 } else { usize::MAX }
    }

    /// Whether daemons have a part in it.
    pub(super) fn has_daemons(self) -> bool {
        matches!(self, Self::Daemons | Self::Clients)
    }

    /// Whether there are two proxies.
    pub(super) fn has_leaf(self) -> bool {
        !matches!(self, Self::Alone | Self::Clients)
    }

    /// Its name in the table.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Alone => "one proxy",
            Self::Plain => "plain",
            Self::Daemons => "daemons, link",
            Self::Clients => "daemons, clients",
            Self::Spiped => "spiped",
            Self::Noise => "noise",
            Self::Aes => "noise, aesgcm",
        }
    }

    /// What both ends of the link have in their tables, `key` being the file of their key.
    pub(super) fn seal(self, key: &str) -> String {
        match self {
            Self::Alone | Self::Plain | Self::Daemons | Self::Clients => String::new(),
            Self::Spiped => format!(", seal = \"spiped\", key = \"{key}\""),
            Self::Noise => format!(", seal = \"noise\", key = \"{key}\""),
            Self::Aes => format!(", seal = \"noise\", key = \"{key}\", cipher = \"aesgcm\""),
        }
    }

    /// The most that it may cost: a seal of what the daemons of [`measure`](Self::measure) cost, the second level of the first one. None where
    /// nothing is promised.
    pub(super) fn bound(self, row: &Row) -> Option<f64> {
        match self {
            _ if row.pipeline > 1 => None,
            Self::Spiped if row.is_large() => Some(0.40),
            Self::Noise if row.is_large() => Some(0.20),
            Self::Aes if row.is_large() => Some(0.10),
            Self::Plain if !row.is_large() => Some(1.0),
            Self::Spiped => Some(0.10),
            Self::Noise => Some(0.05),
            Self::Alone | Self::Plain | Self::Daemons | Self::Clients | Self::Aes => None,
        }
    }
}
