//! Nodes: the processes that serve one store, what each of them does, and what it says of
//! itself every few seconds.
//!
//! Nothing is decided by it: a node that says nothing any more may be alive, and who may
//! append to which run is told by leases only.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;

use crate::time::Timestamp;
use crate::{Error, Result};

/// How often a node says that it is there.
pub const BEAT: Duration = Duration::from_secs(3);

/// A node that has said nothing for this long is away.
pub const AWAY: Duration = Duration::from_secs(10);

/// A node that has said nothing for this long is shown no more.
pub const FORGOTTEN: Duration = Duration::from_secs(24 * 3_600);

/// Something that a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Role {
    /// It answers requests.
    Api,
    /// It advances runs.
    Worker,
    /// It starts runs by schedule.
    Scheduler,
}

impl Role {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Api, Self::Worker, Self::Scheduler];

    /// The name that is stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Worker => "worker",
            Self::Scheduler => "scheduler",
        }
    }
}

/// What a node does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Roles(BTreeSet<Role>);

impl Roles {
    /// All there is to do.
    #[must_use]
    pub fn all() -> Self {
        Role::ALL.into_iter().collect()
    }

    /// Whether a role is among them.
    #[must_use]
    pub fn has(&self, role: Role) -> bool {
        self.0.contains(&role)
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        Self(roles.into_iter().collect())
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().map(|role| role.as_str()).collect();
        f.pad(&names.join(","))
    }
}

impl FromStr for Roles {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let role = |name: &str| {
            let found = Role::ALL.into_iter().find(|role| role.as_str() == name);
            found.ok_or_else(|| Error::invalid(format!("{name:?} is no role: use api, worker or scheduler")))
        };
        text.split(',').filter(|name| !name.is_empty()).map(role).collect()
    }
}

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// Its configured name, which is journaled with every lease that it takes.
    pub name: String,
    /// This process's name as an owner of leases: never used by another.
    pub owner: String,
    /// What it does.
    pub roles: Roles,
    /// The version of L9 that it runs.
    pub version: String,
    /// Where it listens.
    pub address: Option<String>,
    /// How many runs it advances at the moment.
    pub runs: u64,
}

/// A node as the store knows it. Times are the store's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it said last.
    pub presence: Presence,
    /// When it first said something.
    pub started_at: Timestamp,
    /// When it last did.
    pub seen_at: Timestamp,
    /// How long ago that was.
    pub silent: Duration,
}

impl Node {
    /// Whether it has been silent for so long that it is away: dead, frozen or cut off.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.silent > AWAY
    }
}

/// Stores what nodes say of themselves.
#[async_trait]
pub trait Roster: fmt::Debug + Send + Sync {
    /// Keeps what a process says, in place of what it said before, and drops whoever is
    /// [`FORGOTTEN`].
    ///
    /// # Errors
    /// From the backend only.
    async fn say(&self, presence: &Presence) -> Result<()>;

    /// Drops a process that goes away and says so.
    ///
    /// # Errors
    /// From the backend only.
    async fn leave(&self, owner: &str) -> Result<()>;

    /// The nodes, in the order of their names, then of their starts.
    ///
    /// # Errors
    /// `Corrupt` when a row cannot be read as a node.
    async fn nodes(&self) -> Result<Vec<Node>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_written_and_read_in_one_form() {
        let roles: Roles = "worker,api".parse().unwrap();
        assert_eq!(roles, [Role::Api, Role::Worker].into_iter().collect());
        assert_eq!((roles.to_string().as_str(), roles.has(Role::Scheduler)), ("api,worker", false));
        assert_eq!(Roles::all().to_string().parse::<Roles>().unwrap(), Roles::all());
        let wrong = "api,cook".parse::<Roles>().unwrap_err();
        assert!(wrong.message().contains("\"cook\"") && wrong.message().contains("scheduler"), "{wrong}");
    }
}
