//! `memory/reveal`: says that somebody is shown a memory as it was said. It gives none of it:
//! whoever serves shows it once this is in the journal.

use l9_core::tool::{EffectClass, Labels, Limits, OutputIntegrity};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::native::{self, NativeTool};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Reveal {
    /// The memory's id.
    #[schemars(length(min = 32, max = 40))]
    id: String,
    /// Why it must be seen.
    #[schemars(length(min = 1, max = 1000))]
    #[expect(dead_code, reason = "it is for the journal")]
    reason: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Revealed {
    /// The memory's id.
    id: String,
}

/// The `memory/reveal` tool.
pub fn memory_reveal() -> NativeTool {
    native::tool(
        "memory/reveal",
        "1.0.0",
        "Puts on record that an administrator is shown a memory with the personal data that tokens stand for. It gives \
         nothing of the memory itself.",
    )
    .title("Reveal a memory")
    .effect(EffectClass::Read)
    .limits(Limits { wall_ms: 10_000, ..Limits::default() })
    .labels(Labels { output_integrity: OutputIntegrity::Trusted, ..Labels::default() })
    .handler(|_: native::Context, Reveal { id, .. }: Reveal| async { Ok(Revealed { id }) })
}
