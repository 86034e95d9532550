//! What is recorded of a tool, in the form that people and programs are shown.

use l9_core::id::ToolId;
use l9_core::time::Timestamp;
use l9_core::tool::{Cause, ContractHash, Entry, Standings, ToolChange, ToolState};
use schemars::JsonSchema;
use serde::Serialize;

use super::difference;

/// One version of a tool, and everything that happened to it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Recorded {
    /// The version.
    pub version: String,
    /// What it means.
    pub contract_hash: ContractHash,
    /// Whether it may be called.
    pub state: ToolState,
    /// The name of the trusted key that signed it, if one did.
    pub signer: Option<String>,
    /// What happened to it, oldest first.
    pub history: Vec<Happened>,
    /// Of a version that waits and was recorded whole: what it changes of the one in use, line
    /// by line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes: Option<String>,
}

/// One change of a version.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Happened {
    /// What it was from then on.
    pub state: ToolState,
    /// When.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Whether it arrived or somebody decided.
    pub cause: Cause,
    /// Who decided, or where it came from.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// Every recorded version of a tool, oldest first.
#[must_use]
pub fn recorded(standings: &Standings, tool: &ToolId) -> Vec<Recorded> {
    let happened = |change: &ToolChange| {
        let ToolChange { state, at, order, .. } = change;
        Happened { state: *state, at: *at, cause: order.cause, by: order.by.clone(), reason: order.reason.clone() }
    };
    let in_use = standings.in_use(tool).and_then(Entry::manifest);
    let changes = |entry: &Entry| {
        let waits = Some(entry).filter(|entry| entry.state == ToolState::Offered)?;
        Some(difference(in_use?, waits.manifest()?))
    };
    let versions = standings.versions(tool);
    versions
        .map(|(version, entry)| Recorded {
            version: version.to_string(),
            contract_hash: entry.contract,
            state: entry.state,
            signer: entry.signer.clone(),
            history: entry.history.iter().map(happened).collect(),
            changes: changes(entry),
        })
        .collect()
}
