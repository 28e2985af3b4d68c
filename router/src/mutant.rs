//! Deliberate faults, which tests must find.
//!
//! Compiled in only with feature `mutants`; without it every question is answered `false` at
//! compile time and nothing of this remains in the program.

use std::str::FromStr;

/// One deliberate fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A reply is thrown away.
    LostReply,
    /// Two neighbouring replies on a link go to each other's session.
    SwappedReplies,
    /// Now and then a request takes another path than the one before it.
    ReorderOverPaths,
    /// A request goes out twice.
    DoubleSend,
    /// Now and then a request that is not the session's gets between the commands of a transaction.
    SplitMulti,
    /// An answered request is never forgotten.
    LeakedSlot,
    /// Elements of a gathered reply come in the order of shards, not of keys.
    WrongGatherOrder,
    /// A request is sent though its deadline has passed.
    StaleDeadline,
    /// A skipped tail is miscounted by one.
    MiscountedSkip,
    /// A lost link is not fenced before its requests are repeated.
    MissingFence,
    /// Whatever was on a lost link is repeated, counting commands too.
    RepeatedAnything,
    /// What is sent again is sent whatever its deadline.
    RepeatAfterDeadline,
    /// Now and then a request is answered twice.
    AnsweredTwice,
    /// A session's next request for a shard does not wait for the one before it.
    HoldOvertakes,
    /// A large value does not wait for the session's own requests on another path.
    LaneOvertakes,
    /// A doomed transaction that has begun at its instance is not ended there.
    MissingDiscard,
    /// Replies to a transaction that is sent again out of a file are counted from where they stopped.
    StaleReplies,
    /// What is in a file is sent again though the fence is not confirmed.
    UnfencedSpool,
    /// A request goes to a file though its session has one for the same shard under way.
    SpoolOvertakes,
    /// A lane is not given back.
    LeakedLane,
    /// A session that was paused at a limit is not read again when it is below it.
    LimitNotReleased,
    /// Elements of a woven reply come from whatever link has some.
    WovenOutOfTurn,
    /// Not all credit for what was taken is given back.
    CreditLeak,
    /// A proxy whose link is resumed says that less has come on it than has.
    PositionIgnored,
    /// Bytes of a stream go to another one.
    WrongStream,
    /// A stream is closed before all of it was sent.
    StreamClosedEarly,
    /// A session's next request for a shard takes another peer though one is unanswered.
    PeerOvertakes,
    /// What a lost peer was sent is repeated by way of another one at once, and no lease is kept.
    MissingPeerFence,
    /// A fence is put up by the worker alone that was asked for it.
    FenceOfOneWorker,
    /// A session is blamed for an upstream that stands still.
    WrongBlame,
    /// Under profile `pdwfs` nothing is kept, and so nothing is sent again.
    Unkept,
    /// Every request's time is over after a moment.
    Impatient,
    /// A request's time is never over.
    WithoutDeadline,
    /// Under profile `redis` requests wait for an upstream that is away.
    SlowToRefuse,
    /// A reply that has begun is begun again when its link is lost.
    BegunAgain,
    /// A lost link is replaced at once, again and again.
    EagerReconnect,
    /// A lost link closes all sessions.
    LossClosesSessions,
    /// Nobody notices that a link is silent.
    SilenceUnnoticed,
    /// A link that is silent counts as lost.
    SilenceIsLoss,
    /// An idle link is not tried with PING.
    Unpinged,
    /// Every error is one that passes.
    EveryErrorPasses,
    /// What is no RESP is handed on as it is.
    JunkHandedOn,
    /// A reply to nothing is kept for the next request.
    UnaskedKept,
    /// A link carries requests before it has proven itself.
    Unproven,
    /// A link may run MULTI, whatever it says.
    TrustsMulti,
    /// An upstream that has moved is asked where it was.
    MoveIgnored,
    /// There is no ceiling on what is held, and no limit to what a session leaves unread.
    Unbounded,
    /// Nobody notices a session that stands in the way of others.
    StallsUnnoticed,
    /// A session that is silent for a second is closed.
    IdleClosed,
    /// The lane of a client that has left serves the next one as it is.
    LaneKeptOpen,
    /// Sessions keep the users that were in force when they came.
    UsersKept,
    /// Whoever gives wrong passwords may try on at once.
    GuessesFree,
    /// One upstream's requests may have all of the spool.
    UnsharedSpool,
    /// The share of a peer that is away waits for it.
    ShareStays,
    /// A proxy does not find itself above itself.
    CircleUnseen,
    /// A proxy takes another one, whatever version it says it speaks.
    AnyVersion,
    /// A peer is taken, wherever it thinks that keys live.
    AnyPlacement,
    /// What a peer may not send is passed over.
    BrokenFramesPass,
    /// A framed link may carry any number of sessions.
    StreamsUnbounded,
    /// PDWFS.md section 5: every key is hashed on its own.
    HashEachKey,
    /// PDWFS.md section 5: a transaction goes to its last key's home, SMEMBERS asks one shard.
    LastKeyHome,
    /// PDWFS.md section 5: a whole file on one shard.
    WholeFile,
    /// PDWFS.md section 5: each queued command goes to its own home.
    EachQueuedHome,
}

