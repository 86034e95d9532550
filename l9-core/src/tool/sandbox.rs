//! The traits behind which tools run: a registry that finds them, validators of
//! their input and output, and the sandbox that consumes a permit to call them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::manifest::{ContractHash, Manifest};
use super::name::ToolName;
use crate::governor::Permit;
use crate::id::{TenantId, ToolId};
use crate::journal::Write;
use crate::label::Label;
use crate::{Error, ErrorKind, Result};

/// A tool ready to be called: its contract, its compiled schemas, its sandbox.
pub struct Tool {
    /// The contract.
    pub manifest: Manifest,
    /// The contract's hash.
    pub contract: ContractHash,
    /// The compiled input schema.
    pub input: Arc<dyn Validator>,
    /// The compiled output schema.
    pub output: Option<Arc<dyn Validator>>,
    sandbox: Arc<dyn ToolSandbox>,
}

impl Tool {
    /// A tool of that contract.
    ///
    /// # Errors
    /// `Internal` when the manifest has no canonical form.
    pub fn new(
        manifest: Manifest,
        input: Arc<dyn Validator>,
        output: Option<Arc<dyn Validator>>,
        sandbox: Arc<dyn ToolSandbox>,
    ) -> Result<Self> {
        Ok(Self { contract: manifest.contract_hash()?, manifest, input, output, sandbox })
    }

    /// Has its sandbox get ready.
    pub(crate) async fn prepare(&self) {
        self.sandbox.prepare().await;
    }

    /// The most bytes that a call sends.
    pub(crate) fn egress_bytes(&self, input: &Value) -> u64 {
        self.sandbox.egress_bytes(&self.manifest, input)
    }

    /// Asks it whether the effect of an earlier attempt happened.
    pub(crate) async fn probe(&self, permit: Permit, input: &Value) -> Result<Probed, ToolFault> {
        self.sandbox.probe(permit, &self.manifest, input).await
    }

    /// Calls it under a permit for exactly its contract.
    pub(crate) async fn call(&self, permit: Permit, input: &Value) -> Result<ToolOutput, ToolFault> {
        if permit.contract() != self.contract {
            return Err(ToolFault::new("stale_contract", "the permit is for another contract"));
        }
        self.sandbox.call(permit, &self.manifest, input).await
    }
}

impl fmt::Debug for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tool").field("id", &self.manifest.id).field("contract", &self.contract).finish_non_exhaustive()
    }
}

/// A schema compiled beforehand.
pub trait Validator: fmt::Debug + Send + Sync {
    /// Every violation as `pointer: what is wrong`; empty if the value is valid.
    fn violations(&self, value: &Value) -> Vec<String>;
}

/// Finds tools. The provided methods do for a registry that has one version of each.
pub trait ToolRegistry: fmt::Debug + Send + Sync {
    /// The tool that a name means: the version in use, or the one it names.
    ///
    /// # Errors
    /// `NotFound` if the tenant has none, `Denied` for one that may not be called, with who
    /// said so and why.
    fn find(&self, tenant: &TenantId, name: &ToolName) -> Result<Arc<Tool>>;

    /// The tool of exactly that contract, whichever version is in use.
    ///
    /// # Errors
    /// `NotFound` if the tenant has none of that id, `Conflict` if none has that contract,
    /// `Denied` as [`ToolRegistry::find`].
    fn pinned(&self, tenant: &TenantId, id: &ToolId, contract: &ContractHash) -> Result<Arc<Tool>> {
        let tool = self.find(tenant, &id.clone().into())?;
        if tool.contract == *contract {
            return Ok(tool);
        }
        let message = format!("the contract of {id} changed since the run began: start a new run under the new one");
        Err(Error::new(ErrorKind::Conflict, message))
    }

