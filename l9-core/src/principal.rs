//! On whose behalf something is done.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::TenantId;

/// Somebody who may ask for runs: a person or a service, of one tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Principal {
    /// The tenant whose rows they may touch.
    pub tenant: TenantId,
    /// `person:ada`, `service:ci`: unique within the tenant.
    pub subject: String,
}

impl Principal {
    /// Whoever sits at this machine: the only principal while authentication is off.
    #[must_use]
    pub fn local() -> Self {
        Self { tenant: TenantId::default_tenant(), subject: "person:local".into() }
    }
}
