//! Tools: their contract, and the traits behind which they run.

mod http;
mod manifest;
mod sandbox;

pub use http::{Happened, HttpCall, HttpProbe};
pub use manifest::{
    Approval, ArgRole, ArgRule, AuditArgs, ContractHash, Determinism, EffectClass, FsGrant, Inject, Integrity, Labels,
    Limits, Manifest, Module, Mount, NetGrant, OutputIntegrity, OutputLabel, Rate, Runtime, SecretGrant, TrustedWhen,
};
pub use sandbox::{LogLine, Probed, Tool, ToolFault, ToolOutput, ToolRegistry, ToolSandbox, Validator};
