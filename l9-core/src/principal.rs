//! On whose behalf something is done, and what they may ask for.
//!
//! Roles say what somebody may ask of L9; what a run may do is the governor's to say.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::TenantId;
use crate::{Error, Result};

/// What somebody may ask for, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// May look: runs, events, memory, tools, audit.
    Viewer,
    /// May look, start and steer runs, call tools, and write memory.
    Operator,
    /// May look, and decide on what waits for approval.
    Approver,
    /// May do all of that, and change agents and tools, stop everything, and drop what is old.
    Admin,
}

impl Role {
    /// Every role there is.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Operator, Self::Approver, Self::Admin];

    /// The name in tokens, journals and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Approver => "approver",
            Self::Admin => "admin",
        }
    }

    /// Whether whoever has this role may do what needs the other. Operators and approvers
    /// have separate duties: neither may do what the other may.
    #[must_use]
    pub fn covers(self, needed: Self) -> bool {
        self == needed || self == Self::Admin || needed == Self::Viewer
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| {
            let shown: String = text.chars().take(40).collect();
            Error::invalid(format!("there is no role {shown:?}: use viewer, operator, approver or admin"))
        })
    }
}

/// The roles somebody has, in the order of [`Role::ALL`]; none of them grants nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Roles(BTreeSet<Role>);

impl Roles {
    /// Every role.
    #[must_use]
    pub fn all() -> Self {
        Role::ALL.into_iter().collect()
    }

    /// Whether one of them covers what is needed.
    #[must_use]
    pub fn allow(&self, needed: Role) -> bool {
        self.0.iter().any(|role| role.covers(needed))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each, the least first.
    pub fn iter(&self) -> impl Iterator<Item = Role> + '_ {
        self.0.iter().copied()
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        Self(roles.into_iter().collect())
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.iter().map(Role::as_str).collect();
        f.write_str(&names.join(", "))
    }
}

/// Somebody who may ask for runs: a person or a service, of one tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Principal {
    /// The tenant whose rows they may touch.
    pub tenant: TenantId,
    /// `person:ada`, `service:ci`: unique within the tenant.
    pub subject: String,
    /// What they might ask for at that time; empty in journals of before there were roles.
    #[serde(default, skip_serializing_if = "Roles::is_empty")]
    pub roles: Roles,
}

/// Who somebody is, whatever they may ask for: what requests are told apart by, so that
/// one who is given another role and asks again asks the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Identity<'a> {
    /// The tenant.
    pub tenant: &'a TenantId,
    /// The subject within it.
    pub subject: &'a str,
}

impl Principal {
    /// Whoever sits at this machine: the only principal while authentication is off.
    #[must_use]
    pub fn local() -> Self {
        Self::local_of(TenantId::default_tenant())
    }

    /// Whoever sits at this machine, at work for a tenant.
    #[must_use]
    pub fn local_of(tenant: TenantId) -> Self {
        Self { tenant, subject: "person:local".into(), roles: Roles::all() }
    }

    /// Who they are, without their roles.
    #[must_use]
    pub fn identity(&self) -> Identity<'_> {
        Identity { tenant: &self.tenant, subject: &self.subject }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_covers_what_is_less_and_separate_duties_stay_apart() {
        use Role::{Admin, Approver, Operator, Viewer};
        let covered = |role: Role| Role::ALL.into_iter().filter(|needed| role.covers(*needed)).collect::<Vec<_>>();
        assert_eq!(covered(Viewer), [Viewer]);
        assert_eq!(covered(Operator), [Viewer, Operator]);
        assert_eq!(covered(Approver), [Viewer, Approver]);
        assert_eq!(covered(Admin), Role::ALL);
        assert!(Role::ALL.into_iter().all(|needed| Roles::all().allow(needed) && !Roles::default().allow(needed)));
        assert!("Admin".parse::<Role>().is_err());
        assert_eq!("approver".parse::<Role>().unwrap(), Approver);
    }

    #[test]
    fn a_principal_of_before_there_were_roles_reads_and_writes_as_it_was() {
        let old = r#"{"tenant":"default","subject":"person:local"}"#;
        let read: Principal = serde_json::from_str(old).unwrap();
        assert!(read.roles.is_empty());
        assert_eq!(serde_json::to_string(&read).unwrap(), old);
        // The order of requests' digests, which stand in journals.
        assert_eq!(serde_json::to_string(&Principal::local().identity()).unwrap(), old);
        let new = serde_json::to_string(&Principal::local()).unwrap();
        assert!(new.ends_with(r#""roles":["viewer","operator","approver","admin"]}"#), "{new}");
        assert_eq!(serde_json::from_str::<Principal>(&new).unwrap(), Principal::local());
    }
}
