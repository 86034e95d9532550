//! Tools: their contract, and the traits behind which they run.

mod http;
pub(crate) mod ledger;
mod manifest;
mod name;
mod sandbox;

pub use http::{Happened, HttpCall, HttpProbe};
pub use ledger::{Cause, Entry, Order, Standings, StoredToolChange, ToolChange, ToolLedger, ToolState};
pub use manifest::{
    Approval, ArgRole, ArgRule, AuditArgs, ContractHash, Determinism, EffectClass, FsGrant, Inject, Integrity, KvGrant,
    Labels, Limits, Manifest, Module, Mount, NetGrant, OutputIntegrity, OutputLabel, Rate, Runtime, SecretGrant,
    TrustedWhen,
};
pub use name::ToolName;
pub use sandbox::{LogLine, Probed, Tool, ToolFault, ToolOutput, ToolRegistry, ToolSandbox, Validator};
