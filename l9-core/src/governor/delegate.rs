//! Delegation on the governed path: what a child may do, never more than its parent, and
//! the child's beginning and end.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::path::{Governor, Refusal};
use super::subjects::CROWDED;
use crate::agent::{AgentDecider, AgentProfile, Profiles};
use crate::budget::{Budget, Cost};
use crate::digest::sha256;
use crate::id::{AgentId, CallId, RunId, TenantId, ToolId};
use crate::journal::{Along, NewRun};
use crate::json;
use crate::label::Label;
use crate::plan::Checked;
use crate::run::{
    APPROVE, ChildSpawned, Completion, DELEGATE, EffectResult, Event, Outcome, Parent, RunCreated, RunLog, RunOutcome,
    RunState, Stage, Subject, WAIT,
};
use crate::tool::{ContractHash, ToolName};
use crate::{Error, Result};

/// The tool of recall, which a profile's memory needs.
const RECALL: &str = "memory/search";

/// What the tool is given.
#[derive(Debug, Deserialize)]
struct Arguments {
    agent: AgentId,
    input: String,
    #[serde(default)]
    budget: Budget,
}

/// What the tool of plans is given.
#[derive(Debug, Deserialize)]
struct PlanArguments {
    plan: Value,
    #[serde(default)]
    input: Value,
}

/// A child that may begin.
#[derive(Debug)]
pub(super) struct Child {
    work: ChildWork,
    budget: Budget,
    depth: u32,
    /// How long it may take, if whoever wants it says so.
    pub(super) within: Option<Duration>,
}

#[derive(Debug)]
enum ChildWork {
    Agent { profile: Box<AgentProfile>, contracts: BTreeMap<ToolId, ContractHash>, input: String },
    Plan { checked: Box<Checked>, ceiling: Option<Vec<ToolName>>, input: Value },
}

impl Governor {
    /// Pins an agent's model and the contracts of its tools.
    ///
    /// # Errors
    /// `NotFound` for a model or tool that is not there.
    pub(crate) fn pin(
        &self,
        tenant: &TenantId,
        mut profile: AgentProfile,
    ) -> Result<(AgentProfile, BTreeMap<ToolId, ContractHash>)> {
        profile.model = self.models.pin(&profile.model)?;
        let mut contracts = BTreeMap::new();
        let recall = (profile.memory.recall > 0).then(|| RECALL.parse()).transpose()?;
        let delegate = (!profile.delegates.is_empty()).then(|| DELEGATE.parse()).transpose()?;
        // What the profile names itself goes before what it needs anyway.
        for name in [&recall, &delegate].into_iter().flatten().chain(&profile.tools) {
            let tool = self.registry.find(tenant, name).map_err(|error| {
                Error::new(error.kind(), format!("agent {} wants tool {name}: {}", profile.id, error.message()))
            })?;
            contracts.insert(name.id.clone(), tool.contract);
        }
        Ok((profile, contracts))
    }

    /// What a delegation would begin: the other agent's profile, cut down to what its parent
    /// may do and has left.
    pub(super) fn child(
        &self,
        state: &RunState,
        created: &RunCreated,
        profiles: &Profiles,
        arguments: &Value,
    ) -> Result<Child, Refusal> {
        let refuse = |stage, code, reason: String| Err(Refusal::of(stage, code, vec![reason]));
        let Arguments { agent, input, budget } = match Arguments::deserialize(arguments) {
            Ok(arguments) => arguments,
            Err(error) => return refuse(Stage::Schema, "invalid_arguments", error.to_string()),
        };
        let (parent, delegates): (String, Vec<&AgentId>) = match &created.subject {
            Subject::Agent { profile, .. } => (format!("agent {}", profile.id), profile.delegates.iter().collect()),
            Subject::Plan { name, agents, .. } => (format!("plan {name}"), agents.iter().collect()),
            Subject::Tool { .. } => {
                let reason = "only an agent or a plan delegates: call the agent itself".to_owned();
                return refuse(Stage::Resolve, "no_agent", reason);
            }
        };
        if !delegates.contains(&&agent) {
            let known: Vec<&str> = delegates.into_iter().map(AgentId::as_str).collect();
            let reason = format!("{parent} may not delegate to {agent}, only to {}", known.join(", "));
            return refuse(Stage::Policy, "forbidden", reason);
        }
        let (depth, left) = self.room(state, created)?;
        let mut profile = match profiles.get(&agent) {
            Ok(profile) => (*profile).clone(),
            Err(error) => return refuse(Stage::Resolve, "unknown_agent", error.to_string()),
        };
        if let Some(most) = ceiling(created) {
            profile.tools.retain(|tool| most.iter().any(|own| own.covers(tool)));
            let recalls = matches!(&created.subject, Subject::Agent { profile, .. } if profile.memory.recall > 0);
            if !recalls && !most.iter().any(|tool| tool.id.as_str() == RECALL) {
                profile.memory.recall = 0;
            }
        }
        let budget = budget.within(profile.budget).within(left);
        match self.pin(&created.principal.tenant, profile) {
            Ok((profile, contracts)) => Ok(Child {
                work: ChildWork::Agent { profile: Box::new(profile), contracts, input },
                budget,
                depth,
                within: None,
            }),
            Err(error) => refuse(Stage::Resolve, "unknown_tool", error.to_string()),
        }
    }

