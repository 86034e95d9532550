//! What can happen to a run. Everything else about it is derived from these.
//!
//! Every kind has a version of its own; a kind or version this build does not know is
//! refused as newer, never guessed at. A new field or a new variant anywhere within a
//! payload is a new version of its event. What can be derived is not in here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::approval::{ApprovalAsked, ApprovalDecided};
use super::delegation::{ChildSpawned, Parent};
use super::outcome::RunOutcome;
use super::plan::{BreakpointHit, BreakpointReleased, BreakpointSet, PlanPatched, PlanRolledBack, Rollback};
use super::stored::Stored;
use super::subject::Subject;
use crate::budget::{Budget, Cost};
use crate::digest::Digest;
use crate::flow::FieldLabel;
use crate::id::{CallId, CommandId, RunId, ToolId};
use crate::json;
use crate::label::Label;
use crate::model::ModelName;
use crate::principal::Principal;
use crate::time::Timestamp;
use crate::tool::{ContractHash, EffectClass, LogLine};
use crate::{Error, ErrorKind, Result};

/// Declares the events with their journaled kind and version.
macro_rules! events {
    ($($(#[$doc:meta])* $name:ident($data:ty) = $kind:literal, $version:literal;)*) => {
        /// Something that happened to a run.
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub enum Event {
            $($(#[$doc])* $name($data),)*
        }

        impl Event {
            /// The name under which it is journaled.
            #[must_use]
            pub fn kind(&self) -> &'static str {
                match self { $(Self::$name(_) => $kind,)* }
            }

            /// The version of its payload's form.
            #[must_use]
            pub fn version(&self) -> u16 {
                match self { $(Self::$name(_) => $version,)* }
            }

            /// Its payload in canonical form.
            ///
            /// # Errors
            /// `Internal` when a value within has no canonical form.
            pub fn payload(&self) -> Result<Vec<u8>> {
                match self { $(Self::$name(data) => json::canonical(data),)* }
            }

            /// Reads a journaled event.
            ///
            /// # Errors
            /// `Newer` for a kind or version this build does not know, `Corrupt` for a
            /// payload that is not of the kind's form.
            pub fn decode(kind: &str, version: u16, payload: &[u8]) -> Result<Self> {
                match (kind, version) {
                    $(($kind, 1..=$version) => serde_json::from_slice(payload).map(Self::$name).map_err(|error| {
                        Error::corrupt(format!("the payload of {kind} version {version} does not parse: {error}"))
                    }),)*
                    _ => Err(Error::new(
                        ErrorKind::Newer,
                        format!("event {kind} version {version} is not known to L9 {}: upgrade it", env!("CARGO_PKG_VERSION")),
                    )),
                }
            }
        }

        #[cfg(test)]
        const KINDS: &[(&str, u16)] = &[$(($kind, $version),)*];
    };
}

events! {
    /// The run was accepted.
    RunCreated(Box<RunCreated>) = "run.created", 7;
    /// The run left the one whose records stand before this one.
    RunForked(Box<RunForked>) = "run.forked", 6;
    /// A node took the lease; the record's epoch is its number.
    LeaseTaken(LeaseTaken) = "lease.taken", 1;
    /// An effect is about to happen: written durably before it does.
    EffectIntent(Box<EffectIntent>) = "effect.intent", 4;
    /// An effect ended, well or badly.
    EffectResult(Box<EffectResult>) = "effect.result", 4;
    /// An effect was refused on the governed path; nothing happened.
    EffectDenied(Box<EffectDenied>) = "effect.denied", 3;
    /// An attempt ended without anybody knowing whether it took effect.
    EffectUnknown(EffectUnknown) = "effect.unknown", 2;
    /// An attempt ended without effect, and another is made later.
    EffectRetry(Box<EffectRetry>) = "effect.retry", 2;
    /// A person or a policy decided what an unknown effect is taken for.
    EffectReconciled(Box<EffectReconciled>) = "effect.reconciled", 1;
    /// A child began; the intent of the effect that it is stands right before.
    ChildSpawned(ChildSpawned) = "child.spawned", 2;
    /// A person is asked before an effect.
    ApprovalAsked(Box<ApprovalAsked>) = "approval.asked", 2;
    /// A question was decided.
    ApprovalDecided(Box<ApprovalDecided>) = "approval.decided", 2;
    /// Something came that a wait waited for.
    SignalReceived(Box<SignalReceived>) = "signal.received", 1;
    /// Nothing new starts until somebody resumes the run.
    RunPaused(RunPaused) = "run.paused", 1;
    /// The run goes on.
    RunResumed(RunResumed) = "run.resumed", 1;
    /// Somebody asked the run to stop.
    CancelRequested(CancelRequested) = "cancel.requested", 1;
    /// A plan came to a breakpoint.
    BreakpointHit(BreakpointHit) = "breakpoint.hit", 1;
    /// Somebody set or cleared a breakpoint.
    BreakpointSet(BreakpointSet) = "breakpoint.set", 1;
    /// The breakpoints that a plan stands at were released.
    BreakpointReleased(BreakpointReleased) = "breakpoint.released", 1;
    /// A plan was edited.
    PlanPatched(Box<PlanPatched>) = "plan.patched", 1;
    /// Nodes of a plan are reset.
    PlanRolledBack(PlanRolledBack) = "plan.rolled_back", 1;
    /// A command could not be carried out.
    CommandRejected(CommandRejected) = "command.rejected", 2;
    /// The run ended; nothing follows.
    RunClosed(Box<RunOutcome>) = "run.closed", 1;
}

impl Event {
    /// The command that it carries out or rejects.
    #[must_use]
    pub fn command(&self) -> Option<&CommandId> {
        match self {
            Self::CancelRequested(request) => Some(&request.command),
            Self::RunPaused(request) => Some(&request.command),
            Self::RunResumed(request) => Some(&request.command),
            Self::SignalReceived(signal) => Some(&signal.command),
            Self::BreakpointSet(set) => Some(&set.command),
            Self::BreakpointReleased(released) => Some(&released.command),
            Self::PlanPatched(patched) => Some(&patched.command),
            Self::PlanRolledBack(rolled_back) => Some(&rolled_back.command),
            Self::ApprovalDecided(decided) => decided.command.as_ref(),
            Self::EffectReconciled(reconciled) => reconciled.command.as_ref(),
            Self::CommandRejected(rejected) => Some(&rejected.command),
            _ => None,
        }
    }
}

/// The run was accepted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunCreated {
    /// What is executed, pinned as it was at that time.
    pub subject: Subject,
    /// On whose behalf; with roles from version 4.
    pub principal: Principal,
    /// The conversation it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The most it may use; of time and bytes from version 5.
    #[serde(default)]
    pub budget: Budget,
    /// The label of its input.
    #[serde(default)]
    pub label: Label,
    /// SHA-256 over what the caller asked for, before anything was pinned: a retry of the
    /// same request has the same, whatever was deployed meanwhile.
    pub request: Digest,
    /// The version of the decider that advances it.
    pub decider: u32,
    /// When it is stopped if it has not ended; from version 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// The run that delegated to it; from version 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// The seed of a reproducible run, in decimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<String>,
}

/// The run left another. What stands before is that run's, shared and never performed
/// again; what is given here holds from here on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunForked {
    /// The run it left.
    pub parent: RunId,
    /// On whose behalf it goes on; with roles from version 2.
    pub principal: Principal,
    /// SHA-256 over what the caller asked for.
    pub request: Digest,
    /// What it executes from here on, pinned anew; the input is the parent's.
    pub subject: Subject,
    /// The version of the decider that advances it.
    pub decider: u32,
    /// What effects before here are taken to have given instead.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub edits: BTreeMap<CallId, Stored>,
    /// A policy of its own that must allow as well, as text; from version 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// What of the plan is rolled back; from version 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Rollback>,
}

/// A node took the lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseTaken {
    /// The node's configured name.
    pub node: String,
}

