//! The emergency stop. While one stands, nobody gets the lease of a run that it holds, and
//! effects start under a lease only: so once no lease is left, nothing starts anywhere.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::id::TenantId;
use crate::time::Timestamp;
use crate::vault::{Place, Vault};
use crate::{Error, Result, text};

/// How all tenants are written.
const ALL: &str = "*";

/// The most bytes of a reason.
const REASON: usize = 4096;

/// Whom a stop holds; written as a tenant's id, or `*` for all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Every tenant.
    All,
    /// One.
    Tenant(TenantId),
}

impl Scope {
    /// Whether it holds the runs of a tenant.
    #[must_use]
    pub fn holds(&self, tenant: &TenantId) -> bool {
        match self {
            Self::All => true,
            Self::Tenant(one) => one == tenant,
        }
    }

    /// As backends keep it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::All => ALL,
            Self::Tenant(tenant) => tenant.as_str(),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        if text == ALL { Ok(Self::All) } else { TenantId::new(text).map(Self::Tenant) }
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::read(deserializer, "a tenant's id, or * for all")
    }
}

/// A stop that stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Whom it holds.
    pub scope: Scope,
    /// Since when.
    pub at: Timestamp,
    /// Who ordered it.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// Refuses a reason that says nothing or too much.
///
/// # Errors
/// `Invalid`.
pub fn check_reason(reason: &str) -> Result<()> {
    if reason.trim().is_empty() {
        return Err(Error::invalid("say why: a stop needs a reason"));
    }
    if reason.len() > REASON {
        return Err(Error::invalid(format!("the reason has {} bytes: use at most {REASON}", reason.len())));
    }
    Ok(())
}

/// A stop as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredStop {
    /// Whom it holds.
    pub scope: Scope,
    /// Since when.
    pub at: Timestamp,
    /// Who ordered it and why, sealed.
    pub sealed: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Order {
    by: String,
    reason: String,
}

impl Stop {
    /// Seals it.
    pub(crate) fn seal(&self, vault: &dyn Vault) -> Result<StoredStop> {
        let order = Order { by: self.by.clone(), reason: self.reason.clone() };
        let plain = serde_json::to_vec(&order)
            .map_err(|error| Error::internal(format!("a stop cannot be written: {error}")))?;
        let sealed = vault.seal(&TenantId::default_tenant(), &place(self.scope.as_str()), &plain)?;
        Ok(StoredStop { scope: self.scope.clone(), at: self.at, sealed })
    }

    /// Opens one that is stored.
    pub(crate) fn open(vault: &dyn Vault, stored: &StoredStop) -> Result<Self> {
        let plain = vault.open(&TenantId::default_tenant(), &place(stored.scope.as_str()), &stored.sealed)?;
        let Order { by, reason } = serde_json::from_slice(&plain)
            .map_err(|error| Error::corrupt(format!("the stop of {} does not parse: {error}", stored.scope)))?;
        Ok(Self { scope: stored.scope.clone(), at: stored.at, by, reason })
    }
}

pub(crate) fn place(scope: &str) -> Place<'_> {
    Place { table: "stop", row: scope.as_bytes(), column: "order" }
}
