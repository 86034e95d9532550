//! An agent's profile: its model, its instructions, what it may call, its limits.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::budget::Budget;
use crate::id::{AgentId, ToolId};
use crate::model::ModelName;
use crate::tool::ToolName;
use crate::{Error, Result};

/// An agent. Written as YAML or JSON; unknown fields are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentProfile {
    /// Its name.
    pub id: AgentId,
    /// What it is for, in a line.
    #[serde(default)]
    pub description: String,
    /// `provider/model`, `provider`, or `auto` for whichever provider is configured.
    #[serde(default = "ModelName::auto")]
    pub model: ModelName,
    /// Standing instructions.
    #[serde(default)]
    pub instructions: String,
    /// What it may call: a tool in the version in use, or in one that is named.
    #[serde(default)]
    pub tools: Vec<ToolName>,
    /// Whom it may delegate to; a child may do and use no more than it may itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delegates: Vec<AgentId>,
    /// What it recalls before its first turn.
    #[serde(default)]
    pub memory: MemoryUse,
    /// The most a run of it may use.
    #[serde(default)]
    pub budget: Budget,
    /// How far a run of it may go.
    #[serde(default)]
    pub limits: Limits,
}

/// What an agent recalls before its first turn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MemoryUse {
    /// How many passages to recall for the input through `memory/search`; 0 for none.
    pub recall: u32,
}

/// How far a run may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Model turns.
    pub turns: u32,
    /// Tool calls that one turn may ask for.
    pub parallel_tools: u32,
    /// Tokens of one answer.
    pub output_tokens: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { turns: 16, parallel_tools: 16, output_tokens: 4096 }
    }
}

impl AgentProfile {
    /// A profile with a name and nothing else: no tools, no memory, the default model.
    ///
    /// # Errors
    /// `Invalid` when the id is not of its form.
    pub fn new(id: &str) -> Result<Self> {
        Ok(Self {
            id: AgentId::new(id)?,
            description: String::new(),
            model: ModelName::auto(),
            instructions: String::new(),
            tools: Vec::new(),
            delegates: Vec::new(),
            memory: MemoryUse::default(),
            budget: Budget::default(),
            limits: Limits::default(),
        })
    }

    /// Sets the model.
    ///
    /// # Errors
    /// `Invalid` when the name is not of its form.
    pub fn with_model(mut self, model: &str) -> Result<Self> {
        self.model = model.parse()?;
        Ok(self)
    }

    /// Sets the instructions.
    #[must_use]
    pub fn with_instructions(mut self, instructions: impl Into<String>) -> Self {
        self.instructions = instructions.into();
        self
    }

    /// Grants a tool, or one version of it.
    ///
    /// # Errors
    /// `Invalid` when the id is not of its form.
    pub fn with_tool(mut self, tool: &str) -> Result<Self> {
        self.tools.push(tool.parse()?);
        Ok(self)
    }

    /// Recalls passages for the input before the first turn.
    #[must_use]
    pub fn with_recall(mut self, passages: u32) -> Self {
        self.memory.recall = passages;
        self
    }

    /// Limits what a run may use.
    #[must_use]
    pub fn with_budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// Whether the profile grants a tool; recall grants `memory/search`, and having whom to
    /// delegate to grants `run/delegate`.
    #[must_use]
    pub fn may_call(&self, tool: &ToolId) -> bool {
        self.tools.iter().any(|own| own.id == *tool)
            || (self.memory.recall > 0 && tool.as_str() == super::decider::RECALL)
            || (!self.delegates.is_empty() && tool.as_str() == crate::run::DELEGATE)
    }

    /// Checks what the form alone cannot say.
    ///
    /// # Errors
    /// `Invalid`, naming the field and the mend.
    pub fn validate(&self) -> Result<()> {
        let fail = |field: &str, why: String| Err(Error::invalid(format!("agent {}: {field} {why}", self.id)));
        if self.limits.turns == 0 || self.limits.turns > 10_000 {
            return fail("limits.turns", format!("is {}: use 1 to 10000", self.limits.turns));
        }
        if self.limits.parallel_tools == 0 || self.limits.parallel_tools > 256 {
            return fail("limits.parallel_tools", format!("is {}: use 1 to 256", self.limits.parallel_tools));
        }
        if self.memory.recall > 50 {
            return fail("memory.recall", format!("is {}: use 0 to 50", self.memory.recall));
        }
        if let Some(why) = self.budget.oversized() {
            return fail("budget:", why);
        }
        if self.instructions.len() > 256 << 10 {
            return fail("instructions", format!("are {} bytes: use at most 256 KiB", self.instructions.len()));
        }
        let mut seen = std::collections::BTreeSet::new();
        if let Some(tool) = self.tools.iter().find(|tool| !seen.insert(&tool.id)) {
            return fail("tools", format!("name {} twice", tool.id));
        }
        Ok(())
    }
}
