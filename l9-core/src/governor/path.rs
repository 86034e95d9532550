//! The order of the governed path, in one place.
//!
//!  1. authenticate the principal; tenant, kill switch, run state      `authenticate`
//!  2. resolve the exact tool and its contract                          `resolve.rs`
//!  3. bounds on bytes, depth, duplicate keys, form                     `resolve.rs`
//!  4. the input schema                                                 `resolve.rs`
//!  5. labels and roles, then policy                                    `approval.rs`
//!  6. ask: a question that is journaled; nothing happens before it
//!     is decided, and then all begins again at step 1                  `approval.rs`
//!  7. reserve budget, rate and a turn                                  `budget.rs`, `rates.rs`
//!  8. the intent, durable before anything happens                      `intend.rs`
//!  9. perform it in its sandbox                                        `perform.rs`
//! 10. cap, schema-check, secret-scan and label the output              `perform.rs`
//! 11. the result, journaled; reservations settled                      `perform.rs`
//!
//! A refusal is an ordinary result that the agent sees. Nothing here performs an effect.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::approval::{Asking, Question};
use super::budget::Reservation;
use super::capacity::Capacity;
use super::delegate::Child;
use super::own::{Own, PolicyCompiler};
use super::policy::Policy;
use super::rates::{Hold, Limiter, Place, Rates, Slot};
use super::stops::Stops;
use super::withheld::{UNTOLD, judge};
use crate::Result;
use crate::agent::Profiles;
use crate::digest::Digest;
use crate::flow::{Flow, Identities, Judged, Taint};
use crate::id::{CallId, ToolId};
use crate::label::Label;
use crate::memory::MemoryStore;
use crate::model::{Deltas, ModelClient, ModelClients, ModelName, ModelRequest};
use crate::plan::{NoPlans, PlanExecutor};
use crate::redact::Redactor;
use crate::run::{Call, DELEGATE, EffectDenied, Event, PLAN, RunCreated, RunLog, RunState, Stage, WAIT, Wait, Wanted};
use crate::time::{Clock, Timestamp};
use crate::tool::{AuditDetail, ContractHash, EffectClass, Tool, ToolRegistry};

/// The most of refused arguments, of a fault's words and of a reason that is journaled,
/// in bytes.
const EXCERPT: usize = 4096;

/// The most reasons of one refusal.
const REASONS: usize = 16;

/// The bounds the governor sets where no manifest does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How long one attempt at a model call may take.
    pub model_deadline: Duration,
    /// How long a cancelled effect is given to end by itself.
    pub grace: Duration,
    /// What becomes of a write whose end nobody knows.
    pub unknown: OnUnknown,
    /// How often an effect that ended without effect is tried, its first attempt included.
    pub attempts: u32,
    /// The wait before the second attempt; it doubles with each further one.
    pub backoff: Duration,
    /// How long a person is waited for who was asked.
    pub approval_timeout: Duration,
    /// How long an approval may be used after it was given.
    pub approval_validity: Duration,
    /// How many delegations may lie above each other.
    pub depth: u32,
    /// How many children of one run may work at a time.
    pub width: u32,
    /// How many effects a minute may be had.
    pub rates: Rates,
    /// How many effects of a class may be under way at once.
    pub capacity: Capacity,
}

/// The code of what an emergency stop holds.
const STOPPED: &str = "stopped";

/// What becomes of a write whose end nobody knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUnknown {
    /// The run waits until a person decides.
    #[default]
    Wait,
    /// The run goes on, and the agent is told that nobody knows.
    Tell,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model_deadline: Duration::from_secs(180),
            grace: Duration::from_secs(2),
            unknown: OnUnknown::default(),
            attempts: 3,
            backoff: Duration::from_millis(500),
            approval_timeout: Duration::from_secs(7 * 24 * 3600),
            approval_validity: Duration::from_secs(3600),
            depth: 4,
            width: 16,
            rates: Rates::default(),
            capacity: Capacity::default(),
        }
    }
}

