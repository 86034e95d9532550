//! What the run of a plan is asked beside its nodes' effects: breakpoints, edits, rollbacks.
//! What a node's effects themselves tell is not repeated here.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::state::RunState;
use super::stored::Stored;
use super::subject::Subject;
use crate::id::{AgentId, CallId, CommandId, ToolId};
use crate::tool::ContractHash;
use crate::{Error, Result};

/// The tool that has a plan carried out. No other tool may take its namespace.
pub const PLAN: &str = "run/plan";

/// The tool that asks a person. No other tool may take its namespace.
pub const APPROVE: &str = "run/approve";

/// When a breakpoint stops a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// Before the node begins.
    Before,
    /// After it succeeded, before anything that needs it begins.
    After,
    /// After it failed for good.
    OnError,
    /// After a rollback, before anything begins again. Set by itself, never by anybody.
    RolledBack,
}

/// What becomes of what is under way when a breakpoint is hit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It goes on to its end; nothing else begins.
    #[default]
    Drain,
    /// What may be repeated is stopped at once and begins anew after the release; what may not
    /// goes on to its end.
    Freeze,
}

/// Where a plan stops until somebody lets it go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Breakpoint {
    /// The node.
    pub node: String,
    /// When.
    pub at: Moment,
    /// Only if this is true then, such as `${test.failed} > 0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// What becomes of what is under way.
    #[serde(default)]
    pub mode: Mode,
}

/// A breakpoint that a plan came to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Hit {
    /// The node's number; after a rollback, how many there were.
    pub node: u32,
    /// The node's generation.
    pub generation: u32,
    /// When.
    pub at: Moment,
    /// The node's id.
    pub id: String,
    /// What becomes of what is under way.
    pub mode: Mode,
}

/// A plan came to a breakpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakpointHit {
    /// Which.
    pub hit: Hit,
}

/// Somebody set or cleared a breakpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakpointSet {
    /// The command that asked.
    pub command: CommandId,
    /// Who asked.
    pub by: String,
    /// The breakpoint.
    pub breakpoint: Breakpoint,
    /// Whether it was cleared: no breakpoint of the node at that moment stands any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cleared: bool,
}

/// Every breakpoint that the plan stands at was released.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakpointReleased {
    /// The command that asked.
    pub command: CommandId,
    /// Who asked.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// A plan was edited; its version grew by one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanPatched {
    /// The command that asked.
    pub command: CommandId,
    /// Who asked.
    pub by: String,
    /// Why.
    pub reason: String,
    /// What changed.
    pub patch: Stored,
    /// The contracts of the tools that the edited plan calls.
    pub contracts: BTreeMap<ToolId, ContractHash>,
    /// The agents that it delegates to.
    pub agents: BTreeSet<AgentId>,
}

/// Nodes of a plan are reset, once what they did was compensated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollback {
    /// The node or checkpoint that it goes back to; the plan's beginning if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The nodes that begin anew, by number; those that are tried again if nothing is reset.
    pub nodes: Vec<u32>,
    /// What is compensated, in this order.
    pub undo: Vec<CallId>,
    /// Whether the plan then stops until somebody lets it go on.
    pub hold: bool,
    /// Whether nothing is reset: what failed is tried again where it stood.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retry: bool,
}

impl Rollback {
    /// Whether a node begins a new generation by it.
    #[must_use]
    pub fn resets(&self, node: u32) -> bool {
        !self.retry && self.nodes.binary_search(&node).is_ok()
    }
}

/// Somebody rolled a plan back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanRolledBack {
    /// The command that asked.
    pub command: CommandId,
    /// Who asked.
    pub by: String,
    /// Why.
    pub reason: String,
    /// What is rolled back.
    pub rollback: Rollback,
}

/// What was asked of a plan.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PlanState {
    /// The edits, oldest first; the plan's version is one more than there are.
    pub patches: Vec<Stored>,
    /// Breakpoints beside those of the plan, newest last: set, or cleared.
    pub breakpoints: Vec<(Breakpoint, bool)>,
    /// Where it stands.
    pub hits: BTreeSet<Hit>,
    /// Where it stood, and went on.
    pub passed: BTreeSet<Hit>,
    /// How often nodes were reset, by number.
    pub generations: BTreeMap<u32, u32>,
    /// How often nodes that had failed are tried again in their generation, by number.
    pub retried: BTreeMap<u32, u32>,
    /// What had ended where the run left another: it is that run's to compensate.
    pub foreign: BTreeSet<CallId>,
    /// The rollbacks, oldest first.
    pub rollbacks: Vec<Rollback>,
    /// How many events of these kinds there were.
    pub changes: u64,
}

impl PlanState {
    /// Whether what may be repeated is not to go on.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.hits.iter().any(|hit| hit.mode == Mode::Freeze)
    }

    /// Whether it is rolled back whole, so that only what it did is compensated.
    #[must_use]
    pub fn compensates(&self) -> bool {
        self.rollbacks.last().is_some_and(|last| last.nodes.is_empty())
    }

    /// The plan's version, from 1.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.patches.len() as u64 + 1
    }

    /// A node's generation, from 0.
    #[must_use]
    pub fn generation(&self, node: u32) -> u32 {
        self.generations.get(&node).copied().unwrap_or(0)
    }

    fn release(&mut self) {
        self.passed.append(&mut self.hits);
    }
}

impl RunState {
    pub(super) fn hit(&mut self, hit: &Hit) -> Result<()> {
        self.plan.changes += 1;
        if self.plan.passed.contains(hit) || !self.plan.hits.insert(hit.clone()) {
            return Err(Error::corrupt(format!("the breakpoint at {} was hit twice", hit.id)));
        }
        Ok(())
    }

    pub(super) fn set_breakpoint(&mut self, set: BreakpointSet) {
        self.plan.changes += 1;
        self.plan.breakpoints.retain(|(old, _)| (&old.node, old.at) != (&set.breakpoint.node, set.breakpoint.at));
        self.plan.breakpoints.push((set.breakpoint, !set.cleared));
    }

    pub(super) fn release_breakpoints(&mut self) {
        self.plan.changes += 1;
        self.plan.release();
    }

    pub(super) fn patch(&mut self, patched: PlanPatched) -> Result<()> {
        self.plan.changes += 1;
        self.plan.patches.push(patched.patch);
        match self.created.as_mut().map(|created| &mut created.subject) {
            Some(Subject::Plan { contracts, agents, .. }) => {
                (*contracts, *agents) = (patched.contracts, patched.agents);
                Ok(())
            }
            _ => Err(Error::corrupt("a run that is no plan was edited")),
        }
    }

    /// Whether an effect is of a node that was reset since.
    #[must_use]
    pub fn is_past(&self, call: CallId) -> bool {
        call.node().is_some_and(|call| call.generation < self.plan.generation(call.node))
    }

    /// What is reset begins a new generation once what it did is undone. Whatever the plan
    /// stood at, it goes on from here.
    pub(super) fn roll_back(&mut self, rollback: Rollback) {
        self.plan.changes += 1;
        self.plan.release();
        self.paused = None;
        for node in &rollback.nodes {
            if rollback.retry {
                *self.plan.retried.entry(*node).or_default() += 1;
            } else {
                *self.plan.generations.entry(*node).or_default() += 1;
                self.plan.retried.remove(node);
            }
        }
        self.plan.rollbacks.push(rollback);
    }
}
