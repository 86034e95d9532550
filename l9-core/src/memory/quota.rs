//! How much memory there may be, and how much there is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::AgentId;
use crate::{Error, ErrorKind, Result};

/// How much may be kept; whatever is absent has no bound.
///
/// What is not forgotten counts, also what is superseded or in quarantine. An agent's are its
/// own entries; a tenant's are all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Quota {
    /// The most entries of a tenant.
    pub tenant_entries: Option<u64>,
    /// The most bytes of a tenant's entries, as they are kept.
    pub tenant_bytes: Option<u64>,
    /// The most entries of one agent.
    pub agent_entries: Option<u64>,
    /// The most bytes of one agent's entries, as they are kept.
    pub agent_bytes: Option<u64>,
}

/// How much is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Used {
    /// How many entries.
    pub entries: u64,
    /// How many bytes they are, as they are kept: sealed where they are, and the words that find
    /// them.
    pub bytes: u64,
}

/// How much is kept, and how much may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Share {
    /// What is kept.
    #[serde(flatten)]
    pub used: Used,
    /// The most entries; null without a bound.
    pub most_entries: Option<u64>,
    /// The most bytes; null without a bound.
    pub most_bytes: Option<u64>,
}

/// The share of a tenant, and of one of its agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Usage {
    /// All that the tenant has.
    pub tenant: Share,
    /// The agent's own entries, if one was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<Share>,
}

impl Used {
    /// What both are together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { entries: self.entries.saturating_add(other.entries), bytes: self.bytes.saturating_add(other.bytes) }
    }
}

impl Quota {
    /// Whether a tenant, or an agent, has any bound.
    #[must_use]
    pub fn bounds(&self, agent: bool) -> bool {
        let (entries, bytes) = self.of(agent);
        entries.is_some() || bytes.is_some()
    }

    /// What is used of what a tenant may have, or an agent.
    #[must_use]
    pub fn share(&self, agent: bool, used: Used) -> Share {
        let (most_entries, most_bytes) = self.of(agent);
        Share { used, most_entries, most_bytes }
    }

    /// Refuses what would be beyond the bounds of an agent, or of the tenant.
    ///
    /// # Errors
    /// `Exhausted`, with what is used and what may be.
    pub fn check(&self, agent: Option<&AgentId>, used: Used, new: Used) -> Result<()> {
        let (entries, bytes) = self.of(agent.is_some());
        let bounds = [("entries", entries, used.entries, new.entries), ("bytes", bytes, used.bytes, new.bytes)];
        for (what, most, used, new) in bounds {
            let Some(most) = most.filter(|most| new > 0 && used.saturating_add(new) > *most) else { continue };
            let (whose, of) = match agent {
                Some(agent) => (format!("agent {agent}"), "agent"),
                None => ("the tenant".to_owned(), "tenant"),
            };
            return Err(Error::new(
                ErrorKind::Exhausted,
                format!(
                    "{whose} has {used} of at most {most} {what} of memory and this adds {new}, so nothing of it is kept: \
                     forget some, or raise memory.quota.{of}_{what}"
                ),
            ));
        }
        Ok(())
    }

    fn of(&self, agent: bool) -> (Option<u64>, Option<u64>) {
        if agent { (self.agent_entries, self.agent_bytes) } else { (self.tenant_entries, self.tenant_bytes) }
    }
}
