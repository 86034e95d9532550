//! Approvals from outside the runs that wait for them: which questions are open, and
//! decisions upon them.

use serde::Serialize;
use serde_json::Value;

use super::engine::Engine;
use crate::governor::{Choice, Facts};
use crate::id::{ApprovalId, CallId, CommandId, RunId, TenantId};
use crate::journal::{RunFilter, RunRow};
use crate::principal::Principal;
use crate::run::{ApprovalAsked, Command, CommandRequest, RunState};
use crate::time::Timestamp;
use crate::tool::{ContractHash, EffectClass};
use crate::{Error, ErrorKind, Result};

/// How many runs are looked at at a time.
const PAGE: usize = 256;

/// The most questions of one list.
const MOST: usize = 1_000;

/// An open question as people see it.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct OpenQuestion {
    /// Its id, for the decision.
    pub id: ApprovalId,
    /// The run that waits.
    pub run_id: RunId,
    /// The agent or tool the run is of.
    pub name: String,
    /// On whose behalf.
    pub requester: String,
    /// Which effect.
    #[schemars(with = "String")]
    pub call: CallId,
    /// The tool or model.
    pub target: String,
    /// The arguments as they would be executed.
    pub arguments: Value,
    /// What a call does to the world.
    pub effect: EffectClass,
    /// The exact contract.
    pub contract: ContractHash,
    /// The rules that ask, and why.
    pub reasons: Vec<String>,
    /// What is known of the arguments.
    #[schemars(with = "Value")]
    pub facts: Facts,
    /// When nobody is waited for any more.
    pub expires_at: Timestamp,
}

impl OpenQuestion {
    fn of(row: &RunRow, state: &RunState, question: &ApprovalAsked) -> Self {
        Self {
            id: ApprovalId { run: row.run, ask: question.ask },
            run_id: row.run,
            name: row.name.clone(),
            requester: state.created.as_ref().map(|created| created.principal.subject.clone()).unwrap_or_default(),
            call: question.call,
            target: question.target.clone(),
            arguments: state.value(&question.arguments).cloned().unwrap_or_default(),
            effect: question.class,
            contract: question.contract,
            reasons: question.reasons.clone(),
            facts: question.facts.clone(),
            expires_at: question.expires_at,
        }
    }

    /// Every open question of a run.
    #[must_use]
    pub fn all(row: &RunRow, state: &RunState) -> Vec<Self> {
        state.questions().map(|question| Self::of(row, state, question)).collect()
    }
}

impl Engine {
    /// The questions of the tenant that wait for a decision, of the newest runs first.
    ///
    /// # Errors
    /// When a run cannot be read.
    pub async fn approvals(&self, tenant: &TenantId) -> Result<Vec<OpenQuestion>> {
        let mut filter = RunFilter { asked: true, ..RunFilter::default() };
        let mut open = Vec::new();
        loop {
            let rows = self.inner.parts.store.runs(tenant, &filter, PAGE).await?;
            for row in &rows {
                let (row, state) = self.show(tenant, row.run).await?;
                open.extend(OpenQuestion::all(&row, &state));
            }
            match rows.last() {
                Some(last) if rows.len() == PAGE && open.len() < MOST => filter.before = Some(last.run),
                _ => return Ok(open),
            }
        }
    }

    /// Sends somebody's decision upon a question to its run; durable when it returns. The
    /// run's owner has the last word: see [`Engine::verdict`].
    ///
    /// # Errors
    /// `NotFound` for an unknown run, `Conflict` for a question that is not open, `Denied` for
    /// somebody who may not decide it.
    pub async fn decide(
        &self,
        by: &Principal,
        id: ApprovalId,
        choice: Choice,
        reason: String,
        command: CommandId,
    ) -> Result<()> {
        let (_, state) = self.show(&by.tenant, id.run).await?;
        let question = state.questions().find(|question| question.ask == id.ask).cloned();
        if let Some(question) = question
            && let Some(why) = self.inner.parts.governor.may_not_decide(&state, &question, by)?
        {
            return Err(Error::new(ErrorKind::Denied, why));
        }
        let decide = Command::Decide { ask: id.ask, choice, by: by.clone(), reason };
        let request = CommandRequest { id: command, by: by.subject.clone(), command: decide };
        self.command(&by.tenant, id.run, &request).await.map(drop)
    }
}
