//! What may be asked of a run from outside. A command is never appended by whoever
//! asks: it waits in the run's inbox until the lease's owner turns it into events.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::delegation::Completion;
use super::event::Event;
use super::plan::Breakpoint;
use super::state::RunState;
use crate::governor::Choice;
use crate::id::{CallId, CommandId, RunId, TenantId};
use crate::journal::StoredCommand;
use crate::json;
use crate::plan::Target;
use crate::principal::Principal;
use crate::vault::{Place, Vault};
use crate::{Error, Result};

/// The most bytes of a reason or a sender.
const TEXT_BYTES: usize = 4096;

/// The most bytes of a signal's value.
const VALUE_BYTES: usize = 256 << 10;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Command {
    /// Stop: nothing new starts, what runs is given a grace, then the run closes.
    Cancel {
        /// Why.
        reason: String,
    },
    /// Start nothing new; what runs is waited for.
    Pause {
        /// Why.
        reason: String,
    },
    /// Go on after a pause.
    Resume {
        /// Why.
        reason: String,
    },
    /// Edit the plan.
    Patch {
        /// The version that is edited; another is refused.
        expected: u64,
        /// What changes.
        patch: Value,
        /// Why.
        reason: String,
    },
    /// Set or clear a breakpoint of the plan.
    Break {
        /// The breakpoint.
        breakpoint: Breakpoint,
        /// Whether it is cleared.
        #[serde(default)]
        clear: bool,
    },
    /// Compensate what the plan's nodes did, and reset them.
    RollBack {
        /// Which.
        target: Target,
        /// Why.
        reason: String,
    },
    /// What a wait waits for.
    Signal {
        /// Its name.
        name: String,
        /// What it says.
        #[serde(default)]
        value: Value,
    },
    /// A run that was delegated to has ended. Sent by itself, never by anybody.
    Complete(Box<Completion>),
    /// Decide whether an effect may happen that a person was asked about.
    Decide {
        /// Which question of the run.
        ask: u32,
        /// What is decided.
        choice: Choice,
        /// Who decides.
        by: Principal,
        /// Why.
        reason: String,
    },
    /// Nothing: somebody asked for what they may not have, and the journal is to say so. Sent
    /// by whoever refused it, never by anybody else.
    Refused {
        /// Why it was refused.
        reason: String,
    },
    /// Take an effect whose end nobody knows for something, so that the run goes on.
    Resolve {
        /// The effect.
        call: CallId,
        /// What it is taken for.
        verdict: Resolution,
        /// Why.
        reason: String,
    },
}

/// What an unknown effect is to be taken for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Resolution {
    /// It happened, and gave this.
    Happened {
        /// What it gave; `null` if that is not known.
        #[serde(default)]
        value: Value,
    },
    /// It did not happen.
    NotHappened,
    /// Nobody will ever know; the run goes on and is told so.
    Unknown,
}

impl Command {
    /// Why it would be refused by a run in this state; `None` if it can be carried out.
    #[must_use]
    pub fn refusal(&self, state: &RunState) -> Option<String> {
        match self {
            _ if state.closed.is_some() => Some("the run has ended".to_owned()),
            Self::Cancel { .. } | Self::Complete(_) | Self::Refused { .. } => None,
            Self::Pause { .. } => state.paused.is_some().then(|| "the run is paused already".to_owned()),
            Self::Resume { .. } => (state.paused.is_none() && state.plan.hits.is_empty())
                .then(|| "the run is not paused, and stands at no breakpoint".to_owned()),
            Self::Patch { .. } | Self::Break { .. } | Self::RollBack { .. } => {
                let plan = state.created.as_ref().is_some_and(|created| created.subject.kind() == "plan");
                (!plan).then(|| "the run is no plan's".to_owned())
            }
            Self::Signal { name, .. } => {
                let awaited: Vec<&str> = state.awaited().map(|(_, signal)| signal.as_str()).collect();
                let others = if awaited.is_empty() { "no signal".to_owned() } else { awaited.join(", ") };
                (!awaited.contains(&name.as_str()))
                    .then(|| format!("nobody waits for signal {name:?}: the run waits for {others}"))
            }
            Self::Decide { ask, .. } => state.question(*ask).err(),
            Self::Resolve { call, .. } => {
                let open: Vec<String> = state.undecided().map(|(call, _)| call.to_string()).collect();
                let others =
                    if open.is_empty() { "none is".to_owned() } else { format!("unknown are {}", open.join(", ")) };
                (!state.undecided().any(|(open, _)| open == *call))
                    .then(|| format!("the end of effect {call} is not unknown: {others}"))
            }
        }
    }

