//! The invariants that a simulation holds the system to, by their numbers in
//! `docs/reliability.md`.

use std::fmt;

use l9::RunId;

/// What may never be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Invariant {
    Dense,
    Linked,
    EpochsRise,
    Fenced,
    Folds,
    ResultAfterIntent,
    IntentBeforeCall,
    KeyedOnce,
    OpaqueOnce,
    StartKept,
    ClosedOnce,
    NeedsFirst,
    OneLiveAttempt,
    Gated,
    Compensated,
    Ends,
    StaleChangesNothing,
    ClientSeesTheFold,
    ParentKept,
    NotAfter,
    CommandKept,
    WithinLease,
    ReplayPure,
    OneKey,
    PauseKept,
    DeadlineKept,
    Undecided,
    AllEnded,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dense => "1 seq is dense",
            Self::Linked => "2 hash links verify",
            Self::EpochsRise => "3 the epoch never decreases along seq",
            Self::Fenced => "4 no append under an old epoch",
            Self::Folds => "5 the journal folds, and to the same state again",
            Self::ReplayPure => "6 replay performs no effect and derives what was recorded",
            Self::ResultAfterIntent => "7 every result has exactly one earlier intent",
            Self::IntentBeforeCall => "8 no call precedes its durable intent",
            Self::KeyedOnce => "9 a keyed effect is applied at most once",
            Self::OpaqueOnce => "10 an opaque call is issued at most once",
            Self::StartKept => "11 an acknowledged start is never lost",
            Self::ClosedOnce => "12 exactly one closed event, nothing after it",
            Self::NeedsFirst => "13 a node of a plan begins only when what it needs allows",
            Self::OneLiveAttempt => "14 at most one live attempt at a write, and at a node's generation",
            Self::Gated => "16 nothing gated by a breakpoint happens before its release",
            Self::Compensated => "17 what was done is compensated once, in reverse order, and nothing else",
            Self::Ends => "20 an accepted task ends",
            Self::StaleChangesNothing => "21 a stale acknowledgement changes nothing",
            Self::ClientSeesTheFold => "24 a client's state at seq n is the fold at n",
            Self::ParentKept => "25 a fork never alters its parent",
            Self::NotAfter => "26 nothing leaves after its permit has lapsed",
            Self::WithinLease => "28 an owner starts no effect close to the end of its lease",
            Self::CommandKept => "27 an acknowledged command is carried out once, or its run has ended",
            Self::OneKey => "29 the attempts at an effect are dense and have one key",
            Self::PauseKept => "30 a paused run starts nothing",
            Self::DeadlineKept => "31 a deadline is kept",
            Self::Undecided => "32 no run goes on past an unknown write that nobody decided upon",
            Self::AllEnded => "33 a plan ends when every node has, as they did",
        })
    }
}

/// An invariant that was found broken.
#[derive(Debug, Clone)]
pub(crate) struct Broken {
    pub(crate) invariant: Invariant,
    pub(crate) run: Option<RunId>,
    pub(crate) what: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)?;
        self.run.map_or(Ok(()), |run| write!(f, " (run {run})"))
    }
}
