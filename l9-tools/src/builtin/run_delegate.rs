//! `run/delegate`: another agent carries out a part of the task, in a run of its own. The
//! driver performs it; here is only its contract.

use l9_core::budget::Budget;
use l9_core::run::DELEGATE;
use l9_core::tool::{EffectClass, Labels, OutputIntegrity};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::native::{self, Fault, NativeTool};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Delegate {
    /// The agent.
    #[schemars(length(min = 1, max = 64))]
    #[expect(dead_code, reason = "the driver reads it")]
    agent: String,
    /// What it should do, in words; it sees nothing else of this conversation.
    #[schemars(length(min = 1, max = 100_000))]
    #[expect(dead_code, reason = "the driver reads it")]
    input: String,
    /// The most it may use; never more than is left here.
    #[serde(default)]
    #[expect(dead_code, reason = "the driver reads it")]
    budget: Budget,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Delegated {
    /// The run that carried it out.
    run_id: String,
    /// `succeeded`; a run that did not is a fault.
    status: String,
    /// Its answer.
    answer: Value,
    /// Which of its words stand in which source.
    citations: Vec<Value>,
}

/// The `run/delegate` tool.
pub fn run_delegate() -> NativeTool {
    native::tool(
        DELEGATE,
        "1.1.0",
        "Has another agent carry out a part of the task and returns its answer. Say all that it needs to know. Calls of \
         one turn work at the same time.",
    )
    .title("Delegate")
    // The child begins with the intent, and its end comes with its own last record.
    .effect(EffectClass::SameDbWrite)
    // The answer carries the label of everything that the child saw.
    .labels(Labels { output_integrity: OutputIntegrity::Trusted, ..Labels::default() })
    .handler(|_, _: Delegate| async move {
        Err::<Delegated, _>(Fault::failed("a delegation is performed by the driver of a run, and cannot be called from outside one"))
    })
}
