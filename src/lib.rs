//! The facade: everything an embedder needs under one name.
#![doc = include_str!("../README.md")]

pub mod audit;
mod builder;
mod dispatch;
mod documents;
pub mod embedding;
pub mod erasure;
mod hosted;
mod known;
mod policy;
mod presence;
pub mod relations;
mod researcher;
mod runtime;
pub mod schedules;
mod servers;
mod settings;
mod short_term;
mod stores;
pub mod tools;

pub use builder::Builder;
pub use dispatch::{Place as QueuePlace, QueueStatus};
pub use runtime::{Health, Runtime};
pub use servers::ServerHealth;
pub use settings::{Settings, Storage};

pub use l9_core::{Error, ErrorKind, Result};
pub use l9_core::{
    agent, budget, digest, egress, entropy, evidence, flow, governor, id, journal, json, kernel, label, memory,
    mention, model, node, principal, queue, rate, redact, run, stop, time, tool, vault,
};

#[doc(hidden)]
pub use l9_core::failpoint;

pub use l9_core::agent::AgentProfile;
pub use l9_core::budget::{Budget, Cost};
pub use l9_core::id::{AgentId, RunId, TenantId, ToolId};
pub use l9_core::kernel::{Ended, Engine, Kernel, RunHandle, StartOptions};
pub use l9_core::principal::Principal;

#[cfg(feature = "redis")]
pub use l9_memory::redis;
pub use l9_memory::{archive, ingest};
pub use l9_plan::{Backend as QueueBackend, Settings as QueueSettings, in_process, schedule, worker};
#[cfg(all(feature = "wasm", feature = "models"))]
pub use l9_tools::builtin::WebHosts;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use l9_tools::builtin::sql;
#[cfg(feature = "wasm")]
pub use l9_tools::builtin::{FileMount, FileMounts};
#[cfg(feature = "models")]
pub use l9_tools::egress as gateway;
#[cfg(feature = "mcp")]
pub use l9_tools::mcp;
#[cfg(feature = "models")]
pub use l9_tools::models;
#[cfg(feature = "wasm")]
pub use l9_tools::wasm;
/// Long plans: their documents, what may be asked of them while they run, and how they stand.
pub mod plan {
    pub use l9_core::plan::{Checked, PlanAsk, PlanChange, PlanExecutor, Target};
    pub use l9_plan::plan::{
        ApprovalDoc, CheckpointDoc, CompensateDoc, Executor, MapDoc, NodeDoc, NodeState, NodeView, OnFailure, Patch,
        Plan, PlanView, Retry, Trigger, WaitDoc, Way,
    };
}
/// The root keys of a database.
pub mod keys {
    pub use l9_memory::vault::{KeyUse, Keyring, Keys, Rotated, Step, Use, check_root_file as check_file};
}
pub use l9_tools::{native, openapi, registry, secrets};
