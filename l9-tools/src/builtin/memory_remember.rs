//! `memory/remember`: keeps words for later. What is kept is written in the transaction of
//! the call's result, so that a crash keeps both or neither.

use std::sync::Arc;

use l9_core::memory::{MemoryStore, NewEntry};
use l9_core::tool::{EffectClass, Labels, Limits, OutputIntegrity};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::native::{self, Fault, NativeTool};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Remember {
    /// What to keep, word for word.
    #[schemars(length(min = 1, max = 100_000))]
    text: String,
    /// Your own name for it, to find it again by; a name is given to one text only.
    #[serde(default)]
    #[schemars(length(min = 1, max = 200))]
    key: Option<String>,
    /// The conversation it belongs to.
    #[serde(default)]
    #[schemars(length(min = 1, max = 200))]
    session: Option<String>,
    /// The person it is about, by the name under which they would be forgotten.
    #[serde(default)]
    #[schemars(length(min = 1, max = 200))]
    subject: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Kept {
    /// The memory's id.
    id: String,
    /// Whether the same was kept before.
    duplicate: bool,
}

/// The `memory/remember` tool over a store, scoped to the tenant of the calling run. What it
/// keeps carries the label of the call's arguments.
pub fn memory_remember(store: Arc<dyn MemoryStore>) -> NativeTool {
    native::tool(
        "memory/remember",
        "1.2.0",
        "Keeps words in memory for later conversations, so that memory/search finds them. Use it for facts and decisions \
         that will be needed again, one fact a call.",
    )
    .title("Remember")
    .effect(EffectClass::SameDbWrite)
    .subject("/subject")
    .limits(Limits { wall_ms: 10_000, ..Limits::default() })
    .labels(Labels { output_integrity: OutputIntegrity::Trusted, ..Labels::default() })
    .handler(move |context: native::Context, remember: Remember| {
        let store = Arc::clone(&store);
        async move {
            let Remember { text, key, session, subject } = remember;
            let label = context.label().clone();
            let entry = NewEntry { text, key, session, subject, label, ..NewEntry::default() };
            let (remembered, write) = store.prepare(context.tenant(), vec![entry]).await?;
            let [kept] = remembered.as_slice() else { return Err(Fault::failed("nothing was kept")) };
            context.write_with_result(write);
            Ok(Kept { id: kept.id.to_string(), duplicate: kept.duplicate })
        }
    })
}
