//! Effects that have no end of their own: those a former owner left open, waits, and what
//! an unknown end is taken for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::budget::Meter;
use super::path::{Governor, OnUnknown};
use super::permit::{Grant, Permit};
use crate::Result;
use crate::budget::Cost;
use crate::id::{CallId, CommandId};
use crate::label::Label;
use crate::run::{
    Action, CommandRequest, EffectIntent, EffectReconciled, EffectResult, EffectRetry, EffectUnknown, Event, Outcome,
    Resolution, RunLog, SignalReceived, Verdict,
};
use crate::tool::{EffectClass, Probed};

/// Who decides where no person is asked.
const POLICY: &str = "policy:unknown";

/// How a wait ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum WaitEnd<'a> {
    /// What it waited for came.
    Signal { name: &'a str, value: &'a Value },
    /// Its time has passed.
    Elapsed,
    /// Its node was reset.
    RolledBack,
}

impl Governor {
    /// Journals that nobody knows how an attempt ended, and what the policy makes of it.
    ///
    /// # Errors
    /// `Corrupt` when the log does not take it.
    pub(crate) fn unknown(&self, log: &mut RunLog, unknown: EffectUnknown) -> Result<()> {
        log.push(Event::EffectUnknown(unknown))?;
        self.decide_unknown(log)
    }

    /// Journals that an earlier attempt at a write may have happened, and why no other is made.
    ///
    /// # Errors
    /// `Corrupt` when the log does not take it.
    pub(crate) fn leave_unknown(&self, log: &mut RunLog, call: CallId, why: &str) -> Result<()> {
        let Some(attempt) = log.state.in_doubt(call).map(|intent| intent.attempt) else { return Ok(()) };
        let reason = format!("an attempt may have happened, and {why}");
        let (label, spent) = (Label::trusted(), Cost::default());
        self.unknown(log, EffectUnknown { call, attempt, reason, label, spent })
    }

    /// Decides upon every unknown write where no person is asked: those of this owner, and
    /// those that a former owner or the run that was forked left undecided.
    ///
    /// # Errors
    /// `Corrupt` when the log does not take it.
    pub(crate) fn decide_unknown(&self, log: &mut RunLog) -> Result<()> {
        if self.settings.unknown != OnUnknown::Tell {
            return Ok(());
        }
        let undecided: Vec<CallId> = log.state.undecided().map(|(call, _)| call).collect();
        undecided.into_iter().try_for_each(|call| {
            log.push(Event::EffectReconciled(Box::new(EffectReconciled {
                call,
                verdict: Verdict::Unknown,
                by: POLICY.to_owned(),
                reason: "the setting `unknown: tell` lets runs go on without knowing".to_owned(),
                command: None,
            })))
        })
    }

    /// Asks a tool whether an open write took effect, and journals its answer. Without one
    /// nobody knows.
    ///
    /// # Errors
    /// `Corrupt` when the log does not take it.
    pub(crate) async fn probe(&self, log: &mut RunLog, intent: EffectIntent) -> Result<()> {
        let EffectIntent { call, attempt, label, reserved, .. } = intent.clone();
        let (probed, used) = self.probed(log, intent).await;
        // What the attempt itself used nobody knows.
        let spent = reserved.plus(used);
        match probed {
            Ok(Probed::Happened(mut value)) => {
                crate::redact::redact_value(&*self.redactor, &mut value);
                let outcome = Outcome::Ok { value: log.keep(value)? };
                let lines = Vec::new();
                log.push(Event::EffectResult(Box::new(EffectResult {
                    call,
                    attempt,
                    outcome,
                    label,
                    fields: BTreeMap::new(),
                    spent,
                    log: lines,
                })))
            }
            Ok(Probed::NotHappened) => {
                let (code, message) = ("not_happened".to_owned(), "the tool was asked: it did not happen".to_owned());
                let retry_at = log.now();
                log.push(Event::EffectRetry(Box::new(EffectRetry {
                    call,
                    attempt,
                    code,
                    message,
                    label,
                    spent,
                    in_doubt: false,
                    retry_at,
                })))
            }
            Ok(Probed::Unknown) => {
                let reason =
                    "the process died after the intent, and the tool could not tell whether it happened".to_owned();
                self.unknown(log, EffectUnknown { call, attempt, reason, label, spent: used })
            }
            Err(why) => {
                let reason = format!("the process died after the intent, and asking the tool failed: {why}");
                self.unknown(log, EffectUnknown { call, attempt, reason: self.shown(&reason), label, spent: used })
            }
        }
    }

