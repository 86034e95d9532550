//! Runs: events, the records that carry them, the state they fold to, and the
//! driver that advances it.

mod approval;
mod beside;
mod call_state;
pub(crate) mod command;
mod decide;
mod delegation;
mod doubt;
mod driver;
mod ending;
mod event;
mod feed;
mod hints;
mod inbox;
mod kept;
mod known;
mod line;
mod lineage;
mod log;
mod outcome;
mod plan;
pub(crate) mod record;
mod relay;
pub(crate) mod rollback;
mod running;
pub(crate) mod snapshot;
mod state;
mod stored;
mod subject;
mod timing;
mod values;
mod view;
mod wait;
mod words;

pub use approval::{Answer, Approval, ApprovalAsked, ApprovalDecided, Remember, Remembered};
pub use call_state::CallState;
pub use command::{Command, CommandRequest, Resolution};
pub use decide::{Call, Decider, Step, Tools, Wanted};
pub use delegation::{ChildSpawned, Completion, DELEGATE, Parent};
pub use event::{
    Action, CancelRequested, CommandRejected, EffectDenied, EffectIntent, EffectReconciled, EffectResult, EffectRetry,
    EffectUnknown, Event, LeaseTaken, Outcome, RunCreated, RunForked, RunPaused, RunResumed, SignalReceived, Stage,
    Verdict,
};
pub use feed::Feed;
pub use hints::{Hint, Hints, Word};
pub use lineage::read as read_records;
pub use outcome::{Citation, RunOutcome};
pub use plan::{
    APPROVE, Breakpoint, BreakpointHit, BreakpointReleased, BreakpointSet, Hit, Mode, Moment, PLAN, PlanPatched,
    PlanRolledBack, PlanState, Rollback,
};
pub use record::{OpenRecord, Record, Sealer, open_artifact};
pub use relay::{Heard, HintWire, QUIET, Relay};
pub use state::RunState;
pub use stored::Stored;
pub use subject::Subject;
pub use view::EventView;
pub use wait::{WAIT, Wait};

pub(crate) use driver::{Driver, Parked};
pub(crate) use event::is_zero;
pub(crate) use feed::POLL;
pub(crate) use known::Known;
pub(crate) use log::{Backing, RunLog, Stand};
pub(crate) use record::{header as record_header, open_artifact_keyed};
pub(crate) use snapshot::{open as open_snapshot, text as snapshot_text};