/// What an effect does, as it is journaled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Action {
    /// Ask a model. The request itself is a function of the journal before it.
    Model {
        /// The model.
        model: ModelName,
        /// SHA-256 of the request's canonical form.
        request: Digest,
    },
    /// Call a tool.
    Tool {
        /// The tool.
        tool: ToolId,
        /// The arguments that are executed.
        arguments: Stored,
    },
}

/// An effect is about to happen. The fields stand in the order of the canonical form, here and in
/// [`EffectResult`], so that nothing has to be sorted for what is written most.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EffectIntent {
    /// What it does.
    pub action: Action,
    /// Which attempt at it, from 1.
    pub attempt: u32,
    /// Which effect of the run.
    pub call: CallId,
    /// What a missing result would mean.
    pub class: EffectClass,
    /// The exact contract it was authorised under.
    pub contract: ContractHash,
    /// The same for every attempt; handed to the target.
    pub idempotency_key: Digest,
    /// The label of its arguments.
    pub label: Label,
    /// No byte may leave after this time.
    pub not_after: Timestamp,
    /// The policy that allowed it, if it can change; from version 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Digest>,
    /// The rules that allowed it.
    pub reasons: Vec<String>,
    /// What was reserved for it; of time and bytes from version 3.
    pub reserved: Cost,
}

