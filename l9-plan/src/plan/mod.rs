//! Long plans: a graph of nodes that call tools, agents and people, wait, choose and go through
//! lists. A plan's run is driven like any other; only what it wants next is decided here.

mod build;
mod change;
mod check;
mod compiled;
mod condition;
mod decider;
mod document;
mod effects;
mod faults;
mod forecast;
mod progress;
mod said;
mod template;
mod view;

use l9_core::Result;
use l9_core::plan::{Checked, PlanExecutor, PlannedCall};
use l9_core::run::{Decider, Tools};
use serde_json::Value;

pub use document::{
    ApprovalDoc, CheckpointDoc, CompensateDoc, MapDoc, NodeDoc, OnFailure, Patch, Plan, Retry, Trigger, WaitDoc, Way,
};
pub use view::{NodeState, NodeView, PlanView};

/// Checks plans and decides for their runs.
#[derive(Debug, Clone, Copy)]
pub struct Executor {
    /// How many runs of their own the nodes of one plan may have under way at once.
    pub children: usize,
}

impl PlanExecutor for Executor {
    fn version(&self) -> u32 {
        decider::PlanDecider::VERSION
    }

    fn check(&self, plan: &Value, tools: Tools<'_>) -> Result<Checked> {
        check::check(plan, tools)
    }

    fn calls(&self, plan: &Value) -> Result<Vec<PlannedCall>> {
        forecast::calls(plan)
    }

    fn decider(&self) -> Box<dyn Decider> {
        Box::new(decider::PlanDecider::new(self.children))
    }
}
