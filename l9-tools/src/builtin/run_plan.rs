//! `run/plan`: a plan is carried out in a run of its own. The driver performs it; here is only
//! its contract.

use l9_core::run::PLAN;
use l9_core::tool::{EffectClass, Labels, Limits, OutputIntegrity};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::native::{self, Fault, NativeTool};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Planned {
    /// The plan: `plan` is its name, `nodes` a list of objects with `id`, one of `tool` with
    /// `arguments`, `agent` with `input`, `approval`, `wait`, `branch` or `plan`, and `needs`. Within
    /// values `${id.field}` stands for what another node gave.
    #[expect(dead_code, reason = "the driver reads it")]
    plan: Value,
    /// What the plan is given; `${input.field}` within it.
    #[serde(default)]
    #[expect(dead_code, reason = "the driver reads it")]
    input: Value,
}

#[derive(Debug, Serialize, JsonSchema)]
struct CarriedOut {
    /// The run that carried it out.
    run_id: String,
    /// `succeeded`; a plan that did not is a fault.
    status: String,
    /// What it answered.
    answer: Value,
    /// Always empty: a plan's answer is made of its nodes'.
    citations: Vec<Value>,
}

/// The `run/plan` tool.
pub fn run_plan() -> NativeTool {
    native::tool(
        PLAN,
        "1.0.0",
        "Has a plan of several steps carried out and returns what it answers. The plan is checked whole before any of it \
         runs; steps that need nothing of each other run at the same time. It may call only what you may call yourself.",
    )
    .title("Carry out a plan")
    // The plan's run begins with the intent, and its end comes with its own last record.
    .effect(EffectClass::SameDbWrite)
    .limits(Limits { input_bytes: 16 << 20, ..Limits::default() })
    // The answer carries the label of everything that the plan saw.
    .labels(Labels { output_integrity: OutputIntegrity::Trusted, ..Labels::default() })
    .handler(|_, _: Planned| async move {
        Err::<CarriedOut, _>(Fault::failed("a plan is carried out by the driver of a run, and cannot be called from outside one"))
    })
}