/// An effect ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EffectResult {
    /// Which attempt.
    pub attempt: u32,
    /// Which effect.
    pub call: CallId,
    /// The labels of its fields, where they differ; from version 2.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, FieldLabel>,
    /// The label of what it gave, its error text included: the join of its fields' labels.
    pub label: Label,
    /// What the tool logged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<LogLine>,
    /// How it ended.
    pub outcome: Outcome,
    /// What it used; the rest of the reservation is refunded. Time and bytes from version 3.
    pub spent: Cost,
}

/// How an effect ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Outcome {
    /// It gave a value.
    Ok {
        /// The value.
        value: Stored,
    },
    /// It gave none.
    Failed {
        /// A stable code.
        code: String,
        /// What happened.
        message: String,
        /// Whether it took effect all the same, such as a write whose answer was refused.
        #[serde(default)]
        happened: bool,
    },
}

/// A step of the governed path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stage {
    /// 1: the principal, the kill switch, the run's state.
    Authenticate,
    /// 2: the exact tool and contract.
    Resolve,
    /// 3: bytes, depth, duplicate keys, form.
    Bounds,
    /// 4: the input schema.
    Schema,
    /// 5: labels, roles and policy.
    Policy,
    /// 6: a person must be asked.
    Approval,
    /// 7: budget, rate and concurrency.
    Budget,
}

/// An effect was refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EffectDenied {
    /// Which effect.
    pub call: CallId,
    /// The tool or model that was asked for, as it was written.
    pub target: String,
    /// The beginning of the arguments as they were written, as text.
    pub arguments: Stored,
    /// Where on the path.
    pub stage: Stage,
    /// A stable code.
    pub code: String,
    /// Why, and how to mend it.
    pub reasons: Vec<String>,
    /// The policy that refused it, if one did that can change; from version 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Digest>,
}

/// Nobody knows whether an attempt took effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EffectUnknown {
    /// Which effect.
    pub call: CallId,
    /// Which attempt.
    pub attempt: u32,
    /// Why nobody knows.
    pub reason: String,
    /// The label of the reason.
    #[serde(default)]
    pub label: Label,
    /// What finding out used, beside the reservation, which stays charged; from version 2.
    #[serde(default, skip_serializing_if = "Cost::is_zero")]
    pub spent: Cost,
}

/// An attempt ended without effect, or may be repeated; it is made again later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EffectRetry {
    /// Which effect.
    pub call: CallId,
    /// Which attempt ended.
    pub attempt: u32,
    /// A stable code.
    pub code: String,
    /// What happened.
    pub message: String,
    /// The label of the message.
    pub label: Label,
    /// What the attempt used; of time and bytes from version 2.
    pub spent: Cost,
    /// Whether it may have taken effect all the same; the next has the same key.
    pub in_doubt: bool,
    /// When the next attempt is due.
    pub retry_at: Timestamp,
}

/// What an unknown effect is taken for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// It happened, and gave this.
    Happened {
        /// What it gave.
        value: Stored,
    },
    /// It did not happen.
    NotHappened,
    /// Nobody will ever know; the run goes on and is told so.
    Unknown,
}

/// What an unknown effect is taken for, and who said so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EffectReconciled {
    /// Which effect.
    pub call: CallId,
    /// What it is taken for.
    pub verdict: Verdict,
    /// Who said so: a principal, or a policy.
    pub by: String,
    /// Why.
    pub reason: String,
    /// The command that said so, if a person did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandId>,
}

/// Something came that a wait waited for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignalReceived {
    /// The command that brought it.
    pub command: CommandId,
    /// Who sent it.
    pub by: String,
    /// Its name.
    pub name: String,
    /// What it says.
    pub value: Stored,
}

/// Nothing new starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunPaused {
    /// The command that asked.
    pub command: CommandId,
    /// Who asked.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// The run goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunResumed {
    /// The command that asked.
    pub command: CommandId,
    /// Who asked.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// A command could not be carried out; it is not tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandRejected {
    /// The command.
    pub command: CommandId,
    /// Who asked, unless the command could not be read; from version 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why.
    pub reason: String,
}

/// Somebody asked the run to stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelRequested {
    /// The command that asked.
    pub command: CommandId,
    /// Who asked.
    pub by: String,
    /// Why.
    pub reason: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
pub(crate) fn is_zero(value: &u64) -> bool {
    *value == 0
}

#[cfg(test)]
mod tests;
