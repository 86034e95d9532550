//! The trait behind which plans are checked and carried out, and what a plan may be asked
//! while it runs. What a plan's document says is the executor's; the journal knows nodes by
//! number and their effects by [`NodeCall`](crate::id::NodeCall).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::budget::Budget;
use crate::id::{AgentId, ToolId};
use crate::run::{Breakpoint, Decider, Rollback, Tools};
use crate::tool::{ContractHash, ToolName};
use crate::{Error, Result};

/// Checks plans and decides what they want next.
pub trait PlanExecutor: fmt::Debug + Send + Sync {
    /// The version of its deciders.
    fn version(&self) -> u32;

    /// Checks a plan whole before anything of it runs.
    ///
    /// # Errors
    /// `Invalid` with everything that is wrong with it.
    fn check(&self, plan: &Value, tools: Tools<'_>) -> Result<Checked>;

    /// The calls that a plan would make, and those of the plans within it, each after what it needs.
    ///
    /// # Errors
    /// `Invalid` for a plan that cannot run.
    fn calls(&self, plan: &Value) -> Result<Vec<PlannedCall>>;

    /// What decides for a run of a plan.
    fn decider(&self) -> Box<dyn Decider>;
}

/// A plan that may run.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// What it is called.
    pub name: String,
    /// The plan as canonical JSON.
    pub plan: String,
    /// How many nodes it has.
    pub nodes: usize,
    /// The contracts of the tools that it calls.
    pub contracts: BTreeMap<ToolId, ContractHash>,
    /// The agents that it delegates to.
    pub agents: BTreeSet<AgentId>,
    /// The most that it may use.
    pub budget: Budget,
    /// How long it may take, in seconds.
    pub deadline_seconds: Option<u64>,
}

/// A call that a plan would make, as it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedCall {
    /// The node that makes it; of a plan within, after the node that has that carried out and a `/`.
    pub node: String,
    /// What the node is, for people: `tool`, `agent`, `approval`, `wait`, `plan` or `checkpoint`.
    pub kind: String,
    /// The tool.
    pub tool: ToolName,
    /// Its arguments: null where a reference stands.
    pub arguments: Value,
    /// What is not known yet of the arguments.
    pub unknown: Vec<Unknown>,
    /// Whether it undoes what the node did.
    pub compensates: bool,
    /// How often it is made at least, where everything succeeds at the first try.
    pub least: u64,
    /// How often it is made at most, tries aside; `None` where a list is not known.
    pub most: Option<u64>,
    /// How often each is tried at most.
    pub tries: u32,
    /// Whether a wait, a call of its own, lies between two tries.
    pub pauses: bool,
}

/// A place of a call's arguments whose value comes from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Unknown {
    /// The place: a JSON pointer.
    pub at: String,
    /// The reference that stands there, such as `${build.url}`.
    pub reference: String,
}

/// Something that a plan is asked while it runs.
#[derive(Debug, Clone, Copy)]
pub enum PlanAsk<'a> {
    /// Edit it.
    Patch {
        /// The version that is edited.
        expected: u64,
        /// What changes.
        patch: &'a Value,
    },
    /// Set or clear a breakpoint.
    Break {
        /// The breakpoint.
        breakpoint: &'a Breakpoint,
        /// Whether it is cleared.
        clear: bool,
    },
    /// Roll it back.
    RollBack {
        /// How far.
        target: &'a Target,
    },
    /// Compensate what it did, as it was told to do when it fails.
    Compensate,
}

/// How far a plan is rolled back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// To its beginning: everything is compensated.
    Start,
    /// To a node, which begins anew with all that needs it; or to a checkpoint, after which
    /// everything that does not lie before it begins anew, with the memory of that time.
    Node(String),
    /// What failed begins anew, with all that was skipped for it; nothing is compensated.
    Failed,
}

/// What follows from something that a plan was asked.
#[derive(Debug, Clone, PartialEq)]
pub enum PlanChange {
    /// It is edited.
    Patched {
        /// What changes, each value in its usual form.
        patch: Value,
        /// The contracts of the tools that it then calls.
        contracts: BTreeMap<ToolId, ContractHash>,
        /// The agents that it then delegates to.
        agents: BTreeSet<AgentId>,
    },
    /// A breakpoint is set or cleared.
    Breakpoint {
        /// The breakpoint.
        breakpoint: Breakpoint,
        /// Whether it is cleared.
        cleared: bool,
    },
    /// It is rolled back.
    RolledBack(Rollback),
}

/// The executor of a system that has no plans.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoPlans;

impl PlanExecutor for NoPlans {
    fn version(&self) -> u32 {
        0
    }

    fn check(&self, _: &Value, _: Tools<'_>) -> Result<Checked> {
        Err(off())
    }

    fn calls(&self, _: &Value) -> Result<Vec<PlannedCall>> {
        Err(off())
    }

    fn decider(&self) -> Box<dyn Decider> {
        Box::new(Self)
    }
}

fn off() -> Error {
    Error::invalid("long plans are turned off here: set L9_ENABLE_LONG_PLANS=true")
}

impl Decider for NoPlans {
    fn version(&self) -> u32 {
        0
    }

    fn decide(&self, _: &crate::run::RunState) -> Vec<crate::run::Step> {
        Vec::new()
    }
}