    /// What a plan that a run proposes would begin: it is checked whole, and calls nothing that
    /// whoever proposes it may not.
    pub(super) fn child_plan(
        &self,
        state: &RunState,
        created: &RunCreated,
        arguments: &Value,
    ) -> Result<Child, Refusal> {
        let refuse = |stage, code, reason: String| Err(Refusal::of(stage, code, vec![reason]));
        let PlanArguments { plan, input } = match PlanArguments::deserialize(arguments) {
            Ok(arguments) => arguments,
            Err(error) => return refuse(Stage::Schema, "invalid_arguments", error.to_string()),
        };
        let (depth, left) = self.room(state, created)?;
        let find = |name: &ToolName| self.registry.find(&created.principal.tenant, name);
        let checked = match self.plans.check(&plan, &find) {
            Ok(checked) => checked,
            Err(error) => return refuse(Stage::Schema, "invalid_plan", error.message().to_owned()),
        };
        let none = BTreeMap::new();
        let (tools, agents): (&BTreeMap<ToolId, ContractHash>, Vec<&AgentId>) = match &created.subject {
            Subject::Plan { contracts, agents, .. } => (contracts, agents.iter().collect()),
            Subject::Agent { profile, contracts, .. } => (contracts, profile.delegates.iter().collect()),
            Subject::Tool { .. } => (&none, Vec::new()),
        };
        // What the run itself does, by waiting and asking, needs no grant. Anything else it has under
        // exactly the contract that its proposer has it under.
        let free = |tool: &ToolId| [WAIT, APPROVE, DELEGATE].contains(&tool.as_str());
        let own = |(tool, contract): &(&ToolId, &ContractHash)| free(tool) || tools.get(*tool) == Some(*contract);
        let foreign = checked.contracts.iter().filter(|tool| !own(tool)).map(|(tool, _)| tool.as_str());
        let foreign: Vec<&str> =
            foreign.chain(checked.agents.iter().filter(|agent| !agents.contains(agent)).map(AgentId::as_str)).collect();
        if !foreign.is_empty() {
            let reason = format!("plan {} wants what its proposer may not have: {}", checked.name, foreign.join(", "));
            return refuse(Stage::Policy, "forbidden", reason);
        }
        let (budget, within) = (checked.budget.within(left), checked.deadline_seconds.map(Duration::from_secs));
        let ceiling = ceiling(created).map(<[ToolName]>::to_vec);
        Ok(Child { work: ChildWork::Plan { checked: Box::new(checked), ceiling, input }, budget, depth, within })
    }

    /// How deep a child would lie, and what is left for it.
    fn room(&self, state: &RunState, created: &RunCreated) -> Result<(u32, Budget), Refusal> {
        let refuse = |code, reason: String| Err(Refusal::of(Stage::Budget, code, vec![reason]));
        let depth = created.parent.as_ref().map_or(0, |parent| parent.depth) + 1;
        if depth > self.settings.depth {
            let reason =
                format!("{depth} delegations would lie above each other, over the limit of {}", self.settings.depth);
            return refuse("limit.depth", reason);
        }
        if state.children.len() >= self.settings.width as usize {
            let reason = format!("{} children work already, the limit: wait for one", self.settings.width);
            return refuse("limit.width", reason);
        }
        // The delegation itself is a call as well.
        let used = state.spent.plus(state.reserved).plus(Cost { calls: 1, ..Cost::default() });
        if let Some(amount) = created.budget.used_up(&used) {
            let reason = format!("nothing is left for a child: {amount}; start the run with a larger budget");
            return refuse("budget_exceeded", reason);
        }
        Ok((depth, created.budget.left(&used)))
    }

