//! Deliberate faults of the driver, which tests must find; those of what it drives are `pdw_router::mutant`'s.

/// One deliberate fault.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mutant {
    /// Whoever is told to end ends, whatever is on its way.
    DrainAtOnce,
    /// Any list of upstreams is taken when the configuration is read again.
    AnyUpstreamsTaken,
    /// A name that cannot be looked up has no address.
    AddressForgotten,
    /// Links are opened without their seal.
    LinksUnsealed,
    /// A client whose handshake fails, or does not end, is kept.
    GuestsStay,
    /// What cannot be opened on a sealed connection is passed over.
    TamperingPasses,
    /// That the disk has no room shows when something is written.
    RoomUntaken,
    /// Files of the spool have names.
    FilesNamed,
}

impl Mutant {
    fn name(self) -> &'static str {
        match self {
            Self::DrainAtOnce => "drain-at-once",
            Self::AnyUpstreamsTaken => "any-upstreams-taken",
            Self::AddressForgotten => "address-forgotten",
            Self::LinksUnsealed => "links-unsealed",
            Self::GuestsStay => "guests-stay",
            Self::TamperingPasses => "tampering-passes",
            Self::RoomUntaken => "room-untaken",
            Self::FilesNamed => "files-named",
        }
    }

    /// Whether this process has it; a release has none compiled in.
    pub(crate) fn is_on(self) -> bool {
        cfg!(feature = "mutants") && chosen().is_some_and(|name| name == self.name())
    }
}

/// The name of the fault that was chosen, the driver's or the router's.
pub(crate) fn chosen() -> Option<String> {
    std::env::var("PDW_MUTANT").ok()
}
