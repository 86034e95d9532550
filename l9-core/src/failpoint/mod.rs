//! Failpoints: places where a test has the process abort, to see what a restart makes of
//! what is left.
//!
//! Without the feature `failpoints` passing one is an empty inline function. It must never
//! be on in a build that does real work: it also knows how to leave the fences out.

#[cfg(not(feature = "failpoints"))]
mod off;
#[cfg(feature = "failpoints")]
mod on;

#[cfg(not(feature = "failpoints"))]
pub use off::{ARE_ON, is_unfenced, pass};
#[cfg(feature = "failpoints")]
pub use on::{ARE_ON, is_unfenced, pass};

macro_rules! points {
    ($($(#[$doc:meta])* $point:ident = $name:literal,)+) => {
        /// A boundary that a process may die at.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Point {
            $($(#[$doc])* $point,)+
        }

        impl Point {
            /// Every point, in the order in which a run passes them.
            pub const ALL: &[Self] = &[$(Self::$point,)+];

            /// Its name in `L9_FAILPOINT=name:n`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$point => $name,)+
                }
            }
        }
    };
}

points! {
    /// Before a lease is asked for.
    LeaseAsked = "lease.asked",
    /// The lease is had, and nothing was done with it.
    LeaseTaken = "lease.taken",
    /// An append is about to be sent to the store.
    AppendSent = "append.sent",
    /// The store's transaction is written, but not committed.
    CommitBegun = "commit.begun",
    /// The store's transaction is committed, and nobody was told.
    CommitDone = "commit.done",
    /// The store has answered an append.
    AppendAnswered = "append.answered",
    /// An effect's intent is durable, and the effect has not started.
    EffectStarts = "effect.starts",
    /// An effect has ended, and its result is nowhere yet.
    EffectEnded = "effect.ended",
    /// A result is in the log, and not durable.
    ResultPushed = "result.pushed",
    /// A command was read from the inbox, and nothing was made of it.
    CommandRead = "command.read",
    /// A snapshot is about to be stored.
    SnapshotBegun = "snapshot.begun",
    /// A snapshot is stored, and its transaction is not committed.
    SnapshotStored = "snapshot.stored",
    /// The run is about to close.
    CloseBegun = "close.begun",
    /// The run is closed, and nobody was told.
    CloseDone = "close.done",
}
