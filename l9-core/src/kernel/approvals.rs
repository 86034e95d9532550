//! Approvals from outside the runs that wait for them: which questions are open, and
//! decisions upon them.

use serde::Serialize;
use serde_json::Value;

use super::engine::{Components, Engine};
use crate::digest::sha256;
use crate::governor::{Choice, Facts};
use crate::id::{ApprovalId, CallId, CommandId, RunId, TenantId};
use crate::journal::{RunFilter, RunRow};
use crate::json;
use crate::principal::{Principal, Role};
use crate::run::{ApprovalAsked, Command, CommandRequest, Event, RunState};
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
    /// As much of the arguments as those who may not decide are shown.
    #[serde(skip)]
    shown: Value,
}

impl OpenQuestion {
    /// As somebody is shown it: arguments that are kept from the journal are for those who may
    /// decide.
    #[must_use]
    pub fn seen_by(mut self, reader: &Principal) -> Self {
        if !reader.roles.allow(Role::Approver) {
            self.arguments.clone_from(&self.shown);
        }
        self
    }

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
            shown: state.shown(&question.arguments),
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
    /// run's owner has the last word: see [`Engine::verdict`]. The same decision again, under
    /// the same command id, changes nothing.
    ///
    /// A decision that is refused is sent as a refusal, so that the run's journal says who
    /// tried what, unless the run has ended.
    ///
    /// # Errors
    /// `NotFound` for an unknown run, `Conflict` for a question that is not open or a command
    /// id that was used for something else, `Denied` for somebody who may not decide it,
    /// `Invalid` for arguments that cannot be executed, and for a decision that holds a known
    /// secret.
    pub async fn decide(
        &self,
        by: &Principal,
        id: ApprovalId,
        choice: Choice,
        reason: String,
        command: CommandId,
    ) -> Result<()> {
        let shown = self.show(&by.tenant, id.run).await;
        let (_, state) = shown.inspect_err(|why| refused(id, by, why))?;
        let Components { governor, clock, .. } = self.parts();
        let decide = Command::Decide { ask: id.ask, choice: choice.clone(), by: by.clone(), reason };
        let request = CommandRequest { id: command, by: by.subject.clone(), command: decide };
        let decidable = || {
            governor.value_without_secrets("the decision holds", &request.command)?;
            governor.decidable(&state, id.ask, &choice, by, clock.now()).map(drop)
        };
        let why = match decidable() {
            Ok(()) => {
                if self.send(&by.tenant, id.run, &request).await? || self.waits(&by.tenant, id.run, &request).await? {
                    return Ok(());
                }
                let message = format!("command id {} was used for another command: use a new one", request.id);
                Error::new(ErrorKind::Conflict, message)
            }
            Err(why) => {
                let earlier = self.carried_out(&by.tenant, id.run, &request.id).await?;
                if matches!(earlier, Some(Event::ApprovalDecided(decided)) if decided.is_again(id.ask, &choice, by)) {
                    return Ok(());
                }
                why
            }
        };
        refused(id, by, &why);
        if state.closed.is_none() {
            self.tell_refusal(&by.tenant, id.run, &request, &why).await?;
        }
        Err(why)
    }

    /// Whether exactly this command waits in the run's inbox.
    async fn waits(&self, tenant: &TenantId, run: RunId, request: &CommandRequest) -> Result<bool> {
        let parts = self.parts();
        let pending = parts.store.pending(tenant, run).await?;
        let found = pending.iter().find(|stored| stored.id == request.id);
        let opened = found.map(|stored| CommandRequest::open(&*parts.vault, tenant, run, stored));
        Ok(opened.transpose()?.is_some_and(|waiting| waiting == *request))
    }

    /// Has a run's journal say that a command was refused. Its own id may stand for another.
    async fn tell_refusal(&self, tenant: &TenantId, run: RunId, request: &CommandRequest, why: &Error) -> Result<()> {
        let digest = sha256(&[b"l9.refused.1\0", &json::canonical(request)?]);
        let command = Command::Refused { reason: why.message().to_owned() };
        let refused =
            CommandRequest { id: CommandId::new(format!("refused/{digest}"))?, by: request.by.clone(), command };
        match self.send(tenant, run, &refused).await {
            // It has ended meanwhile.
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
            sent => sent.map(drop),
        }
    }
}

/// Logs a decision that does not count.
fn refused(id: ApprovalId, by: &Principal, why: &Error) {
    tracing::warn!(approval = %id, tenant = %by.tenant, by = by.subject, %why, "a decision was refused");
}
