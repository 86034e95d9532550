//! Replay: a run derived again from its journal, without a single effect. What the run
//! wanted is decided anew from the state before each record and compared with what was
//! recorded.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::engine::Engine;
use crate::digest::sha256;
use crate::id::{CallId, RunId, TenantId};
use crate::journal::Head;
use crate::json;
use crate::run::{
    Action, BreakpointHit, Call, Decider, EffectIntent, Event, Hit, Outcome, Record, RunOutcome, RunState, Step,
    Stored, Wanted, open_artifact, read_records,
};
use crate::{Error, Result};

/// How many records are read at a time.
const PAGE: usize = 512;

/// What a replay found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Replayed {
    /// The run.
    pub run_id: RunId,
    /// Records that were derived again.
    pub records: u64,
    /// Effects whose intent was decided again as it was recorded.
    pub effects: u64,
    /// Where the run would have gone another way, if it would.
    pub divergence: Option<Divergence>,
}

/// Where a replay first differs from what was recorded.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Divergence {
    /// The record.
    pub seq: u64,
    /// The effect, if one is concerned.
    pub call: Option<CallId>,
    /// What was recorded.
    pub recorded: String,
    /// What is decided now.
    pub derived: String,
}

impl Engine {
    /// Derives a run again. `edits` are results to be taken in place of those recorded, to
    /// see where the run would have gone another way. No effect is performed.
    ///
    /// # Errors
    /// `NotFound` for an unknown run, `Corrupt` when a record does not verify or fold,
    /// `Expired` when bodies are gone, `Invalid` for an edit of an effect that has no result.
    pub async fn replay(&self, tenant: &TenantId, run: RunId, edits: &BTreeMap<CallId, Value>) -> Result<Replayed> {
        let parts = &self.inner.parts;
        let row = self.row(tenant, run).await?;
        let mut replay = Replay { edits: edits.clone(), ..Replay::default() };
        let mut head = Head::START;
        while head.next < row.head.next {
            let page = read_records(&*parts.store, tenant, (run, row.fork), head.next, PAGE).await?;
            if page.is_empty() {
                return Err(Error::corrupt(format!("record {} of run {run} is missing", head.next)));
            }
            for record in page {
                record.verify_after(&head)?;
                let event = self.opened(tenant, &record, &mut replay.state).await?;
                let found = replay.step(&event)?;
                let (records, effects) = (record.seq, replay.effects);
                if let Some((call, recorded, derived)) = found {
                    let divergence = Some(Divergence { seq: record.seq, call, recorded, derived });
                    return Ok(Replayed { run_id: run, records, effects, divergence });
                }
                replay.apply(self, record.epoch, record.at, event)?;
                head = record.head();
            }
        }
        if let Some(call) = replay.edits.keys().next() {
            return Err(Error::invalid(format!("run {run} has no result of effect {call} to be edited")));
        }
        Ok(Replayed { run_id: run, records: head.next, effects: replay.effects, divergence: None })
    }

    /// Opens a record, and gives a state the large values that its event refers to.
    pub(super) async fn opened(&self, tenant: &TenantId, record: &Record, state: &mut RunState) -> Result<Event> {
        let parts = &self.inner.parts;
        let payload = record.open(&*parts.vault)?.payload;
        let event = Event::decode(&record.kind, record.version, &payload)?;
        for id in event.artifacts() {
            let sealed = parts.store.artifact(tenant, id).await?;
            let sealed = sealed.ok_or_else(|| Error::corrupt(format!("artifact {id} is missing")))?;
            let plain = open_artifact(&*parts.vault, tenant, id, &sealed)?;
            let value = serde_json::from_slice(&plain).map_err(|error| Error::corrupt(error.to_string()))?;
            state.provide(id, value);
        }
        Ok(event)
    }
}

