//! What would have been decided under another policy: every recorded decision is asked again,
//! from the state right before it. No effect is performed and nothing is written.

use serde::Serialize;

use super::engine::Engine;
use super::replay::Replay;
use crate::governor::{Decision, Policy};
use crate::id::{CallId, RunId, TenantId};
use crate::journal::{Head, RunFilter, RunRow};
use crate::run::{Action, Event, Known, Record, Stage, read_records};
use crate::time::Timestamp;
use crate::{Error, ErrorKind, Result};

/// How many runs and records are read at a time.
const RUNS: usize = 256;
const RECORDS: usize = 512;

/// What another policy would have decided.
#[derive(Debug, Clone, Default, PartialEq, Serialize, schemars::JsonSchema)]
pub struct WhatIf {
    /// How many runs were looked at.
    pub runs: u64,
    /// How many decisions were made again.
    pub decisions: u64,
    /// How many could not be: the tool or the model is not what it was, or the records of the
    /// run are gone.
    pub skipped: u64,
    /// What would be decided otherwise.
    pub changes: Vec<Changed>,
}

/// A decision that would be another.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Changed {
    /// The run.
    pub run_id: RunId,
    /// The record.
    pub seq: u64,
    /// Which effect.
    #[schemars(with = "String")]
    pub call: CallId,
    /// When it was decided.
    pub at: Timestamp,
    /// The tool or the model.
    pub target: String,
    /// What was decided.
    #[schemars(with = "String")]
    pub recorded: Decision,
    /// Why.
    pub recorded_reasons: Vec<String>,
    /// What would be.
    #[schemars(with = "String")]
    pub candidate: Decision,
    /// Why.
    pub candidate_reasons: Vec<String>,
}

/// A decision as it was recorded.
struct Decided {
    call: CallId,
    target: String,
    decision: Decision,
    reasons: Vec<String>,
}

impl Decided {
    fn of(event: &Event) -> Option<Self> {
        match event {
            Event::EffectIntent(intent) if intent.attempt == 1 => {
                let target = match &intent.action {
                    Action::Model { model, .. } => model.to_string(),
                    Action::Tool { tool, .. } => tool.to_string(),
                };
                // Somebody was asked, now or before.
                let asked = intent.reasons.iter().any(|reason| reason.starts_with("approved by "));
                let decision = if asked { Decision::Ask } else { Decision::Allow };
                Some(Self { call: intent.call, target, decision, reasons: intent.reasons.clone() })
            }
            Event::EffectDenied(denied) if denied.stage == Stage::Policy => {
                let (target, reasons) = (denied.target.clone(), denied.reasons.clone());
                Some(Self { call: denied.call, target, decision: Decision::Deny, reasons })
            }
            Event::ApprovalAsked(asked) => {
                let (target, reasons) = (asked.target.clone(), asked.reasons.clone());
                Some(Self { call: asked.call, target, decision: Decision::Ask, reasons })
            }
            _ => None,
        }
    }
}

impl Engine {
    /// Asks a policy about every decision that was recorded since a time.
    ///
    /// # Errors
    /// `Corrupt` when a record does not verify or fold.
    pub async fn what_if(&self, tenant: &TenantId, candidate: &dyn Policy, since: Option<Timestamp>) -> Result<WhatIf> {
        let mut found = WhatIf::default();
        let mut filter = RunFilter::default();
        loop {
            let rows = self.inner.parts.store.runs(tenant, &filter, RUNS).await?;
            for row in rows.iter().filter(|row| since.is_none_or(|since| row.updated_at >= since)) {
                found.runs += 1;
                match self.what_if_of(row, candidate, since, &mut found).await {
                    Err(error) if error.kind() == ErrorKind::Expired => found.skipped += 1,
                    other => other?,
                }
            }
            match rows.last() {
                Some(last) if rows.len() == RUNS => filter.before = Some(last.run),
                _ => return Ok(found),
            }
        }
    }

    async fn what_if_of(
        &self,
        row: &RunRow,
        candidate: &dyn Policy,
        since: Option<Timestamp>,
        found: &mut WhatIf,
    ) -> Result<()> {
        let parts = &self.inner.parts;
        // What stands before a fork is its parent's.
        let own = row.own();
        let (mut replay, mut known, mut head) = (Replay::default(), Known::default(), Head::START);
        while head.next < row.head.next {
            let page = read_records(&*parts.store, &row.tenant, (row.run, row.fork), head.next, RECORDS).await?;
            if page.is_empty() {
                return Err(Error::corrupt(format!("record {} of run {} is missing", head.next, row.run)));
            }
            for record in page {
                record.verify_after(&head)?;
                let event = self.opened(&row.tenant, &record, &mut replay.state).await?;
                if record.seq >= own && since.is_none_or(|since| record.at >= since) {
                    self.again((&mut replay, &mut known), candidate, (row.run, &record, &event), found);
                }
                if matches!(event, Event::RunForked(_)) {
                    known = Known::default();
                }
                replay.apply(self, record.epoch, record.at, event)?;
                head = record.head();
            }
        }
        Ok(())
    }

    /// Makes one decision again.
    fn again(
        &self,
        (replay, known): (&mut Replay, &mut Known),
        candidate: &dyn Policy,
        (run_id, record, event): (RunId, &Record, &Event),
        found: &mut WhatIf,
    ) {
        let Some(Decided { call, target, decision, reasons }) = Decided::of(event) else { return };
        // An effect that was asked about is decided where it is asked.
        if decision == Decision::Ask
            && matches!(event, Event::EffectIntent(_))
            && replay.state.approvals.contains_key(&call)
        {
            return;
        }
        let wanted = replay.wanted(call);
        known.follow(&replay.state);
        let governor = &self.inner.parts.governor;
        let verdict =
            wanted.and_then(|call| governor.suppose(candidate, (&replay.state, known.flow()), &call, record.at));
        let Some(verdict) = verdict else {
            found.skipped += 1;
            return;
        };
        found.decisions += 1;
        if verdict.decision != decision {
            found.changes.push(Changed {
                run_id,
                seq: record.seq,
                call,
                at: record.at,
                target,
                recorded: decision,
                recorded_reasons: reasons,
                candidate: verdict.decision,
                candidate_reasons: verdict.reasons,
            });
        }
    }
}
