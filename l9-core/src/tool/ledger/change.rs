//! What happened to a version of a tool: it arrived, or a person decided about it.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::id::{TenantId, ToolId};
use crate::time::Timestamp;
use crate::tool::{ContractHash, Manifest};
use crate::vault::{Place, Vault};
use crate::{Error, Result};

/// Whether a version of a tool may be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ToolState {
    /// It is there, and nobody accepted it yet.
    Offered,
    /// It may be called.
    Accepted,
    /// It may not be called until it is accepted again.
    Disabled,
    /// It may never be called again.
    Revoked,
}

impl ToolState {
    /// The name in lists, statements and stores.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Offered => "offered",
            Self::Accepted => "accepted",
            Self::Disabled => "disabled",
            Self::Revoked => "revoked",
        }
    }
}

impl fmt::Display for ToolState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ToolState {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let all = [Self::Offered, Self::Accepted, Self::Disabled, Self::Revoked];
        all.into_iter().find(|state| state.as_str() == text).ok_or_else(|| {
            let shown: String = text.chars().take(80).collect();
            Error::invalid(format!("{shown:?} is no state of a tool: use offered, accepted, disabled or revoked"))
        })
    }
}

/// How a change came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The version was found where its tools come from.
    Arrival,
    /// A person decided.
    Decision,
}

/// One change of a version's state.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolChange {
    /// The tool.
    pub tool: ToolId,
    /// Its version.
    pub version: Version,
    /// What the version means.
    pub contract: ContractHash,
    /// The state from then on.
    pub state: ToolState,
    /// When.
    pub at: Timestamp,
    /// How it came about, who did it and why.
    pub order: Order,
}

/// The part of a change that is sealed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// How it came about.
    pub cause: Cause,
    /// Who decided, or where the version came from.
    pub by: String,
    /// Why, in words.
    pub reason: String,
    /// The name of the trusted key that signed the contract, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    /// The manifest, where this is the only place that has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Box<Manifest>>,
}

/// A change as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredToolChange {
    /// Its place among all changes, dense from 1.
    pub position: u64,
    /// The tool.
    pub tool: ToolId,
    /// Its version.
    pub version: String,
    /// What the version means.
    pub contract: Digest,
    /// The state from then on.
    pub state: ToolState,
    /// When.
    pub at: Timestamp,
    /// The [`Order`], sealed for this place.
    pub sealed: Vec<u8>,
}

impl ToolChange {
    /// Seals it for its place.
    ///
    /// # Errors
    /// `Unavailable` when the key cannot be had.
    pub fn seal(&self, vault: &dyn Vault, position: u64) -> Result<StoredToolChange> {
        let plain = serde_json::to_vec(&self.order)
            .map_err(|error| Error::internal(format!("a change of {} cannot be written: {error}", self.tool)))?;
        let row = row(position, &self.tool, &self.version.to_string(), self.contract.0, self.state, self.at);
        Ok(StoredToolChange {
            position,
            tool: self.tool.clone(),
            version: self.version.to_string(),
            contract: self.contract.0,
            state: self.state,
            at: self.at,
            sealed: vault.seal(&TenantId::default_tenant(), &place(&row), &plain)?,
        })
    }

    /// Opens one that is stored.
    ///
    /// # Errors
    /// `Corrupt` when it was changed or moved.
    pub fn open(vault: &dyn Vault, stored: &StoredToolChange) -> Result<Self> {
        let StoredToolChange { position, tool, version, contract, state, at, sealed } = stored;
        let corrupt = |why: String| Error::corrupt(format!("change {position} of the tools, about {tool}: {why}"));
        let row = row(*position, tool, version, *contract, *state, *at);
        let plain = vault.open(&TenantId::default_tenant(), &place(&row), sealed)?;
        let order = serde_json::from_slice(&plain).map_err(|error| corrupt(error.to_string()))?;
        let version = Version::parse(version).map_err(|error| corrupt(error.to_string()))?;
        Ok(Self { tool: tool.clone(), version, contract: ContractHash(*contract), state: *state, at: *at, order })
    }
}

/// All that stands in the open, so that none of it can be changed without the key.
fn row(position: u64, tool: &ToolId, version: &str, contract: Digest, state: ToolState, at: Timestamp) -> Vec<u8> {
    format!("{position}\n{tool}\n{version}\n{contract}\n{state}\n{}", at.as_millis()).into_bytes()
}

pub(crate) fn place(row: &[u8]) -> Place<'_> {
    Place { table: "tool_change", row, column: "order" }
}
