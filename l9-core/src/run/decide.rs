//! Deciders: what a run wants next, as a pure function of its state.

use std::sync::Arc;

use crate::id::CallId;
use crate::model::{ModelName, ModelRequest};
use crate::run::{RunOutcome, RunState};

/// What a run wants next.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Step {
    /// Perform an effect.
    Perform(Call),
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
}