    /// The tool of exactly that contract, whether or not it may be called: what a run is
    /// shown does not change while it goes on.
    fn known(&self, tenant: &TenantId, id: &ToolId, contract: &ContractHash) -> Option<Arc<Tool>> {
        self.pinned(tenant, id, contract).ok()
    }

    /// Every tool that may be called, in the version in use, by id.
    fn list(&self, tenant: &TenantId) -> Vec<Arc<Tool>>;

    /// The version of a tool in use, if it may be called.
    fn resolve(&self, tenant: &TenantId, id: &ToolId) -> Option<Arc<Tool>> {
        self.find(tenant, &id.clone().into()).ok()
    }
}

/// Where a tool runs.
#[async_trait]
pub trait ToolSandbox: fmt::Debug + Send + Sync {
    /// Gets ready to perform calls, such as compiling a component, so that the time of a
    /// call is the tool's own. Asked before the intent; what goes wrong is told by the call.
    async fn prepare(&self) {}

    /// The most bytes that a call of this input sends through an egress, reserved before it
    /// is made; its permit lets no more leave where the run's budget limits them.
    fn egress_bytes(&self, _manifest: &Manifest, _input: &Value) -> u64 {
        0
    }

    /// Performs one call, within the manifest's limits and until the permit's
    /// cancellation. The input is valid against the input schema.
    ///
    /// # Errors
    /// A typed fault; never a panic, whatever the tool does.
    async fn call(&self, permit: Permit, manifest: &Manifest, input: &Value) -> Result<ToolOutput, ToolFault>;

    /// Finds out whether the effect of an earlier attempt with the permit's idempotency key
    /// happened; asked after a crash, of tools of the class `queryable_write`.
    ///
    /// # Errors
    /// A typed fault when it cannot be found out now.
    async fn probe(&self, _permit: Permit, _manifest: &Manifest, _input: &Value) -> Result<Probed, ToolFault> {
        Ok(Probed::Unknown)
    }
}

/// What a tool found out of an earlier attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Probed {
    /// It happened, and gave this.
    Happened(Value),
    /// It did not happen and will not: it may be made again.
    NotHappened,
    /// It cannot be found out.
    Unknown,
}

/// What a call gave.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ToolOutput {
    /// The output as JSON.
    pub value: Value,
    /// Units of wasm fuel used; 0 for native code.
    pub fuel: u64,
    /// What the tool logged, within its limit.
    pub log: Vec<LogLine>,
    /// What is written into L9's own database together with this result, by tools of the class
    /// `same_db_write` only.
    pub writes: Vec<Write>,
    /// Where fields of the output came from, by JSON pointer: only native tools are believed,
    /// and a field without an entry has the label that the manifest gives it.
    pub labels: BTreeMap<String, Label>,
}

/// One line a tool logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// `debug`, `info`, `warn` or `error`.
    pub level: String,
    /// The text, control characters escaped.
    pub message: String,
}

/// How a call failed. A fault is an ordinary result that the agent sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ToolFault {
    /// A stable code such as `limit.fuel`, `limit.memory`, `limit.output`, `limit.time`,
    /// `trap`, `panic`, `invalid_output`, `cancelled`, `unavailable`. With `failed`,
    /// `invalid_input` and `not_sent` the tool gives its word that nothing happened; after
    /// any other code a write counts as unknown.
    pub code: String,
    /// What happened, with figures: "used 64 MiB of 64 MiB".
    pub message: String,
    /// Whether the same call may succeed later.
    #[serde(default)]
    pub retryable: bool,
    /// How long the far side asked to be left alone, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Units of wasm fuel used before it failed.
    #[serde(default, skip_serializing_if = "crate::run::is_zero")]
    pub fuel: u64,
}

impl ToolFault {
    /// A fault that will happen again.
    #[must_use]
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), retryable: false, retry_after_ms: None, fuel: 0 }
    }

    /// A fault that may pass.
    #[must_use]
    pub fn passing(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { retryable: true, ..Self::new(code, message) }
    }
}