/// A run on its way from its first record to its last.
#[derive(Default)]
pub(super) struct Replay {
    pub(super) state: RunState,
    decider: Option<Box<dyn Decider>>,
    /// What was decided before the newest intents and denials: they come of one decision.
    wanted: Option<BTreeMap<CallId, Call>>,
    /// Where it was decided to stand before the newest breakpoints were reached: those that are
    /// reached together come of one decision too.
    stands: Option<Vec<Hit>>,
    edits: BTreeMap<CallId, Value>,
    effects: u64,
}

/// An effect, what was recorded, and what is derived.
type Found = (Option<CallId>, String, String);

impl Replay {
    pub(super) fn apply(
        &mut self,
        engine: &Engine,
        epoch: u64,
        at: crate::time::Timestamp,
        mut event: Event,
    ) -> Result<()> {
        if let Event::EffectResult(result) = &mut event
            && let Some(value) = self.edits.remove(&result.call)
        {
            result.outcome = Outcome::Ok { value: Stored::Inline(value) };
        }
        if !matches!(event, Event::EffectIntent(_) | Event::EffectDenied(_) | Event::ApprovalAsked(_)) {
            self.wanted = None;
        }
        if !matches!(event, Event::BreakpointHit(_)) {
            self.stands = None;
        }
        let pins = matches!(event, Event::RunCreated(_) | Event::RunForked(_));
        self.state.apply(epoch, at, event)?;
        if pins {
            self.decider = Some(engine.decider(&self.state)?);
        }
        Ok(())
    }

    /// Compares a record with what is decided from the state before it.
    fn step(&mut self, event: &Event) -> Result<Option<Found>> {
        let found = match event {
            Event::EffectIntent(intent) => {
                let found = self.intent(intent)?;
                self.effects += u64::from(found.is_none());
                found
            }
            Event::EffectDenied(denied) => {
                let wanted = self.wanted(denied.call);
                wanted.is_none().then(|| {
                    let recorded = format!("a denial of {} ({})", denied.target, denied.code);
                    (Some(denied.call), recorded, self.instead())
                })
            }
            Event::ApprovalAsked(question) => {
                let wanted = self.wanted(question.call);
                wanted.is_none().then(|| {
                    let recorded = format!("a question about {}", question.target);
                    (Some(question.call), recorded, self.instead())
                })
            }
            Event::BreakpointHit(BreakpointHit { hit }) => {
                (!self.stands_at(hit)).then(|| (None, describe(&Step::Stand(hit.clone())), self.instead()))
            }
            Event::RunClosed(outcome) => self.end(outcome),
            _ => None,
        };
        Ok(found)
    }

    /// The effect the decider wants under an id, as though it had never been intended.
    pub(super) fn wanted(&mut self, call: CallId) -> Option<Call> {
        let decider = self.decider.as_ref()?;
        let calls = |steps: Vec<Step>| -> BTreeMap<CallId, Call> {
            let call = |step| match step {
                Step::Perform(call) => Some((call.id, call)),
                Step::Stand(_) | Step::Close(_) => None,
            };
            steps.into_iter().filter_map(call).collect()
        };
        let wanted = self.wanted.get_or_insert_with(|| calls(decider.decide(&self.state)));
        // What follows a denial is decided after it.
        if !wanted.contains_key(&call) && !self.state.calls.contains_key(&call) {
            wanted.extend(calls(decider.decide(&self.state)));
        }
        if !wanted.contains_key(&call) {
            wanted.extend(decider.again(&self.state));
        }
        wanted.remove(&call)
    }

    /// Whether it was decided to stand at a breakpoint.
    fn stands_at(&mut self, hit: &Hit) -> bool {
        let Some(decider) = self.decider.as_ref() else { return false };
        let stand = |step| match step {
            Step::Stand(hit) => Some(hit),
            Step::Perform(_) | Step::Close(_) => None,
        };
        let stands =
            self.stands.get_or_insert_with(|| decider.decide(&self.state).into_iter().filter_map(stand).collect());
        stands.contains(hit)
    }

    /// What is wanted now, in words.
    fn instead(&self) -> String {
        let steps = self.decider.as_ref().map(|decider| decider.decide(&self.state)).unwrap_or_default();
        if steps.is_empty() {
            return "nothing".to_owned();
        }
        let words: Vec<String> = steps.iter().map(describe).collect();
        words.join(", ")
    }

