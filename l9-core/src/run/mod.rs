//! Runs: events, the records that carry them, the state they fold to, and the
//! driver that advances it.

mod command;
mod decide;
mod driver;
mod event;
mod feed;
mod hints;
mod log;
mod record;
mod state;
mod stored;
mod view;

pub use command::{Command, CommandRequest};
pub use decide::{Call, Decider, Step, Wanted};
pub use event::{
    Action, CancelRequested, Citation, CommandRejected, EffectDenied, EffectIntent, EffectResult, EffectUnknown, Event,
    LeaseTaken, Outcome, RunCreated, RunOutcome, Stage, Subject,
};
pub use feed::Feed;
pub use hints::{Hint, Hints};
pub use record::{OpenRecord, Record, Sealer, open_artifact};
pub use state::{CallState, RunState};
pub use stored::Stored;
pub use view::EventView;

pub(crate) use driver::{Driver, Parked};
pub(crate) use event::is_zero;
pub(crate) use log::{Backing, RunLog};
