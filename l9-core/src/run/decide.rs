//! Deciders: what a run wants next, as a pure function of its state.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::Error;
use crate::Result;
use crate::id::CallId;
use crate::model::{ModelName, ModelRequest};
use crate::plan::{PlanAsk, PlanChange};
use crate::run::{Hit, RunOutcome, RunState};
use crate::tool::{Tool, ToolName};

/// What a run wants next.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Step {
    /// Perform an effect.
    Perform(Call),
    /// Stand at a breakpoint.
    Stand(Hit),
    /// End.
    Close(RunOutcome),
}

/// An effect a run wants.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Which effect of the run.
    pub id: CallId,
    /// What is wanted.
    pub wanted: Wanted,
    /// How long one attempt may take, if less than the tool itself allows.
    pub within: Option<Duration>,
}

/// What is wanted, before the governor has looked at it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Wanted {
    /// Ask a model.
    Model {
        /// The pinned model.
        model: ModelName,
        /// The whole request.
        request: Arc<ModelRequest>,
    },
    /// Call a tool.
    Tool {
        /// Its name as whoever wants it wrote it.
        name: String,
        /// The arguments as text: foreign bytes until the governor has parsed them.
        arguments: String,
    },
}

/// Decides what a run wants next. Pure: no clock, no randomness, no I/O; asked again
/// after every event, it must not ask for an effect that is open or settled.
pub trait Decider: std::fmt::Debug + Send + Sync {
    /// The version that is pinned in `run.created`.
    fn version(&self) -> u32;

    /// What the run wants next; nothing while it waits for open effects.
    fn decide(&self, state: &RunState) -> Vec<Step>;

    /// What it wanted of the effects that are not settled, as though they had never been intended.
    fn again(&self, state: &RunState) -> BTreeMap<CallId, Call> {
        let calls = self.decide(&state.before_pending()).into_iter().filter_map(|step| match step {
            Step::Perform(call) => Some((call.id, call)),
            Step::Stand(_) | Step::Close(_) => None,
        });
        calls.collect()
    }

    /// Whether it may by then not want any more what it wanted before, and has not begun. Such a
    /// call is asked for again when its turn has come.
    fn takes_back(&self) -> bool {
        false
    }

    /// What follows from something that a plan is asked.
    ///
    /// # Errors
    /// `Invalid` or `Conflict` when it cannot be.
    fn consider(&self, _: &RunState, _: &PlanAsk<'_>, _: Tools<'_>) -> Result<PlanChange> {
        Err(Error::invalid("the run is no plan's"))
    }
}

/// Finds the tool that a name means.
pub type Tools<'a> = &'a dyn Fn(&ToolName) -> Result<Arc<Tool>>;
