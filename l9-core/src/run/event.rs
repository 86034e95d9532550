//! What can happen to a run. Everything else about it is derived from these.
//!
//! Every kind has a version of its own; a kind or version this build does not know is
//! refused as newer, never guessed at. A new field or a new variant anywhere within a
//! payload is a new version of its event. What can be derived is not in here.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::approval::{ApprovalAsked, ApprovalDecided};
use super::delegation::{ChildSpawned, Parent};
use super::plan::{BreakpointHit, BreakpointReleased, BreakpointSet, PlanPatched, PlanRolledBack, Rollback};
use super::stored::Stored;
use crate::agent::AgentProfile;
use crate::budget::{Budget, Cost};
use crate::digest::Digest;
use crate::flow::FieldLabel;
use crate::id::{AgentId, CallId, CommandId, RunId, ToolId};
use crate::journal::Status;
use crate::json;
use crate::label::Label;
use crate::model::ModelName;
use crate::principal::Principal;
use crate::time::Timestamp;
use crate::tool::{ContractHash, EffectClass, LogLine, ToolName};
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
    RunCreated(Box<RunCreated>) = "run.created", 6;
    /// The run left the one whose records stand before this one.
    RunForked(Box<RunForked>) = "run.forked", 5;
    /// A node took the lease; the record's epoch is its number.
    LeaseTaken(LeaseTaken) = "lease.taken", 1;
    /// An effect is about to happen: written durably before it does.
    EffectIntent(Box<EffectIntent>) = "effect.intent", 3;
    /// An effect ended, well or badly.
    EffectResult(Box<EffectResult>) = "effect.result", 3;
    /// An effect was refused on the governed path; nothing happened.
    EffectDenied(Box<EffectDenied>) = "effect.denied", 2;
    /// An attempt ended without anybody knowing whether it took effect.
    EffectUnknown(EffectUnknown) = "effect.unknown", 2;
    /// An attempt ended without effect, and another is made later.
    EffectRetry(Box<EffectRetry>) = "effect.retry", 2;
    /// A person or a policy decided what an unknown effect is taken for.
    EffectReconciled(Box<EffectReconciled>) = "effect.reconciled", 1;
    /// A child began; the intent of the effect that it is stands right before.
    ChildSpawned(ChildSpawned) = "child.spawned", 2;
    /// A person is asked before an effect.
    ApprovalAsked(Box<ApprovalAsked>) = "approval.asked", 1;
    /// A question was decided.
    ApprovalDecided(Box<ApprovalDecided>) = "approval.decided", 1;
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

/// An effect is about to happen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EffectIntent {
    /// Which effect of the run.
    pub call: CallId,
    /// Which attempt at it, from 1.
    pub attempt: u32,
    /// What it does.
    pub action: Action,
    /// What a missing result would mean.
    pub class: EffectClass,
    /// The exact contract it was authorised under.
    pub contract: ContractHash,
    /// The same for every attempt; handed to the target.
    pub idempotency_key: Digest,
    /// No byte may leave after this time.
    pub not_after: Timestamp,
    /// The label of its arguments.
    pub label: Label,
    /// What was reserved for it; of time and bytes from version 3.
    pub reserved: Cost,
    /// The rules that allowed it.
    pub reasons: Vec<String>,
    /// The policy that allowed it, if it can change; from version 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Digest>,
}

/// An effect ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EffectResult {
    /// Which effect.
    pub call: CallId,
    /// Which attempt.
    pub attempt: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// The label of what it gave, its error text included: the join of its fields' labels.
    pub label: Label,
    /// The labels of its fields, where they differ; from version 2.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, FieldLabel>,
    /// What it used; the rest of the reservation is refunded. Time and bytes from version 3.
    pub spent: Cost,
    /// What the tool logged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<LogLine>,
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

/// Words of the answer that stand in a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Citation {
    /// The file, address or memory.
    pub source: String,
    /// Where within the source.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub position: String,
    /// The words, exactly as they stand there.
    pub quote: String,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