const NAMES: [(&str, Mutant); 63] = [
    ("lost-reply", Mutant::LostReply),
    ("swapped-replies", Mutant::SwappedReplies),
    ("reorder-over-paths", Mutant::ReorderOverPaths),
    ("double-send", Mutant::DoubleSend),
    ("split-multi", Mutant::SplitMulti),
    ("leaked-slot", Mutant::LeakedSlot),
    ("wrong-gather-order", Mutant::WrongGatherOrder),
    ("stale-deadline", Mutant::StaleDeadline),
    ("miscounted-skip", Mutant::MiscountedSkip),
    ("missing-fence", Mutant::MissingFence),
    ("repeated-anything", Mutant::RepeatedAnything),
    ("repeat-after-deadline", Mutant::RepeatAfterDeadline),
    ("answered-twice", Mutant::AnsweredTwice),
    ("hold-overtakes", Mutant::HoldOvertakes),
    ("wrong-blame", Mutant::WrongBlame),
    ("credit-leak", Mutant::CreditLeak),
    ("position-ignored", Mutant::PositionIgnored),
    ("wrong-stream", Mutant::WrongStream),
    ("stream-closed-early", Mutant::StreamClosedEarly),
    ("peer-overtakes", Mutant::PeerOvertakes),
    ("missing-peer-fence", Mutant::MissingPeerFence),
    ("fence-of-one-worker", Mutant::FenceOfOneWorker),
    ("lane-overtakes", Mutant::LaneOvertakes),
    ("missing-discard", Mutant::MissingDiscard),
    ("stale-replies", Mutant::StaleReplies),
    ("unfenced-spool", Mutant::UnfencedSpool),
    ("spool-overtakes", Mutant::SpoolOvertakes),
    ("leaked-lane", Mutant::LeakedLane),
    ("limit-not-released", Mutant::LimitNotReleased),
    ("woven-out-of-turn", Mutant::WovenOutOfTurn),
    ("unkept", Mutant::Unkept),
    ("impatient", Mutant::Impatient),
    ("without-deadline", Mutant::WithoutDeadline),
    ("slow-to-refuse", Mutant::SlowToRefuse),
    ("begun-again", Mutant::BegunAgain),
    ("eager-reconnect", Mutant::EagerReconnect),
    ("loss-closes-sessions", Mutant::LossClosesSessions),
    ("silence-unnoticed", Mutant::SilenceUnnoticed),
    ("silence-is-loss", Mutant::SilenceIsLoss),
    ("unpinged", Mutant::Unpinged),
    ("every-error-passes", Mutant::EveryErrorPasses),
    ("junk-handed-on", Mutant::JunkHandedOn),
    ("unasked-kept", Mutant::UnaskedKept),
    ("unproven", Mutant::Unproven),
    ("trusts-multi", Mutant::TrustsMulti),
    ("move-ignored", Mutant::MoveIgnored),
    ("unbounded", Mutant::Unbounded),
    ("stalls-unnoticed", Mutant::StallsUnnoticed),
    ("idle-closed", Mutant::IdleClosed),
    ("lane-kept-open", Mutant::LaneKeptOpen),
    ("users-kept", Mutant::UsersKept),
    ("guesses-free", Mutant::GuessesFree),
    ("unshared-spool", Mutant::UnsharedSpool),
    ("share-stays", Mutant::ShareStays),
    ("circle-unseen", Mutant::CircleUnseen),
    ("any-version", Mutant::AnyVersion),
    ("any-placement", Mutant::AnyPlacement),
    ("broken-frames-pass", Mutant::BrokenFramesPass),
    ("streams-unbounded", Mutant::StreamsUnbounded),
    ("hash-each-key", Mutant::HashEachKey),
    ("last-key-home", Mutant::LastKeyHome),
    ("whole-file", Mutant::WholeFile),
    ("each-queued-home", Mutant::EachQueuedHome),
];

impl Mutant {
    /// Every fault with its name.
    pub fn all() -> &'static [(&'static str, Self)] {
        &NAMES
    }
}

impl FromStr for Mutant {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, mutant)| *mutant).ok_or(())
    }
}

/// Which fault is switched on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mutation(#[cfg(feature = "mutants")] Option<Mutant>);

impl Mutation {
    /// Switches a fault on; without feature `mutants` it does nothing.
    pub fn of(_mutant: Option<Mutant>) -> Self {
        Self(
            #[cfg(feature = "mutants")]
            _mutant,
        )
    }

    /// Whether this fault is switched on.
    #[inline(always)]
    pub fn is(self, _mutant: Mutant) -> bool {
        #[cfg(feature = "mutants")]
        return self.0 == Some(_mutant);
        #[cfg(not(feature = "mutants"))]
        false
    }
}
