//! Delegation: an effect that is a run of its own. The child begins in the transaction of
//! its parent's intent, and its end comes into the parent's inbox in the transaction of the
//! child's last record; between the two the parent holds no memory and no lease for it.

use serde::{Deserialize, Serialize};

use super::outcome::RunOutcome;
use super::state::RunState;
use crate::budget::Cost;
use crate::id::{AgentId, CallId, RunId};
use crate::label::Label;
use crate::{Error, Result};

/// The tool that delegates. No other tool may take its namespace.
pub const DELEGATE: &str = "run/delegate";

/// Whom a run works for, if another run delegated to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Parent {
    /// The run that delegated.
    pub run: RunId,
    /// Its effect that this run is.
    #[schemars(with = "String")]
    pub call: CallId,
    /// How many delegations lie above.
    pub depth: u32,
}

/// A child began; its intent stands right before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildSpawned {
    /// Which effect it is.
    pub call: CallId,
    /// The child.
    pub run: RunId,
    /// The agent it runs, if it runs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// The name of the plan it runs, if it runs one; from version 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
}

/// How a child ended, as its parent is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Completion {
    /// The child.
    pub child: RunId,
    /// The parent's effect.
    pub call: CallId,
    /// How it ended; the answer of one that succeeded is kept beside the tenant's journal
    /// where it is large.
    pub outcome: RunOutcome,
    /// What it used, all its own children included.
    pub spent: Cost,
    /// The label of everything it saw.
    pub label: Label,
}

impl Completion {
    /// The address of its answer, if it is kept as an artifact.
    pub(crate) fn artifact(&self) -> Option<crate::digest::Digest> {
        match &self.outcome {
            RunOutcome::Succeeded { answer, .. } => answer.artifact(),
            _ => None,
        }
    }

    /// The child succeeded, and its answer cannot be read any more.
    pub(crate) fn lose(&mut self, why: &Error) {
        let message = format!("it succeeded, but its answer is gone: {}", why.message());
        self.outcome = RunOutcome::Failed { code: "answer_gone".to_owned(), message };
    }
}

impl RunState {
    /// The runs it delegated to that have not ended.
    pub fn open_children(&self) -> impl Iterator<Item = (CallId, RunId)> {
        self.children.iter().map(|(call, run)| (*call, *run))
    }

    /// Whether an open effect needs nobody to perform it: a wait, or a child that works.
    #[must_use]
    pub fn is_elsewhere(&self, call: CallId) -> bool {
        self.waits.contains_key(&call) || self.children.contains_key(&call)
    }

    pub(super) fn spawn(&mut self, spawned: &ChildSpawned) -> Result<()> {
        let ChildSpawned { call, run, .. } = *spawned;
        if self.open(call).is_none() {
            return Err(Error::corrupt(format!("child {run} began without an open intent of effect {call}")));
        }
        match self.children.insert(call, run) {
            None => Ok(()),
            Some(other) => Err(Error::corrupt(format!("effect {call} has two children, {other} and {run}"))),
        }
    }

    /// The children of the run that this one was forked from are that run's.
    pub(super) fn disown(&mut self) {
        for call in std::mem::take(&mut self.children).into_keys() {
            if let Some(reserved) = self.open(call).map(|open| open.reserved) {
                self.reserved = self.reserved.minus(reserved);
            }
            self.calls.remove(&call);
            self.pending.remove(&call);
        }
    }
}
