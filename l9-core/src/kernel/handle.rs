//! A run from its caller's side: follow it, or wait for its end.

use async_trait::async_trait;
use serde_json::Value;

use super::engine::{Engine, StartOptions};
use crate::Result;
use crate::id::{AgentId, RunId};
use crate::journal::Status;
use crate::principal::Principal;
use crate::run::{Citation, Event, EventView, Feed, RunOutcome};

/// Executes agents.
#[async_trait]
pub trait Kernel: std::fmt::Debug + Send + Sync {
    /// Accepts a run of an agent; durable when it returns.
    ///
    /// # Errors
    /// `NotFound` for an unknown agent, tool or model; `Invalid` for bad input.
    async fn execute(
        &self,
        principal: &Principal,
        agent: &AgentId,
        input: &str,
        options: StartOptions,
    ) -> Result<RunHandle>;
}

#[async_trait]
impl Kernel for Engine {
    async fn execute(
        &self,
        principal: &Principal,
        agent: &AgentId,
        input: &str,
        options: StartOptions,
    ) -> Result<RunHandle> {
        let started = self.start_agent(principal, agent, input, options).await?;
        self.handle(principal, started.run).await
    }
}

/// A run to follow or to wait for. Dropping it leaves the run alone.
#[derive(Debug)]
pub struct RunHandle {
    run: RunId,
    feed: Feed,
    engine: Engine,
}

impl RunHandle {
    pub(super) fn new(run: RunId, feed: Feed, engine: Engine) -> Self {
        Self { run, feed, engine }
    }

    /// The run.
    #[must_use]
    pub fn run(&self) -> RunId {
        self.run
    }

    /// The next event; `None` after `run.closed`.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn next_event(&mut self) -> Result<Option<(EventView, Event)>> {
        self.feed.next().await
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// When the journal cannot be read; a run that failed is not an error.
    pub async fn outcome(self) -> Result<Ended> {
        self.engine.ended(self.feed.tenant(), self.run).await?;
        self.engine.outcome(self.feed.tenant(), self.run).await
    }
}

/// How a run ended, ready to be shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// Well, badly, or on request.
    pub status: Status,
    /// The answer: an agent's words, a tool's output, or what went wrong.
    pub answer: Value,
    /// The stable code of a failure.
    pub code: Option<String>,
    /// Which words stand in which source.
    pub citations: Vec<Citation>,
}

impl Ended {
    /// The answer as text.
    #[must_use]
    pub fn text(&self) -> String {
        self.answer.as_str().map_or_else(|| self.answer.to_string(), str::to_owned)
    }

    pub(super) fn of(outcome: &RunOutcome, answer: Value) -> Self {
        let (code, citations) = match outcome {
            RunOutcome::Succeeded { citations, .. } => (None, citations.clone()),
            RunOutcome::Failed { code, .. } => (Some(code.clone()), Vec::new()),
            RunOutcome::Cancelled { .. } => (Some("cancelled".into()), Vec::new()),
        };
        Self { status: outcome.status(), answer, code, citations }
    }
}