/// The only way from a wish to an effect.
#[derive(Debug)]
pub struct Governor {
    pub(super) registry: Arc<dyn ToolRegistry>,
    pub(super) models: ModelClients,
    pub(super) policy: Arc<dyn Policy>,
    pub(super) own: Own,
    pub(super) redactor: Arc<dyn Redactor>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) deltas: Deltas,
    pub(super) stops: Arc<Stops>,
    pub(super) limiter: Limiter,
    pub(super) settings: Settings,
    /// What knows the keyed names of data subjects.
    pub(super) memory: Option<Arc<dyn MemoryStore>>,
    /// What checks the plans that runs propose.
    pub(super) plans: Arc<dyn PlanExecutor>,
}

/// What came of steps 1 to 7.
#[derive(Debug)]
pub(crate) enum Admission {
    Admitted(Box<Admitted>),
    Asked(Box<Question>),
    /// Nothing yet: it begins again at step 1 when its turn has come.
    Waits(Place),
    Denied(Box<Refusal>),
}

impl Admission {
    fn denied(call: &Call, refusal: Refusal) -> Self {
        tracing::info!(call = %call.id, code = refusal.code, "effect denied");
        Self::Denied(Box::new(refusal))
    }
}

/// Why the path is not walked to its end.
#[derive(Debug)]
pub(super) enum Stop {
    Asked(Box<Question>),
    Waits(Place),
    Refused(Refusal),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// An effect that may be intended.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(super) call: CallId,
    pub(super) attempt: u32,
    /// The attempts that have ended once this one has.
    pub(super) tries: u32,
    pub(super) work: Work,
    pub(super) class: EffectClass,
    pub(super) contract: ContractHash,
    pub(super) label: Label,
    pub(super) given: Given,
    pub(super) reserved: Reservation,
    pub(super) hold: Hold,
    pub(super) reasons: Vec<String>,
    pub(super) policy: Option<Digest>,
    pub(super) deterministic: bool,
    /// Whether an earlier attempt may have taken effect.
    pub(super) doubted: bool,
    /// The run that it is, if it is a delegation.
    pub(super) child: Option<Box<Child>>,
}

/// What the labels of a result follow from, beside its manifest.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub(super) own: Identities,
    pub(super) taints: Vec<Taint>,
}

/// What is to be performed.
#[derive(Debug)]
pub(super) enum Work {
    Model {
        client: Arc<dyn ModelClient>,
        name: ModelName,
        request: Arc<ModelRequest>,
        digest: Digest,
        /// Under which contract the run has each tool that the model may call.
        contracts: BTreeMap<ToolId, ContractHash>,
    },
    Tool {
        tool: Arc<Tool>,
        arguments: Value,
    },
}

/// Why an effect may not happen, and where on the path that was found.
#[derive(Debug)]
pub(crate) struct Refusal {
    stage: Stage,
    code: &'static str,
    reasons: Vec<String>,
}

impl Refusal {
    /// Whether an emergency stop is why: the run stands still, and nobody is told.
    pub(crate) fn is_stop(&self) -> bool {
        self.code == STOPPED
    }

    pub(super) fn reasons(&self) -> &[String] {
        &self.reasons
    }

    pub(super) fn of(stage: Stage, code: &'static str, reasons: Vec<String>) -> Self {
        Self { stage, code, reasons }
    }

    pub(super) fn new(stage: Stage, code: &'static str, reason: impl Into<String>) -> Self {
        Self { stage, code, reasons: vec![reason.into()] }
    }
}

