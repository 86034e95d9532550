//! `memory/snapshot` and `memory/restore`: a state of memory is marked, and gone back to.

use std::sync::Arc;

use l9_core::id::AgentId;
use l9_core::memory::MemoryStore;
use l9_core::tool::{EffectClass, Labels, Limits, OutputIntegrity};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::native::{self, Fault, NativeTool};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Mark {
    /// What it is called.
    #[schemars(length(min = 1, max = 100))]
    name: String,
    /// Whose memory; the whole tenant's if absent.
    #[serde(default)]
    #[schemars(with = "Option<String>", length(max = 64))]
    agent: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Marked {
    /// The snapshot's id.
    snapshot_id: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Restore {
    /// The snapshot's id.
    #[schemars(length(min = 36, max = 36))]
    snapshot: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Restored {
    /// The state before, to undo it with.
    before: String,
    /// How many entries were forgotten: those that were kept or brought back since.
    forgotten: u64,
    /// How many were brought back: those that were forgotten since.
    returned: u64,
}

/// The `memory/snapshot` tool. The same effect marks one state, however often it is attempted.
pub fn memory_snapshot(store: Arc<dyn MemoryStore>) -> NativeTool {
    native::tool(
        "memory/snapshot",
        "1.0.0",
        "Marks the present state of memory, so that memory/restore can go back to it.",
    )
    .title("Mark memory")
    .effect(EffectClass::KeyedWrite)
    .limits(Limits { wall_ms: 30_000, ..Limits::default() })
    .labels(Labels { output_integrity: OutputIntegrity::Trusted, ..Labels::default() })
    .handler(move |context: native::Context, mark: Mark| {
        let store = Arc::clone(&store);
        async move {
            let agent = mark.agent.map(AgentId::new).transpose()?;
            let (tenant, run) = (context.tenant(), context.run());
            let name = format!("{}, run {run}, {}", mark.name, context.call());
            let known = store.snapshots(tenant).await?.into_iter().find(|snapshot| snapshot.name == name);
            let snapshot = match known {
                Some(known) => known,
                None => store.snapshot(tenant, agent, &name, &format!("run:{run}")).await?,
            };
            Ok(Marked { snapshot_id: snapshot.id.to_string() })
        }
    })
}

/// The `memory/restore` tool. Going back twice leaves what going back once does.
pub fn memory_restore(store: Arc<dyn MemoryStore>) -> NativeTool {
    native::tool(
        "memory/restore",
        "1.0.0",
        "Goes back to a state of memory that memory/snapshot marked: what was kept since is forgotten, and what was \
         forgotten or superseded since is as it was.",
    )
    .title("Go back in memory")
    .effect(EffectClass::KeyedWrite)
    .limits(Limits { wall_ms: 60_000, ..Limits::default() })
    .labels(Labels { output_integrity: OutputIntegrity::Trusted, ..Labels::default() })
    .handler(move |context: native::Context, restore: Restore| {
        let store = Arc::clone(&store);
        async move {
            let snapshot: Uuid = restore.snapshot.parse().map_err(|_| Fault::failed("it is no snapshot's id"))?;
            let restored = store.restore(context.tenant(), snapshot, &format!("run:{}", context.run())).await?;
            let (before, forgotten, returned) = (restored.before.id.to_string(), restored.forgotten, restored.returned);
            Ok(Restored { before, forgotten, returned })
        }
    })
}
