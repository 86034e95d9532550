//! A plan as it is written: YAML or JSON, every key checked.

use std::collections::BTreeMap;

use l9_core::budget::Budget;
use l9_core::id::AgentId;
use l9_core::run::{Breakpoint, Mode, Moment};
use l9_core::tool::ToolName;
use l9_core::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The most bytes of a plan's text.
const TEXT_BYTES: usize = 64 << 20;

/// A plan: nodes that begin when what they need has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// What it is called: letters, digits, `-` and `_`.
    #[serde(rename = "plan")]
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// How many effects may be under way at once, from 1 to 1,024.
    #[serde(default = "parallel", skip_serializing_if = "is_parallel")]
    pub parallel: u32,
    /// What becomes of what was done when a node fails.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_failure: OnFailure,
    /// How long the whole may take, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_seconds: Option<u64>,
    /// The most that the whole may use.
    #[serde(default, skip_serializing_if = "is_default")]
    pub budget: Budget,
    /// What its run answers, such as `${publish.url}`; the outputs of the nodes that nothing needs
    /// if absent.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub output: Value,
    /// Where it stops until somebody lets it go on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub breakpoints: Vec<Breakpoint>,
    /// What it does.
    pub nodes: Vec<NodeDoc>,
}

/// What becomes of what was done when a node fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// It stays; what does not need the node goes on.
    #[default]
    Keep,
    /// Once everything has ended, what was done is compensated, the last first.
    Compensate,
}

/// A node of a plan. Exactly one of `tool`, `agent`, `approval`, `wait`, `branch`, `plan` and
/// `checkpoint` says what it does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NodeDoc {
    /// What it is called: letters, digits, `-` and `_`.
    pub id: String,
    /// Calls a tool with `arguments`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<ToolName>,
    /// What the tool is called with; `${node.field}` stands for what another node gave.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub arguments: Value,
    /// Has an agent carry out `input`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// What the agent is to do, or what the plan is given.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub input: Value,
    /// Asks a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<Box<ApprovalDoc>>,
    /// Waits for a time or a signal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait: Option<Box<WaitDoc>>,
    /// Chooses among the nodes that need it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<Vec<Way>>,
    /// Has another plan carried out, in a run of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Box<Value>>,
    /// Marks a state of memory that can be gone back to with the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Box<CheckpointDoc>>,
    /// Does it once for each element of a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map: Option<Box<MapDoc>>,
    /// What must have ended before, beside the nodes that it refers to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// How what it needs must have ended.
    #[serde(skip_serializing_if = "is_default")]
    pub trigger: Trigger,
    /// Only if this is true; skipped otherwise. Such as `${test.failed} == 0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// How often it is tried.
    #[serde(skip_serializing_if = "is_default")]
    pub retry: Retry,
    /// How long one try may take, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u64>,
    /// Whether the plan succeeds although it failed.
    #[serde(skip_serializing_if = "is_default")]
    pub optional: bool,
    /// What undoes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compensate: Option<Box<CompensateDoc>>,
    /// Stops the plan here until somebody lets it go on.
    #[serde(rename = "break", skip_serializing_if = "Option::is_none")]
    pub stop: Option<Moment>,
}

/// A question to a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalDoc {
    /// What is asked.
    pub question: String,
    /// What is asked about; whoever approves may edit it.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub data: Value,
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaitDoc {
    /// A signal of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// This long, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
}

/// A way that a branch may take: the first whose condition is true.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Way {
    /// Only if this is true; always if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// The nodes that then begin.
    pub then: Vec<String>,
}

/// A list that a node goes through.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MapDoc {
    /// The list: `${node.field}`, or its elements. Within the node `${item}` is the element and
    /// `${index}` its place, from 0.
    pub over: Value,
    /// How many at once.
    #[serde(default = "width")]
    pub parallel: u32,
}

/// What a checkpoint marks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckpointDoc {
    /// Whose memory; the whole tenant's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
}

/// How what a node needs must have ended for it to begin; it is skipped otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// All succeeded.
    #[default]
    AllSucceeded,
    /// None failed, and one succeeded: what joins branches.
    NoneFailed,
    /// One succeeded.
    AnySucceeded,
    /// One failed.
    AnyFailed,
    /// All ended, however.
    AllDone,
}

/// How often a node is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// How often at most, the first try included.
    pub attempts: u32,
    /// The wait before the second try, in seconds; it doubles with each further one.
    pub backoff_seconds: u64,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 1, backoff_seconds: 1 }
    }
}

/// A call that undoes what a node did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CompensateDoc {
    /// The tool.
    pub tool: ToolName,
    /// What it is called with; may refer to the node itself.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub arguments: Value,
}

/// An edit of a plan that runs: nodes that have not begun are put or removed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Patch {
    /// Nodes that are added, or that take the place of those of their ids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub put: Vec<NodeDoc>,
    /// The ids of nodes that go.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
}

fn parallel() -> u32 {
    32
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_parallel(value: &u32) -> bool {
    *value == parallel()
}

fn width() -> u32 {
    8
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Plan {
    /// Reads a plan from YAML or JSON, and tells the line of what is wrong with it.
    ///
    /// # Errors
    /// `Invalid` for text that is no plan.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() > TEXT_BYTES {
            return Err(Error::invalid(format!("the plan has {} bytes: use at most {TEXT_BYTES}", text.len())));
        }
        if text.trim_start().starts_with('{') {
            // What begins like JSON and is none may still be YAML, which is read more slowly.
            if let Ok(plan) = serde_json::from_str(text) {
                return Ok(plan);
            }
        }
        let options = serde_saphyr::options! { with_snippet: false, strict_booleans: true };
        serde_saphyr::from_str_with_options(text, options)
            .map_err(|error| Error::invalid(format!("the plan does not read: {error}")))
    }

    /// Reads a plan from its value.
    ///
    /// # Errors
    /// `Invalid` for a value that is no plan.
    pub fn read(value: &Value) -> Result<Self> {
        match value {
            // Whoever writes a plan as text within JSON means the text.
            Value::String(text) => Self::parse(text),
            value => {
                Self::deserialize(value).map_err(|error| Error::invalid(format!("the plan does not read: {error}")))
            }
        }
    }

    /// The plan as a value.
    ///
    /// # Errors
    /// `Internal` for a plan that has none.
    pub fn value(&self) -> Result<Value> {
        serde_json::to_value(self).map_err(|error| Error::internal(error.to_string()))
    }

    /// Its JSON Schema.
    #[must_use]
    pub fn schema() -> schemars::Schema {
        schemars::schema_for!(Self)
    }

    /// All breakpoints that stand in it.
    pub(super) fn stops(&self) -> impl Iterator<Item = Breakpoint> {
        let own = self.nodes.iter().filter_map(|node| {
            let at = node.stop?;
            Some(Breakpoint { node: node.id.clone(), at, when: None, mode: Mode::Drain })
        });
        own.chain(self.breakpoints.iter().cloned())
    }

    /// The plan after an edit.
    pub(super) fn patched(mut self, patch: &Patch) -> Self {
        let mut put: BTreeMap<&str, &NodeDoc> = patch.put.iter().map(|node| (node.id.as_str(), node)).collect();
        self.nodes.retain(|node| !patch.remove.contains(&node.id));
        self.breakpoints.retain(|breakpoint| !patch.remove.contains(&breakpoint.node));
        for node in &mut self.nodes {
            if let Some(new) = put.remove(node.id.as_str()) {
                node.clone_from(new);
            }
        }
        let added = patch.put.iter().filter(|node| put.contains_key(node.id.as_str()));
        self.nodes.extend(added.cloned());
        self
    }
}
