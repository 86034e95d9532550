//! Tools: their contract, and the traits behind which they run.

mod grants;
mod http;
pub(crate) mod ledger;
mod manifest;
mod name;
mod sandbox;

pub use grants::{FsGrant, Inject, KvGrant, Mount, NetGrant, SecretGrant};
pub use http::{Happened, HttpCall, HttpProbe};
pub use ledger::{Cause, Entry, Order, Standings, StoredToolChange, ToolChange, ToolLedger, ToolState};
pub use manifest::{
    Approval, ArgRole, ArgRule, AuditArgs, AuditDetail, ContractHash, Determinism, EffectClass, Integrity, Labels,
    Limits, Manifest, Module, OutputIntegrity, OutputLabel, Rate, Runtime, TrustedWhen,
};
pub use name::ToolName;
pub use sandbox::{LogLine, Probed, Tool, ToolFault, ToolOutput, ToolRegistry, ToolSandbox, Validator};
