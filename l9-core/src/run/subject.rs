//! What a run executes, pinned as it was when the run began.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::stored::Stored;
use crate::agent::AgentProfile;
use crate::id::{AgentId, ToolId};
use crate::tool::{ContractHash, ToolName};

/// What a run executes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Subject {
    /// An agent.
    Agent {
        /// Its profile, the model pinned.
        profile: Box<AgentProfile>,
        /// The contracts of its tools; any other contract is stale.
        contracts: BTreeMap<ToolId, ContractHash>,
        /// The task in words.
        input: Stored,
    },
    /// One governed tool call.
    Tool {
        /// The tool.
        tool: ToolId,
        /// Its contract.
        contract: ContractHash,
        /// The arguments as they were given, as text.
        arguments: Stored,
    },
    /// A plan; from version 6 of `run.created` and 5 of `run.forked`.
    Plan {
        /// What it is called.
        name: String,
        /// The plan, as it was checked.
        plan: Stored,
        /// The contracts of its tools; it calls no other, and any other contract is stale.
        contracts: BTreeMap<ToolId, ContractHash>,
        /// The agents that it may delegate to.
        agents: BTreeSet<AgentId>,
        /// The tools that its agents may have at most; all of their own if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ceiling: Option<Vec<ToolName>>,
        /// What it was given.
        input: Stored,
    },
}

impl Subject {
    /// `agent`, `tool` or `plan`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Agent { .. } => "agent",
            Self::Tool { .. } => "tool",
            Self::Plan { .. } => "plan",
        }
    }

    /// The agent's or the tool's id, or the plan's name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Agent { profile, .. } => profile.id.as_str(),
            Self::Tool { tool, .. } => tool.as_str(),
            Self::Plan { name, .. } => name,
        }
    }

    /// What it was asked to do.
    #[must_use]
    pub fn input(&self) -> &Stored {
        match self {
            Self::Agent { input, .. } | Self::Plan { input, .. } => input,
            Self::Tool { arguments, .. } => arguments,
        }
    }

    /// The values that it is made of.
    pub(crate) fn stored(&self) -> impl Iterator<Item = &Stored> {
        let plan = match self {
            Self::Plan { plan, .. } => Some(plan),
            Self::Agent { .. } | Self::Tool { .. } => None,
        };
        plan.into_iter().chain([self.input()])
    }
}