    fn intent(&mut self, intent: &EffectIntent) -> Result<Option<Found>> {
        let wanted = self.wanted(intent.call);
        let recorded = |action: &Action| match action {
            Action::Model { model, request } => format!("a question to {model} with request {request}"),
            Action::Tool { tool, arguments: Stored::Withheld { .. } } => format!("a call of {tool}"),
            Action::Tool { tool, arguments } => {
                format!("a call of {tool} with {}", self.state.value(arguments).cloned().unwrap_or_default())
            }
        };
        let Some(wanted) = wanted else {
            return Ok(Some((Some(intent.call), recorded(&intent.action), self.instead())));
        };
        let same = match (&intent.action, &wanted.wanted) {
            (Action::Model { model, request }, Wanted::Model { model: now, request: asked }) => {
                model == now && sha256(&[&json::canonical(&**asked)?]) == *request
            }
            (Action::Tool { tool, arguments }, Wanted::Tool { name, arguments: text }) => {
                let text = if text.trim().is_empty() { "{}" } else { text };
                let now =
                    json::parse(text.as_bytes(), &json::Bounds { bytes: usize::MAX, depth: 128, values: usize::MAX });
                let now = self.state.amended(intent.call).or(now.as_ref().ok());
                tool.as_str() == name && now == self.state.value(arguments)
            }
            _ => false,
        };
        if same {
            return Ok(None);
        }
        // What another tool is called with, its manifest may keep from readers.
        let (intended, told) = match &intent.action {
            Action::Tool { tool, arguments } => (tool.as_str(), !matches!(arguments, Stored::Withheld { .. })),
            Action::Model { .. } => ("", false),
        };
        let derived = match &wanted.wanted {
            Wanted::Model { model, request } => {
                let digest = sha256(&[&json::canonical(&**request)?]);
                format!("a question to {model} with request {digest}")
            }
            Wanted::Tool { name, arguments } if told && name == intended => {
                format!("a call of {name} with {arguments}")
            }
            Wanted::Tool { name, .. } => format!("a call of {name}"),
        };
        Ok(Some((Some(intent.call), recorded(&intent.action), derived)))
    }

    /// An end that the decider chose must be chosen again; one that came from outside
    /// stands in the state.
    fn end(&self, outcome: &RunOutcome) -> Option<Found> {
        let from_outside = match outcome {
            RunOutcome::Cancelled { .. } => self.state.cancel.is_some(),
            RunOutcome::Failed { code, .. } => code == "deadline" || code == "stalled",
            RunOutcome::Succeeded { .. } => false,
        };
        if from_outside {
            return None;
        }
        let steps = self.decider.as_ref().map(|decider| decider.decide(&self.state)).unwrap_or_default();
        let same = steps.iter().any(|step| matches!(step, Step::Close(now) if now == outcome));
        (!same).then(|| (None, describe(&Step::Close(outcome.clone())), self.instead()))
    }
}

fn describe(step: &Step) -> String {
    match step {
        Step::Perform(Call { id, wanted: Wanted::Model { model, .. }, .. }) => format!("{id}: a question to {model}"),
        // Not with what: its manifest may keep that from readers.
        Step::Perform(Call { id, wanted: Wanted::Tool { name, .. }, .. }) => format!("{id}: a call of {name}"),
        Step::Stand(hit) => format!("a breakpoint at {}", hit.id),
        Step::Close(RunOutcome::Succeeded { answer, .. }) => match answer {
            Stored::Inline(value) => format!("the end with answer {value}"),
            Stored::Artifact { id, .. } | Stored::Withheld { id, .. } => format!("the end with answer {id}"),
        },
        Step::Close(RunOutcome::Failed { code, message }) => format!("the end with {code}: {message}"),
        Step::Close(RunOutcome::Cancelled { reason, .. }) => format!("a cancelled end: {reason}"),
    }
}