#[non_exhaustive]
pub enum RunOutcome {
    /// It has an answer.
    Succeeded {
        /// The answer: an agent's words, or a tool's output.
        answer: Stored,
        /// Which of its words stand in which source.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        citations: Vec<Citation>,
    },
    /// It has none.
    Failed {
        /// A stable code.
        code: String,
        /// What happened and how to mend it.
        message: String,
    },
    /// It was stopped.
    Cancelled {
        /// Who asked.
        by: String,
        /// Why.
        reason: String,
    },
}

impl RunOutcome {
    /// The status of a run that ended so.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Self::Succeeded { .. } => Status::Succeeded,
            Self::Failed { .. } => Status::Failed,
            Self::Cancelled { .. } => Status::Cancelled,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
pub(crate) fn is_zero(value: &u64) -> bool {
    *value == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_round_trip_and_unknown_ones_are_refused_as_newer() {
        let event = Event::EffectUnknown(EffectUnknown {
            call: CallId::Turn(2),
            attempt: 1,
            reason: "died".into(),
            label: Label::trusted(),
            spent: Cost::default(),
        });
        let payload = event.payload().unwrap();
        assert_eq!(Event::decode(event.kind(), event.version(), &payload).unwrap(), event);
        assert_eq!(Event::decode("effect.unknown", 99, &payload).unwrap_err().kind(), ErrorKind::Newer);
        assert_eq!(Event::decode("plan.set", 1, b"{}").unwrap_err().kind(), ErrorKind::Newer);
        assert_eq!(Event::decode("effect.unknown", 1, b"{}").unwrap_err().kind(), ErrorKind::Corrupt);
    }

    /// What version 1 wrote must be readable for ever.
    #[test]
    fn bytes_of_version_one_are_still_read() {
        for (kind, payload) in [
            ("lease.taken", r#"{"node":"local"}"#),
            (
                "effect.result",
                r#"{"attempt":1,"call":"turn/1/tool/0","label":{"confidentiality":"tenant"},"outcome":{"status":"ok","value":{"inline":{"x":1}}},"spent":{"calls":1}}"#,
            ),
            (
                "effect.unknown",
                r#"{"attempt":1,"call":"call","label":{"confidentiality":"tenant"},"reason":"the process died"}"#,
            ),
            ("cancel.requested", r#"{"by":"person:local","command":"c1","reason":"enough"}"#),
            ("command.rejected", r#"{"command":"c1","reason":"the run is not paused"}"#),
            // Version 2: who asked.
            ("command.rejected", r#"{"by":"person:ada","command":"c1","reason":"the run is not paused"}"#),
            ("run.closed", r#"{"answer":{"inline":"42"},"status":"succeeded"}"#),
            (
                "child.spawned",
                r#"{"agent":"clerk","call":"turn/1/tool/0","run":"01890000-0000-7000-8000-000000000000"}"#,
            ),
            // Version 2: plans.
            (
                "child.spawned",
                r#"{"call":"node/3/0/work/0/1","plan":"release","run":"01890000-0000-7000-8000-000000000000"}"#,
            ),
            ("breakpoint.hit", r#"{"hit":{"at":"before","generation":1,"id":"publish","mode":"drain","node":4}}"#),
            (
                "breakpoint.set",
                r#"{"breakpoint":{"at":"on_error","mode":"freeze","node":"*","when":"${a.n} > 1"},"by":"person:ada","command":"c1"}"#,
            ),
            ("breakpoint.released", r#"{"by":"person:ada","command":"c1","reason":"fine"}"#),
            (
                "plan.patched",
                r#"{"agents":["clerk"],"by":"person:ada","command":"c1","contracts":{"time/now":"00000000000000000000000000000000000000000000000000000000000000aa"},"patch":{"inline":{"remove":["x"]}},"reason":"less"}"#,
            ),
            (
                "plan.rolled_back",
                r#"{"by":"person:ada","command":"c1","reason":"wrong","rollback":{"hold":true,"nodes":[1,2],"to":"build","undo":["node/2/0/undo/0/1"]}}"#,
            ),
            // Version 2: labels of single fields.
            (
                "effect.result",
                r#"{"attempt":1,"call":"turn/1/tool/0","fields":{"":{"label":{"confidentiality":"tenant","untrusted":["mail/read"]}},"/*/id":{"label":{"confidentiality":"tenant"},"typed":true},"/0/id":{"foreign":true,"label":{"confidentiality":"tenant"},"typed":true}},"label":{"confidentiality":"tenant","untrusted":["mail/read"]},"outcome":{"status":"ok","value":{"inline":[{"id":1}]}},"spent":{"calls":1}}"#,
            ),
        ] {
            let event = Event::decode(kind, 1, payload.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(event.payload().unwrap()).unwrap(), payload);
        }
        let newer: Vec<_> = KINDS.iter().filter(|(_, version)| *version > 1).collect();
        let expected = [
            &("run.created", 6),
            &("run.forked", 5),
            &("effect.intent", 3),
            &("effect.result", 3),
            &("effect.denied", 2),
            &("effect.unknown", 2),
            &("effect.retry", 2),
            &("child.spawned", 2),
            &("command.rejected", 2),
        ];
        assert_eq!(newer, expected, "a new version needs its own frozen bytes below");
    }

    /// What came since: deadlines with version 2 of `run.created`, parents with version 3,
    /// roles with version 4 and with version 2 of `run.forked`, further amounts of a budget with
    /// version 5 and with version 4 of `run.forked`, in an agent's profile as well, plans with
    /// version 6 and with version 5 of `run.forked`.
    #[test]
    fn bytes_of_every_form_of_a_first_event_are_still_read() {
        const DIGEST: &str = "00000000000000000000000000000000000000000000000000000000000000aa";
        const BUDGET: &str = r#"{"calls":20,"egress_bytes":65536,"time_ms":60000}"#;
        let old = r#""principal":{"subject":"person:ada","tenant":"acme"}"#;
        let new = r#""principal":{"roles":["viewer","operator"],"subject":"person:ada","tenant":"acme"}"#;
        let created = |principal: &str| {
            format!(
                r#"{{"budget":{{}},"decider":1,"label":{{"confidentiality":"tenant"}},{principal},"request":"{DIGEST}","subject":{{"arguments":{{"inline":"{{}}"}},"contract":"{DIGEST}","kind":"tool","tool":"calc/evaluate"}}}}"#
            )
        };
        let forked = |principal: &str| {
            format!(
                r#"{{"decider":1,"parent":"01890000-0000-7000-8000-000000000000",{principal},"request":"{DIGEST}","subject":{{"arguments":{{"inline":"{{}}"}},"contract":"{DIGEST}","kind":"tool","tool":"calc/evaluate"}}}}"#
            )
        };
        // Keys stand in the order of RFC 8785.
        let until = |principal: &str| {
            created(principal).replace(r#""decider""#, r#""deadline":"2026-01-01T00:00:00.000Z","decider""#)
        };
        let parent =
            r#""parent":{"call":"turn/1/tool/0","depth":1,"run":"01890000-0000-7000-8000-000000000000"},"principal""#;
        let child = |principal: &str| until(principal).replacen(r#""principal""#, parent, 1);
        let own = |principal: &str| {
            let policy = r#""policy":"permit (principal, action, resource);","principal""#;
            forked(principal).replacen(r#""principal""#, policy, 1)
        };
        let more = |payload: String| {
            let profile = format!(
                r#""subject":{{"contracts":{{}},"input":{{"inline":"go"}},"kind":"agent","profile":{{"budget":{BUDGET},"description":"","id":"clerk","instructions":"","limits":{{"output_tokens":4096,"parallel_tools":16,"turns":16}},"memory":{{"recall":0}},"model":"auto","tools":[]}}}}}}"#
            );
            let (head, _) = payload.split_once(r#""subject":{"arguments""#).unwrap();
            format!("{}{profile}", head.replace(r#""budget":{}"#, &format!(r#""budget":{BUDGET}"#)))
        };
        let planned = |payload: String| {
            let (head, _) = payload.split_once(r#""subject":{"arguments""#).unwrap();
            format!(
                r#"{head}"subject":{{"agents":["clerk"],"contracts":{{"time/now":"{DIGEST}"}},"input":{{"inline":null}},"kind":"plan","name":"p","plan":{{"inline":{{"nodes":[],"plan":"p"}}}}}}}}"#
            )
        };
        let back = |payload: String| {
            let rollback = r#""rollback":{"hold":false,"nodes":[],"undo":["node/2/0/undo/0/1"]},"subject""#;
            payload.replacen(r#""subject":{"agents""#, &format!(r#"{rollback}:{{"agents""#), 1)
        };
        for (kind, version, payload, roles) in [
            ("run.created", 1, created(old), 0),
            ("run.created", 2, until(old), 0),
            ("run.created", 3, child(old), 0),
            ("run.created", 4, child(new), 2),
            ("run.created", 5, more(child(new)), 2),
            ("run.created", 6, planned(child(new)), 2),
            ("run.forked", 1, forked(old), 0),
            ("run.forked", 2, forked(new), 2),
            ("run.forked", 3, own(new), 2),
            ("run.forked", 4, more(own(new)), 2),
            ("run.forked", 5, back(planned(own(new))), 2),
        ] {
            let event = Event::decode(kind, version, payload.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(event.payload().unwrap()).unwrap(), payload);
            let principal = match event {
                Event::RunCreated(first) => first.principal,
                Event::RunForked(first) => first.principal,
                other => panic!("{other:?}"),
            };
            assert_eq!((principal.subject.as_str(), principal.roles.iter().count()), ("person:ada", roles));
        }
    }

    /// What came since: the policy with version 2 of `effect.intent` and `effect.denied`, time and
    /// bytes with version 3 of `effect.intent` and of `effect.result` and with version 2 of
    /// `effect.retry` and of `effect.unknown`.
    #[test]
    fn bytes_of_every_form_of_an_effect_s_events_are_still_read() {
        const DIGEST: &str = "00000000000000000000000000000000000000000000000000000000000000aa";
        let intent = |policy: &str| {
            format!(
                r#"{{"action":{{"arguments":{{"inline":{{}}}},"kind":"tool","tool":"calc/evaluate"}},"attempt":1,"call":"call","class":"pure","contract":"{DIGEST}","idempotency_key":"{DIGEST}","label":{{"confidentiality":"tenant"}},"not_after":"2026-01-01T00:00:00.000Z",{policy}"reasons":["granted"],"reserved":{{"calls":1}}}}"#
            )
        };
        let denied = |policy: &str| {
            format!(
                r#"{{"arguments":{{"inline":"{{}}"}},"call":"call","code":"forbidden",{policy}"reasons":["grant"],"stage":"policy","target":"calc/evaluate"}}"#
            )
        };
        let policy = format!(r#""policy":"{DIGEST}","#);
        let more = |payload: &str| payload.replace(r#"{"calls":1}"#, r#"{"calls":1,"egress_bytes":412,"time_ms":30}"#);
        let result = r#"{"attempt":1,"call":"call","label":{"confidentiality":"tenant"},"outcome":{"code":"failed","happened":false,"message":"no","status":"failed"},"spent":{"calls":1}}"#;
        let retry = r#"{"attempt":1,"call":"call","code":"not_sent","in_doubt":false,"label":{"confidentiality":"tenant"},"message":"away","retry_at":"2026-01-01T00:00:00.000Z","spent":{"calls":1}}"#;
        let unknown = r#"{"attempt":1,"call":"call","label":{"confidentiality":"tenant"},"reason":"the process died","spent":{"egress_bytes":412,"time_ms":30}}"#;
        for (kind, version, payload) in [
            ("effect.intent", 1, intent("")),
            ("effect.intent", 2, intent(&policy)),
            ("effect.intent", 3, more(&intent(&policy))),
            ("effect.result", 2, result.to_owned()),
            ("effect.result", 3, more(result)),
            ("effect.retry", 1, retry.to_owned()),
            ("effect.retry", 2, more(retry)),
            ("effect.unknown", 2, unknown.to_owned()),
            ("effect.denied", 1, denied("")),
            ("effect.denied", 2, denied(&policy)),
        ] {
            let event = Event::decode(kind, version, payload.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(event.payload().unwrap()).unwrap(), payload);
        }
    }
}