    /// Whether it is what an event of its id was asked as. One that was rejected left no words.
    /// `masked` gives a value as the journal keeps it.
    pub(crate) fn became(&self, event: &Event, masked: impl Fn(&Value) -> Value) -> bool {
        match (self, event) {
            (_, Event::CommandRejected(_)) => true,
            (Self::Cancel { reason }, Event::CancelRequested(asked)) => asked.reason == *reason,
            (Self::Pause { reason }, Event::RunPaused(asked)) => asked.reason == *reason,
            (Self::Resume { reason }, Event::RunResumed(asked)) => asked.reason == *reason,
            (Self::Resume { reason }, Event::BreakpointReleased(asked)) => asked.reason == *reason,
            (Self::Patch { reason, patch, .. }, Event::PlanPatched(asked)) => {
                asked.reason == *reason && asked.patch.shown().is_none_or(|kept| is_alike(patch, kept))
            }
            (Self::Break { breakpoint, clear }, Event::BreakpointSet(asked)) => {
                (&asked.breakpoint, asked.cleared) == (breakpoint, *clear)
            }
            (Self::RollBack { reason, target }, Event::PlanRolledBack(asked)) => {
                asked.reason == *reason
                    && match target {
                        Target::Start => asked.rollback.nodes.is_empty(),
                        Target::Failed => !asked.rollback.hold && !asked.rollback.nodes.is_empty(),
                        Target::Node(node) => asked.rollback.hold && asked.rollback.to.as_ref() == Some(node),
                    }
            }
            (Self::Signal { name, value }, Event::SignalReceived(asked)) => {
                asked.name == *name && asked.value.shown().is_none_or(|kept| *kept == json::normal(masked(value)))
            }
            (Self::Decide { ask, choice, by, .. }, Event::ApprovalDecided(decided)) => {
                decided.is_again(*ask, choice, by)
            }
            (Self::Resolve { call, reason, .. }, Event::EffectReconciled(asked)) => {
                (asked.call, &asked.reason) == (*call, reason)
            }
            _ => false,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Cancel { reason } | Self::Pause { reason } | Self::Resume { reason } => reason.len(),
            Self::Patch { reason, .. } | Self::RollBack { reason, .. } => reason.len(),
            Self::Break { breakpoint, .. } => breakpoint.node.len() + breakpoint.when.as_ref().map_or(0, String::len),
            Self::Refused { reason } => reason.len(),
            Self::Complete(_) => 0,
            Self::Signal { name, .. } => name.len(),
            Self::Decide { reason, .. } | Self::Resolve { reason, .. } => reason.len(),
        }
    }

    fn value(&self) -> Option<&Value> {
        match self {
            Self::Signal { value, .. } | Self::Resolve { verdict: Resolution::Happened { value }, .. } => Some(value),
            Self::Decide { choice: Choice::Approve { arguments, .. }, .. } => arguments.as_ref(),
            Self::Patch { patch, .. } => Some(patch),
            _ => None,
        }
    }
}

/// Who asks what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommandRequest {
    /// The sender's own id: the same command is carried out once.
    pub id: CommandId,
    /// Who asks.
    pub by: String,
    /// What is asked.
    pub command: Command,
}

impl CommandRequest {
    pub(crate) fn seal(&self, vault: &dyn Vault, tenant: &TenantId, run: RunId) -> Result<StoredCommand> {
        if self.command.bytes() > TEXT_BYTES || self.by.len() > TEXT_BYTES {
            return Err(Error::invalid(format!(
                "a command's reason, its signal's name and its sender have at most {TEXT_BYTES} bytes each"
            )));
        }
        if let Some(value) = self.command.value() {
            if let Some(why) = json::unjournalable(value) {
                return Err(Error::invalid(format!("the value cannot be kept: {why}")));
            }
            if !json::fits(value, VALUE_BYTES) {
                return Err(Error::invalid(format!(
                    "the value is too large: send at most {VALUE_BYTES} bytes of JSON"
                )));
            }
        }
        let sealed = vault.seal(tenant, &place(&row(run, self.id.as_str())), &json::canonical(self)?)?;
        Ok(StoredCommand { id: self.id.clone(), sealed })
    }

    pub(crate) fn open(vault: &dyn Vault, tenant: &TenantId, run: RunId, stored: &StoredCommand) -> Result<Self> {
        let plain = vault.open(tenant, &place(&row(run, stored.id.as_str())), &stored.sealed)?;
        json::parse_as(&plain, &json::Bounds::default())
    }
}

/// Whether two forms of one edit say the same: either may leave out what is usual.
fn is_alike(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            one.iter().all(|(name, field)| other.get(name).is_none_or(|same| is_alike(field, same)))
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_alike(one, other))
        }
        (one, other) => json::normal(one.clone()) == *other,
    }
}

pub(crate) fn row(run: RunId, id: &str) -> Vec<u8> {
    [run.as_bytes().as_slice(), id.as_bytes()].concat()
}

pub(crate) fn place(row: &[u8]) -> Place<'_> {
    Place { table: "inbox", row, column: "command" }
}
