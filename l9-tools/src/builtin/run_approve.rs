//! `run/approve`: a person is asked, and whoever approves may edit what is asked about.

use l9_core::run::APPROVE;
use l9_core::tool::{Approval, EffectClass, Labels, OutputIntegrity};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::native::{self, NativeTool};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Approve {
    /// What is asked.
    #[schemars(length(min = 1, max = 4_000))]
    #[expect(dead_code, reason = "whoever is asked reads it")]
    question: String,
    /// What is asked about.
    #[serde(default)]
    data: Value,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Approved {
    /// True: what is rejected gives nothing.
    approved: bool,
    /// What was asked about, as it was approved.
    data: Value,
}

/// The `run/approve` tool. Its manifest asks a person every time, so that it gives something
/// only once one has approved.
pub fn run_approve() -> NativeTool {
    native::tool(
        APPROVE,
        "1.0.0",
        "Asks a person whether to go on, and returns what was asked about as the person approved it. Use it before \
         something that only a person should decide.",
    )
    .title("Ask a person")
    .effect(EffectClass::Pure)
    .approval(Approval::Always)
    .labels(Labels { output_integrity: OutputIntegrity::Trusted, ..Labels::default() })
    .handler(|_, approve: Approve| async move { Ok(Approved { approved: true, data: approve.data }) })
}
