//! `run/wait`: the run waits for a signal or for a time, and needs nothing meanwhile. The
//! driver performs it; here is only its contract.

use l9_core::run::WAIT;
use l9_core::tool::{EffectClass, Labels, OutputIntegrity};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::native::{self, Fault, NativeTool};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("anyOf" = [{"required": ["signal"]}, {"required": ["seconds"]}]))]
struct Wait {
    /// The signal to wait for, such as `payment-received`.
    #[schemars(length(min = 1, max = 200))]
    #[expect(dead_code, reason = "the driver reads it")]
    signal: Option<String>,
    /// The longest to wait, in seconds.
    #[schemars(range(min = 0, max = 315_360_000))]
    #[expect(dead_code, reason = "the driver reads it")]
    seconds: Option<u64>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Waited {
    /// The signal that came; absent if the time passed.
    signal: Option<String>,
    /// What the signal said.
    #[serde(skip_serializing_if = "Value::is_null")]
    value: Value,
    /// Whether the time passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    elapsed: Option<bool>,
}

/// The `run/wait` tool.
pub fn run_wait() -> NativeTool {
    native::tool(
        WAIT,
        "1.0.0",
        "Waits until a signal of a name comes from outside, or until some seconds have passed, whichever is first. Use \
         it to wait for a person or for another system. Returns the signal's value, or that the time has passed.",
    )
    .title("Wait")
    .effect(EffectClass::Pure)
    // What a signal says is labelled by the signal when it comes.
    .labels(Labels { output_integrity: OutputIntegrity::Trusted, ..Labels::default() })
    .handler(|_, _: Wait| async move {
        Err::<Waited, _>(Fault::failed(
            "a wait is performed by the driver of a run, and cannot be called from outside one",
        ))
    })
}
