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
use crate::tool::ContractHash;
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

    /// What decides for a run of a plan.
    fn decider(&self) -> Box<dyn Decider>;
}

/// A plan that may run.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// What it is called.
    pub name: String,
    /// The plan, each value in its usual form.
    pub plan: Value,
    /// The contracts of the tools that it calls.
    pub contracts: BTreeMap<ToolId, ContractHash>,
    /// The agents that it delegates to.
    pub agents: BTreeSet<AgentId>,
    /// The most that it may use.
    pub budget: Budget,
    /// How long it may take, in seconds.
    pub deadline_seconds: Option<u64>,
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
        Err(Error::invalid("long plans are turned off here: set L9_ENABLE_LONG_PLANS=true"))
    }

    fn decider(&self) -> Box<dyn Decider> {
        Box::new(Self)
    }
}

impl Decider for NoPlans {
    fn version(&self) -> u32 {
        0
    }

    fn decide(&self, _: &crate::run::RunState) -> Vec<crate::run::Step> {
        Vec::new()
    }
}
