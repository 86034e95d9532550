//! Delegation on the governed path: what a child may do, never more than its parent, and
//! the child's beginning and end.

use std::collections::BTreeMap;

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
use crate::run::{
    ChildSpawned, Completion, DELEGATE, EffectResult, Event, Outcome, Parent, RunCreated, RunLog, RunOutcome, RunState,
    Stage, Subject,
};
use crate::tool::ContractHash;
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

/// A child that may begin.
#[derive(Debug)]
pub(super) struct Child {
    profile: AgentProfile,
    contracts: BTreeMap<ToolId, ContractHash>,
    input: String,
    budget: Budget,
    depth: u32,
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
        let Subject::Agent { profile: parent, .. } = &created.subject else {
            return refuse(Stage::Resolve, "no_agent", "only an agent delegates: call the agent itself".to_owned());
        };
        let Arguments { agent, input, budget } = match Arguments::deserialize(arguments) {
            Ok(arguments) => arguments,
            Err(error) => return refuse(Stage::Schema, "invalid_arguments", error.to_string()),
        };
        if !parent.delegates.contains(&agent) {
            let known: Vec<&str> = parent.delegates.iter().map(AgentId::as_str).collect();
            let reason = format!("agent {} may not delegate to {agent}, only to {}", parent.id, known.join(", "));
            return refuse(Stage::Policy, "forbidden", reason);
        }
        let depth = created.parent.as_ref().map_or(0, |parent| parent.depth) + 1;
        if depth > self.settings.depth {
            let reason =
                format!("{depth} delegations would lie above each other, over the limit of {}", self.settings.depth);
            return refuse(Stage::Budget, "limit.depth", reason);
        }
        if state.children.len() >= self.settings.width as usize {
            let reason = format!("{} children work already, the limit: wait for one", self.settings.width);
            return refuse(Stage::Budget, "limit.width", reason);
        }
        let mut profile = match profiles.get(&agent) {
            Ok(profile) => (*profile).clone(),
            Err(error) => return refuse(Stage::Resolve, "unknown_agent", error.to_string()),
        };
        profile.tools.retain(|tool| parent.tools.iter().any(|own| own.covers(tool)));
        if parent.memory.recall == 0 && !parent.tools.iter().any(|tool| tool.id.as_str() == RECALL) {
            profile.memory.recall = 0;
        }
        // The delegation itself is a call as well.
        let used = state.spent.plus(state.reserved).plus(Cost { calls: 1, ..Cost::default() });
        if let Some(amount) = created.budget.used_up(&used) {
            let reason = format!("nothing is left for a child: {amount}; start the run with a larger budget");
            return refuse(Stage::Budget, "budget_exceeded", reason);
        }
        let budget = budget.within(profile.budget).within(created.budget.left(&used));
        match self.pin(&created.principal.tenant, profile) {
            Ok((profile, contracts)) => Ok(Child { profile, contracts, input, budget, depth }),
            Err(error) => refuse(Stage::Resolve, "unknown_tool", error.to_string()),
        }
    }

    /// Has a child begin with what the next commit stores.
    ///
    /// # Errors
    /// `Corrupt` when the log does not take it.
    pub(super) fn begin(&self, log: &mut RunLog, call: CallId, child: Child, label: &Label) -> Result<()> {
        let Child { profile, contracts, input, budget, depth } = child;
        let created = log.state.created.clone().ok_or_else(|| Error::internal("a parent that never began"))?;
        let run = log.fresh(&format!("child/{call}/{}", log.state.next_attempt(call)));
        let mut born = log.sibling(run);
        let agent = profile.id.clone();
        let request = sha256(&[b"l9.request.1\0", &json::canonical(&("child", log.run, call))?]);
        let subject = Subject::Agent { profile: Box::new(profile), contracts, input: born.keep(Value::String(input))? };
        let (kind, name) = (subject.kind().to_owned(), subject.name().to_owned());
        born.push(Event::RunCreated(Box::new(RunCreated {
            subject,
            session: None,
            budget,
            label: label.clone(),
            request,
            decider: AgentDecider::VERSION,
            parent: Some(Parent { run: log.run, call, depth }),
            ..created
        })))?;
        let (record, artifacts, about) =
            born.into_first().ok_or_else(|| Error::internal("a run without a first record"))?;
        let new = NewRun { kind, name, priority: 0, idempotency_key: None, fork: None, record, artifacts, about };
        log.push(Event::ChildSpawned(ChildSpawned { call, run, agent }))?;
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

/// The command in a parent's inbox that tells a child's end.
pub(crate) fn mailbox(child: RunId) -> String {
    format!("child/{child}")
}
