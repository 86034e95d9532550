//! Forks: a run that shares another's past and goes on in its own way.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::engine::{Engine, Started};
use crate::agent::{AgentDecider, ToolDecider};
use crate::digest::sha256;
use crate::id::{CallId, RunId};
use crate::journal::{ForkPoint, NewRun};
use crate::json;
use crate::model::ModelName;
use crate::principal::Principal;
use crate::run::{CallState, Event, RunForked, RunLog, Subject};
use crate::tool::ToolName;
use crate::{Error, Result};

/// What differs after the fork.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Changes {
    /// Another model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelName>,
    /// Other instructions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// Other tools; what the agent may call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<ToolName>>,
    /// A policy that must allow as well as the node's, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// What effects before the fork are taken to have given instead.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub results: BTreeMap<CallId, Value>,
}

impl Changes {
    fn of_agent(&self) -> bool {
        self.model.is_some() || self.instructions.is_some() || self.tools.is_some()
    }
}

impl Engine {
    /// Accepts a run that shares the records of another before `at` and goes on from there;
    /// durable when it returns. The other is not touched, and nothing it did is done again.
    ///
    /// # Errors
    /// `NotFound` for an unknown run, `Invalid` for a seq it does not have or a change that
    /// does not fit, `Expired` when its bodies are gone.
    pub async fn fork(
        &self,
        principal: &Principal,
        parent: RunId,
        at: u64,
        changes: &Changes,
        idempotency_key: Option<String>,
    ) -> Result<Started> {
        let parts = &self.inner.parts;
        let tenant = &principal.tenant;
        let row = self.row(tenant, parent).await?;
        if at == 0 || at > row.head.next {
            return Err(Error::invalid(format!(
                "run {parent} has no seq {at} to be forked at: use 1 to {}",
                row.head.next
            )));
        }
        let log = RunLog::load_before(self.inner.backing.clone(), tenant.clone(), parent, row.fork, at).await?;
        if log.state.closed.is_some() {
            return Err(Error::invalid(format!(
                "run {parent} has ended before seq {at}: fork it at {} or earlier, before its end",
                at - 1
            )));
        }
        let created = log.state.created()?;
        parts.governor.value_without_secrets("the change holds", changes)?;
        let (subject, decider) = self.forked_subject(principal, created.subject.clone(), changes)?;
        for call in changes.results.keys() {
            if !matches!(log.state.calls.get(call), Some(CallState::Ended { .. })) {
                let ended: Vec<String> = log
                    .state
                    .calls
                    .iter()
                    .filter(|(_, call)| matches!(call, CallState::Ended { .. }))
                    .map(|(id, _)| id.to_string())
                    .collect();
                return Err(Error::invalid(format!(
                    "effect {call} of run {parent} had not ended before seq {at}: those that had are {}",
                    ended.join(", ")
                )));
            }
        }
        if let Some(policy) = &changes.policy {
            parts.governor.check_policy(policy)?;
        }
        let request = json::canonical(&(principal.identity(), "fork", parent, at, changes))?;
        let request = sha256(&[b"l9.request.1\0", &request]);
        let salt = idempotency_key.as_deref().unwrap_or_default();
        let run = RunId::generate(parts.clock.now(), &*parts.entropy, &format!("run/{request}/{salt}"));
        let (kind, name) = (subject.kind().to_owned(), subject.name().to_owned());
        let mut log = log.fork(run);
        let mut edits = BTreeMap::new();
        for (call, value) in &changes.results {
            if let Some(why) = json::unjournalable(value) {
                return Err(Error::invalid(format!("the result for {call} cannot be kept: {why}")));
            }
            let answers = log.state.created.as_ref().filter(|_| matches!(call, CallId::Turn(_)));
            let kept = match answers.and_then(|run| parts.governor.shown_of_edit(run, value)) {
                Some(shown) => log.withhold(value.clone(), Some(shown))?,
                None => log.keep(value.clone())?,
            };
            edits.insert(*call, kept);
        }
        let (principal, policy) = (principal.clone(), changes.policy.clone());
        let forked = RunForked { parent, principal, request, subject, decider, edits, policy, rollback: None };
        log.push(Event::RunForked(Box::new(forked)))?;
        let (record, artifacts, about) =
            log.into_first().ok_or_else(|| Error::internal("a fork without a first record"))?;
        let fork = Some(ForkPoint { parent, at });
        self.accept(
            NewRun { kind, name, priority: row.priority, idempotency_key, fork, record, artifacts, about },
            request,
        )
        .await
    }

    /// What the fork executes: the parent's subject with the changes, pinned anew.
    fn forked_subject(&self, principal: &Principal, subject: Subject, changes: &Changes) -> Result<(Subject, u32)> {
        match subject {
            Subject::Agent { profile, input, .. } => {
                let mut profile = *profile;
                let Changes { model, instructions, tools, .. } = changes.clone();
                profile.model = model.unwrap_or(profile.model);
                profile.instructions = instructions.unwrap_or(profile.instructions);
                profile.tools = tools.unwrap_or(profile.tools);
                profile.validate()?;
                let (profile, contracts) = self.inner.parts.governor.pin(&principal.tenant, profile)?;
                Ok((Subject::Agent { profile: Box::new(profile), contracts, input }, AgentDecider::VERSION))
            }
            Subject::Tool { .. } | Subject::Plan { .. } if changes.of_agent() => {
                let kind = subject.kind();
                Err(Error::invalid(format!("the run is of a {kind}: it has no model, instructions or tools to change")))
            }
            Subject::Tool { .. } => Ok((subject, ToolDecider::VERSION)),
            Subject::Plan { .. } => Ok((subject, self.inner.parts.governor.plans().version())),
        }
    }
}