impl Governor {
    /// Puts the parts together.
    #[must_use]
    pub fn new(
        registry: Arc<dyn ToolRegistry>,
        models: ModelClients,
        policy: Arc<dyn Policy>,
        redactor: Arc<dyn Redactor>,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Self {
        let (deltas, stops, own) = (Deltas::default(), Arc::default(), Own::default());
        let limiter = Limiter::new(settings.capacity);
        Self {
            registry,
            models,
            policy,
            own,
            redactor,
            clock,
            deltas,
            stops,
            limiter,
            settings,
            memory: None,
            plans: Arc::new(NoPlans),
        }
    }

    /// Lets runs have policies of their own, beside the node's.
    #[must_use]
    pub fn with_compiler(mut self, compiler: Arc<dyn PolicyCompiler>) -> Self {
        self.own = Own::new(compiler);
        self
    }

    /// Lets runs have plans carried out.
    #[must_use]
    pub fn with_plans(mut self, plans: Arc<dyn PlanExecutor>) -> Self {
        self.plans = plans;
        self
    }

    /// What checks plans and decides for them.
    #[must_use]
    pub fn plans(&self) -> &Arc<dyn PlanExecutor> {
        &self.plans
    }

    /// The node's policy.
    #[must_use]
    pub fn policy(&self) -> &Arc<dyn Policy> {
        &self.policy
    }

    /// How often an effect that ended without effect is tried, its first attempt included.
    pub(crate) fn attempts(&self) -> u32 {
        self.settings.attempts
    }

    /// How long a cancelled effect is given to end by itself.
    pub(crate) fn grace(&self) -> Duration {
        self.settings.grace
    }

    /// The kill switch.
    #[must_use]
    pub fn stops(&self) -> &Stops {
        &self.stops
    }

    /// The words that models stream.
    #[must_use]
    pub fn deltas(&self) -> &Deltas {
        &self.deltas
    }

    /// The tools.
    #[must_use]
    pub fn registry(&self) -> &Arc<dyn ToolRegistry> {
        &self.registry
    }

    /// The models.
    #[must_use]
    pub fn models(&self) -> &ModelClients {
        &self.models
    }

    /// Steps 1 to 7 for one wanted effect; `slot` is what it waited for, if it did.
    ///
    /// # Errors
    /// `Corrupt` for a state no driver should have; a refusal is not an error.
    pub(crate) fn admit(&self, log: &mut RunLog, call: &Call, profiles: &Profiles, slot: Slot) -> Result<Admission> {
        // As the run's owner reads the clock: never before its last record.
        let now = log.now();
        let (state, flow) = log.read();
        let created = state.created()?;
        Ok(match self.walk((state, flow), created, call, profiles, now, slot) {
            Ok(admitted) => Admission::Admitted(Box::new(admitted)),
            Err(Stop::Asked(question)) => Admission::Asked(question),
            Err(Stop::Waits(place)) => Admission::Waits(place),
            Err(Stop::Refused(refusal)) => Admission::denied(call, refusal),
        })
    }

    /// Steps 1 and 2 once more for an effect that took a while to get ready: what was disabled or
    /// revoked meanwhile is not begun.
    ///
    /// # Errors
    /// `Corrupt` for a state no driver should have.
    pub(crate) fn confirm(&self, log: &RunLog, call: &Call, admitted: Box<Admitted>) -> Result<Admission> {
        let created = log.state.created()?;
        let stands = self.authenticate(&log.state, created, log.now());
        let refusal = stands.and_then(|()| self.resolve(created, &call.wanted).map(drop)).err();
        Ok(refusal.map_or(Admission::Admitted(admitted), |refusal| Admission::denied(call, refusal)))
    }

    fn walk(
        &self,
        (state, flow): (&RunState, &Flow),
        created: &RunCreated,
        call: &Call,
        profiles: &Profiles,
        now: Timestamp,
        slot: Slot,
    ) -> Result<Admitted, Stop> {
        self.authenticate(state, created, now)?;
        let (work, contract) = self.resolve(created, &call.wanted)?;
        let work = Self::bounds(work, &call.wanted, state.amended(call.id))?;
        Self::schema(&work)?;
        let child = match &work {
            Work::Tool { tool, arguments } => match tool.manifest.id.as_str() {
                DELEGATE => Some(Box::new(self.child(state, created, profiles, arguments)?)),
                PLAN => Some(Box::new(self.child_plan(state, created, arguments)?)),
                _ => None,
            },
            Work::Model { .. } => None,
        };
        let child = child.map(|mut child: Box<Child>| {
            child.within = call.within.into_iter().chain(child.within).min();
            child
        });
        let Judged { facts, mut label, taints } = match &work {
            Work::Model { .. } => Judged { label: state.label.clone(), ..Judged::default() },
            Work::Tool { tool, arguments } => judge(flow, &tool.manifest, arguments),
        };
        // Which of the subjects an argument is about, nobody can tell: it is about all of them.
        label.subjects.clone_from(&state.label.subjects);
        if let Work::Tool { tool, arguments } = &work {
            // A person may have named another than the model did.
            label.subjects.extend(self.named_in(&created.principal.tenant, &tool.manifest, arguments));
            Self::not_crowded(&state.label, &label)?;
        }
        let given = Given { own: flow.identities().clone(), taints };
        let (all, within) = (&state.label, call.within);
        let asking = Asking { state, created, call: call.id, work: &work, contract, label: all, facts, within };
        let reasons = self.allowed(&asking)?;
        let (class, deadline) = match &work {
            Work::Model { .. } => (EffectClass::Read, self.settings.model_deadline),
            Work::Tool { tool, arguments } if tool.manifest.id.as_str() == WAIT => {
                (EffectClass::Pure, Wait::length(arguments))
            }
            // It ends when the child does.
            Work::Tool { tool, .. } if child.is_some() => (tool.manifest.effect, Wait::length(&Value::Null)),
            Work::Tool { tool, .. } => (tool.manifest.effect, tool.manifest.limits.wall()),
        };
        // A child has a deadline of its own.
        let within = call.within.filter(|_| child.is_none());
        let deadline = within.map_or(deadline, |within| deadline.min(within));
        let reserved = Reservation::of(state, created, (call.id, &work), child.as_deref(), deadline)?;
        let hold = self.hold(created, &work, state.attempted(call.id).is_some(), slot)?;
        let (attempt, deterministic) = (state.next_attempt(call.id), created.seed.is_some());
        Ok(Admitted {
            call: call.id,
            attempt,
            tries: state.next_try(call.id),
            work,
            class,
            contract,
            label,
            given,
            reserved,
            hold,
            reasons,
            policy: self.policy_digest(state),
            deterministic,
            doubted: state.in_doubt(call.id).is_some(),
            child,
        })
    }

    /// Step 1.
    fn authenticate(&self, state: &RunState, created: &RunCreated, now: Timestamp) -> Result<(), Refusal> {
        let refuse = |code, reason: String| Err(Refusal::new(Stage::Authenticate, code, reason));
        if self.stops.is_stopped(&created.principal.tenant) {
            return refuse(STOPPED, format!("tenant {} is stopped: `unstop` lets it go on", created.principal.tenant));
        }
        if state.cancel.is_some() || state.closed.is_some() {
            return refuse("cancelled", "the run is being stopped".to_owned());
        }
        if created.deadline.is_some_and(|deadline| deadline <= now) {
            return refuse("deadline", "the deadline of the run has passed".to_owned());
        }
        Ok(())
    }

    /// Journals a refusal. What an earlier attempt may have done is not denied but unknown.
    ///
    /// # Errors
    /// `Corrupt` when the log does not take it.
    pub(crate) fn refuse(&self, log: &mut RunLog, call: &Call, refusal: Refusal) -> Result<()> {
        let Refusal { stage, code, mut reasons } = refusal;
        let detail = log.state.created.as_ref().map_or(AuditDetail::Full, |run| self.detail_of(run, &call.wanted));
        if detail != AuditDetail::Full && stage == Stage::Bounds {
            reasons = vec![UNTOLD.to_owned()];
        }
        reasons.truncate(REASONS);
        let reasons: Vec<String> = reasons.iter().map(|reason| self.shown(reason)).collect();
        if log.state.in_doubt(call.id).is_some() {
            return self.leave_unknown(log, call.id, &format!("no other was allowed: {}", reasons.join("; ")));
        }
        let (target, arguments) = match &call.wanted {
            Wanted::Model { model, .. } => (model.to_string(), ""),
            Wanted::Tool { name, arguments } => (self.shown(name), arguments.as_str()),
        };
        let arguments = log.keep_arguments(detail, Value::String(self.shown(arguments)))?;
        let by_policy = matches!(stage, Stage::Policy | Stage::Approval);
        let policy = by_policy.then(|| self.policy_digest(&log.state)).flatten();
        let code = code.to_owned();
        let denied = EffectDenied { call: call.id, target, arguments, stage, code, reasons, policy };
        log.push(Event::EffectDenied(Box::new(denied)))
    }

    /// A value for the journal: secrets masked.
    pub(crate) fn masked(&self, value: &Value) -> Value {
        let mut value = value.clone();
        crate::redact::redact_value(&*self.redactor, &mut value);
        value
    }

    /// Text for the journal: secrets masked, then cut.
    pub(crate) fn shown(&self, text: &str) -> String {
        let text = self.redactor.redact(text);
        let mut end = text.len().min(EXCERPT);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text[..end].to_owned()
    }
}