    /// What a tool says, and what it used to find out, within what the run has left.
    async fn probed(&self, log: &RunLog, intent: EffectIntent) -> (Result<Probed>, Cost) {
        let unasked = (Ok(Probed::Unknown), Cost::default());
        let (Some(created), Action::Tool { tool, arguments }) = (&log.state.created, &intent.action) else {
            return unasked;
        };
        let found = self.registry.pinned(&log.tenant, tool, &intent.contract).ok();
        let (Some(tool), Some(arguments)) = (found, log.state.value(arguments)) else { return unasked };
        let left = created.budget.left(&log.state.spent.plus(log.state.reserved));
        let time_ms = tool.manifest.limits.wall_ms.min(left.time_ms.unwrap_or(u64::MAX));
        if time_ms == 0 {
            return (Err(crate::Error::unavailable("the run has no time_ms left to ask")), Cost::default());
        }
        let deadline = Duration::from_millis(time_ms);
        let grant = Grant {
            tenant: log.tenant.clone(),
            run: log.run,
            call: intent.call,
            attempt: intent.attempt,
            contract: intent.contract,
            idempotency_key: intent.idempotency_key,
            issued_at: log.now(),
            lapses_at: self.clock.monotonic() + deadline,
            allowance: left,
            deterministic: created.seed.is_some(),
            label: intent.label.clone(),
        };
        let words = self.deltas.sink(log.run, Arc::clone(&self.redactor));
        let permit = Permit::issue(grant, Arc::clone(&self.clock), CancellationToken::new(), words);
        let meter = Meter::start(&permit, &*self.clock);
        let probed = tokio::select! {
            biased;
            probed = tool.probe(permit, arguments) => probed.map_err(|fault| crate::Error::unavailable(fault.to_string())),
            () = self.clock.sleep(deadline) => Err(crate::Error::unavailable("no answer in time")),
        };
        (probed, meter.read(&*self.clock, time_ms))
    }

    /// Ends a wait: with the signal it waited for, or because its time has passed.
    ///
    /// # Errors
    /// `Corrupt` when the log does not take it.
    pub(crate) fn end_wait(&self, log: &mut RunLog, call: CallId, end: WaitEnd<'_>) -> Result<()> {
        let Some(attempt) = log.state.open(call).map(|open| open.attempt) else { return Ok(()) };
        let mut label = Label::trusted();
        let outcome = match end {
            WaitEnd::Signal { name, value } => {
                label = Label::untrusted(format!("signal:{name}"));
                Outcome::Ok { value: log.keep(json!({"signal": name, "value": value}))? }
            }
            WaitEnd::Elapsed => Outcome::Ok { value: log.keep(json!({"signal": null, "elapsed": true}))? },
            WaitEnd::RolledBack => {
                let message = "the plan was rolled back, and waits for it no more".to_owned();
                Outcome::Failed { code: "rolled_back".to_owned(), message, happened: false }
            }
        };
        let spent = Cost { calls: 1, ..Cost::default() };
        let lines = Vec::new();
        log.push(Event::EffectResult(Box::new(EffectResult {
            call,
            attempt,
            outcome,
            label,
            fields: BTreeMap::new(),
            spent,
            log: lines,
        })))
    }

    /// Journals a signal and ends the first wait for it.
    ///
    /// # Errors
    /// `Corrupt` when the log does not take it.
    pub(crate) fn signal(
        &self,
        log: &mut RunLog,
        command: CommandId,
        by: String,
        (name, value): (String, Value),
    ) -> Result<()> {
        let value = self.masked(&value);
        let call = log.state.awaited().find_map(|(call, signal)| (*signal == name).then_some(call));
        let kept = log.keep(value.clone())?;
        let received = SignalReceived { command, by, name: name.clone(), value: kept };
        log.push(Event::SignalReceived(Box::new(received)))?;
        call.map_or(Ok(()), |call| self.end_wait(log, call, WaitEnd::Signal { name: &name, value: &value }))
    }

    /// Journals what a person takes an unknown effect for.
    ///
    /// # Errors
    /// `Corrupt` when the log does not take it.
    pub(crate) fn resolve_unknown(
        &self,
        log: &mut RunLog,
        request: &CommandRequest,
        (call, verdict, reason): (CallId, Resolution, String),
    ) -> Result<()> {
        let verdict = match verdict {
            Resolution::Happened { mut value } => {
                crate::redact::redact_value(&*self.redactor, &mut value);
                Verdict::Happened { value: log.keep(value)? }
            }
            Resolution::NotHappened => Verdict::NotHappened,
            Resolution::Unknown => Verdict::Unknown,
        };
        let (by, command) = (request.by.clone(), Some(request.id.clone()));
        log.push(Event::EffectReconciled(Box::new(EffectReconciled { call, verdict, by, reason, command })))
    }
}

/// Whether a class can be asked after a crash.
pub(crate) fn can_be_asked(class: EffectClass) -> bool {
    class == EffectClass::QueryableWrite
}