    /// Has a child begin with what the next commit stores.
    ///
    /// # Errors
    /// `Corrupt` when the log does not take it.
    pub(super) fn begin(&self, log: &mut RunLog, call: CallId, child: Child, label: &Label) -> Result<()> {
        let Child { work, budget, depth, within } = child;
        let created = log.state.created.clone().ok_or_else(|| Error::internal("a parent that never began"))?;
        let run = log.fresh(&format!("child/{call}/{}", log.state.next_attempt(call)));
        let mut born = log.sibling(run);
        let own = within.map(|within| log.now().after(within));
        let deadline = own.into_iter().chain(created.deadline).min();
        let request = sha256(&[b"l9.request.1\0", &json::canonical(&("child", log.run, call))?]);
        let (subject, decider) = match work {
            ChildWork::Agent { profile, contracts, input } => {
                let input = born.keep(Value::String(input))?;
                (Subject::Agent { profile, contracts, input }, AgentDecider::VERSION)
            }
            ChildWork::Plan { checked, ceiling, input } => {
                let Checked { name, plan, contracts, agents, .. } = *checked;
                let (plan, input) = (born.keep_document(plan)?, born.keep(input)?);
                (Subject::Plan { name, plan, contracts, agents, ceiling, input }, self.plans.version())
            }
        };
        let (agent, plan) = match &subject {
            Subject::Agent { profile, .. } => (Some(profile.id.clone()), None),
            other => (None, Some(other.name().to_owned())),
        };
        let (kind, name) = (subject.kind().to_owned(), subject.name().to_owned());
        born.push(Event::RunCreated(Box::new(RunCreated {
            subject,
            session: None,
            budget,
            label: label.clone(),
            request,
            decider,
            deadline,
            parent: Some(Parent { run: log.run, call, depth }),
            ..created
        })))?;
        let (record, artifacts, about) =
            born.into_first().ok_or_else(|| Error::internal("a run without a first record"))?;
        let new = NewRun { kind, name, priority: 0, idempotency_key: None, fork: None, record, artifacts, about };
        log.push(Event::ChildSpawned(ChildSpawned { call, run, agent, plan }))?;
        log.bring_along(Along::Begin(Box::new(new)));
        Ok(())
    }

    /// Takes a child's end for the end of the effect that it was; what it did not use is
    /// refunded.
    ///
    /// # Errors
    /// `Corrupt` when the log does not take it.
    pub(crate) fn complete(&self, log: &mut RunLog, completion: Completion) -> Result<Option<String>> {
        let Completion { child, call, outcome, spent, mut label } = completion;
        let attempt = match (log.state.children.get(&call), log.state.open(call)) {
            (Some(run), Some(open)) if *run == child => open.attempt,
            _ => return Ok(Some(format!("nobody waits for run {child}"))),
        };
        let crowded = Self::crowded(log, &mut label);
        let outcome = match (crowded, outcome) {
            (Some(message), _) => Outcome::Failed { code: CROWDED.to_owned(), message, happened: true },
            (None, RunOutcome::Succeeded { answer, citations }) => {
                let answer = log.state.value(&answer).cloned().unwrap_or_default();
                let value = json!({"run_id": child, "status": "succeeded", "answer": answer, "citations": citations});
                Outcome::Ok { value: log.keep(value)? }
            }
            (None, RunOutcome::Failed { code, message }) => {
                let message = self.shown(&format!("run {child} failed, {code}: {message}"));
                Outcome::Failed { code: "child_failed".to_owned(), message, happened: true }
            }
            (None, RunOutcome::Cancelled { by, reason }) => {
                let message = self.shown(&format!("run {child} was cancelled by {by}: {reason}"));
                Outcome::Failed { code: "child_cancelled".to_owned(), message, happened: true }
            }
        };
        let spent = spent.plus(Cost { calls: 1, ..Cost::default() });
        let log_lines = Vec::new();
        let result = EffectResult { call, attempt, outcome, label, fields: BTreeMap::new(), spent, log: log_lines };
        log.push(Event::EffectResult(Box::new(result)))?;
        Ok(None)
    }
}

impl Child {
    /// What its parent reserves for it: all that it may use, and the delegation itself.
    pub(super) fn reserve(&self) -> Cost {
        self.budget.most().plus(Cost { calls: 1, ..Cost::default() })
    }
}

/// The tools that a run's children may have at most; all of their own if none are named.
fn ceiling(created: &RunCreated) -> Option<&[ToolName]> {
    match &created.subject {
        Subject::Agent { profile, .. } => Some(&profile.tools),
        Subject::Plan { ceiling, .. } => ceiling.as_deref(),
        Subject::Tool { .. } => Some(&[]),
    }
}

/// The command in a parent's inbox that tells a child's end.
pub(crate) fn mailbox(child: RunId) -> String {
    format!("child/{child}")
}
