//! What the run of a plan wants next: a pure function of its folded state. What it works out
//! about the state it keeps, so that a question costs what changed and not the whole plan.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use l9_core::id::{CallId, NodeCall, NodePart};
use l9_core::plan::{PlanAsk, PlanChange};
use l9_core::run::{
    Call, DELEGATE, Decider, Hit, Mode, Moment, Outcome, RunOutcome, RunState, Step, Stored, Subject, Tools, WAIT, Wanted,
};
use l9_core::{Error, Result};
use serde_json::{Map, Value, json};

use super::change;
use super::compiled::{Compiled, Effect, Node};
use super::document::{OnFailure, Patch, Plan};
use super::progress::{Progress, Stand, Values};
use super::template::Template;

/// The longest wait before another try, in seconds.
const LONGEST_BACKOFF: u64 = 86_400;

/// Decides for runs of plans.
#[derive(Debug)]
pub(super) struct PlanDecider {
    children: usize,
    memo: Mutex<Option<Progress>>,
}

impl PlanDecider {
    /// The newest version.
    pub(super) const VERSION: u32 = 1;

    /// One whose plans have at most that many runs of their own under way at once.
    pub(super) fn new(children: usize) -> Self {
        Self { children, memo: Mutex::default() }
    }

    fn with<T>(&self, state: &RunState, work: impl FnOnce(&mut Progress) -> T) -> Result<T> {
        let mut memo = self.memo.lock().unwrap_or_else(PoisonError::into_inner);
        let stale = memo.as_ref().is_none_or(|progress| progress.is_stale(state));
        if stale {
            *memo = Some(Progress::new(compiled(state)?, state));
        }
        let progress = memo.as_mut().ok_or_else(|| Error::internal("a plan without its progress"))?;
        progress.follow(state);
        Ok(work(progress))
    }

    fn steps(&self, state: &RunState, progress: &mut Progress) -> Vec<Step> {
        if let Some(steps) = rolling_back(state, progress) {
            return steps;
        }
        if !state.plan.hits.is_empty() {
            return Vec::new();
        }
        let mut steps = Vec::new();
        loop {
            if !progress.hits.is_empty() {
                return progress.hits.iter().cloned().map(Step::Stand).collect();
            }
            let mut unsayable = Vec::new();
            for call in progress.next(self.children) {
                let CallId::Node(node) = call else { continue };
                match say(progress, state, node) {
                    Ok(call) => steps.push(Step::Perform(call)),
                    Err(error) => unsayable.push((node, error)),
                }
            }
            if unsayable.is_empty() {
                break;
            }
            for (node, error) in unsayable {
                progress.withdraw(CallId::Node(node));
                progress.unsayable(state, node, error.message().to_owned());
            }
            // What was said already is said again with what follows.
            progress.take_back();
            steps.clear();
        }
        if steps.is_empty() && progress.unended == 0 && progress.is_idle() {
            return finish(state, progress);
        }
        steps
    }
}

/// The plan of a run as it stands, with the edits that were made of it.
pub(super) fn compiled(state: &RunState) -> Result<Compiled> {
    let (plan, patches) = document(state)?;
    Compiled::new(&plan, &patches)
}

/// The plan of a run, and the edits that were made of it.
pub(super) fn document(state: &RunState) -> Result<(Plan, Vec<Patch>)> {
    let gone = || Error::invalid("the plan cannot be read any more");
    let plan = match state.created.as_ref().map(|created| &created.subject) {
        Some(Subject::Plan { plan, .. }) => Plan::read(state.value(plan).ok_or_else(gone)?)?,
        _ => return Err(Error::invalid("the run is no plan's")),
    };
    let read = |patch: &Stored| {
        let value = state.value(patch).ok_or_else(gone)?;
        serde_json::from_value(value.clone()).map_err(|error| Error::corrupt(format!("an edit does not read: {error}")))
    };
    Ok((plan, state.plan.patches.iter().map(read).collect::<Result<_>>()?))
}

impl Decider for PlanDecider {
    fn version(&self) -> u32 {
        Self::VERSION
    }

    fn decide(&self, state: &RunState) -> Vec<Step> {
        match self.with(state, |progress| self.steps(state, progress)) {
            Ok(steps) => steps,
            Err(error) => vec![fail("erased", error.message().to_owned())],
        }
    }

    fn again(&self, state: &RunState) -> BTreeMap<CallId, Call> {
        let say = |progress: &mut Progress| {
            let pending = state.pending().filter_map(|(call, _)| match call {
                CallId::Node(node) => say(progress, state, node).ok(),
                _ => None,
            });
            pending.map(|call| (call.id, call)).collect()
        };
        self.with(state, say).unwrap_or_default()
    }

    fn consider(&self, state: &RunState, ask: &PlanAsk<'_>, tools: Tools<'_>) -> Result<PlanChange> {
        self.with(state, |progress| change::consider(state, progress, ask, tools))?
    }
}

/// An effect of a node, its references replaced.
fn say(progress: &Progress, state: &RunState, call: NodeCall) -> Result<Call> {
    let node = progress.compiled.node(call.node).ok_or_else(|| Error::corrupt(format!("there is no node {}", call.node)))?;
    let (effect, within) = match call.part {
        NodePart::Work => (node.effect(), node.within.map(Duration::from_secs)),
        NodePart::Undo => (node.undo.as_deref(), None),
        NodePart::Delay => {
            let doubled = node.retry.backoff_seconds.saturating_mul(1 << call.attempt.saturating_sub(2).min(32));
            let arguments = json!({"seconds": doubled.min(LONGEST_BACKOFF)}).to_string();
            let wanted = Wanted::Tool { name: WAIT.to_owned(), arguments };
            return Ok(Call { id: CallId::Node(call), wanted, within: None });
        }
    };
    let effect = effect.ok_or_else(|| Error::corrupt(format!("node {} has no such effect", node.id)))?;
    let arguments = arguments(progress, state, node, effect, call)?;
    let wanted = Wanted::Tool { name: effect.tool.id.as_str().to_owned(), arguments: arguments.to_string() };
    Ok(Call { id: CallId::Node(call), wanted, within })
}

fn arguments(progress: &Progress, state: &RunState, node: &Node, effect: &Effect, call: NodeCall) -> Result<Value> {
    let undone = call.part == NodePart::Undo;
    let before = state.plan.rollbacks.last().filter(|_| undone);
    let element = match &node.map {
        None => None,
        Some(_) if !undone => progress.element(call.node, call.item).cloned(),
        Some(map) => {
            let list = map.0.fill(&Values { progress, state, item: None, before })?;
            list.get(call.item as usize).cloned()
        }
    };
    let item = element.as_ref().map(|element| (element, call.item));
    let mut arguments = effect.arguments.fill(&Values { progress, state, item, before })?;
    // An agent is told in words.
    if effect.tool.id.as_str() == DELEGATE
        && let Some(input) = arguments.get_mut("input")
        && !input.is_string()
    {
        *input = Value::String(input.to_string());
    }
    Ok(arguments)
}

/// What a rollback wants next; nothing if none is under way.
fn rolling_back(state: &RunState, progress: &Progress) -> Option<Vec<Step>> {
    let rollback = state.plan.rollbacks.last()?;
    if let Some(steps) = undo(state, progress, &rollback.undo) {
        return Some(steps);
    }
    if rollback.nodes.is_empty() {
        return Some(vec![rolled_back(state, progress, &rollback.undo)]);
    }
    let node = u32::try_from(state.plan.rollbacks.len()).unwrap_or(u32::MAX);
    let id = rollback.to.clone().unwrap_or_default();
    let hit = Hit { node, generation: 0, at: Moment::RolledBack, id, mode: Mode::Drain };
    let stands = rollback.hold && !state.plan.passed.contains(&hit) && !state.plan.hits.contains(&hit);
    stands.then(|| vec![Step::Stand(hit)])
}

/// The next of several compensations; nothing when all have ended, well or badly.
fn undo(state: &RunState, progress: &Progress, calls: &[CallId]) -> Option<Vec<Step>> {
    for call in calls {
        match state.calls.get(call) {
            Some(known) if known.is_settled() => {}
            Some(_) => return Some(Vec::new()),
            None => {
                let CallId::Node(node) = call else { continue };
                // One that cannot be said is told of at the end.
                if let Ok(call) = say(progress, state, *node) {
                    return Some(vec![Step::Perform(call)]);
                }
            }
        }
    }
    None
}

/// The ids of the nodes that were compensated, and why others were not.
fn undone(state: &RunState, progress: &Progress, calls: &[CallId]) -> (Vec<String>, Vec<String>) {
    let (mut done, mut not) = (Vec::new(), Vec::new());
    for call in calls {
        let CallId::Node(node) = call else { continue };
        let id = progress.compiled.node(node.node).map_or_else(String::new, |node| node.id.to_string());
        if state.output(*call).is_some() {
            if !done.contains(&id) {
                done.push(id);
            }
        } else {
            not.push(id);
        }
    }
    (done, not)
}

fn rolled_back(state: &RunState, progress: &Progress, calls: &[CallId]) -> Step {
    let (compensated, not) = undone(state, progress, calls);
    if not.is_empty() {
        let answer = Stored::from(json!({"rolled_back": true, "compensated": compensated}));
        return Step::Close(RunOutcome::Succeeded { answer, citations: Vec::new() });
    }
    fail("plan.not_compensated", format!("these could not be compensated: {}", not.join(", ")))
}

/// What compensates everything that a plan did, the last first; the state of memory stays.
pub(super) fn compensations(state: &RunState, progress: &Progress, attempt: u32, nodes: impl Fn(u32) -> bool) -> Vec<CallId> {
    let mut calls = Vec::new();
    for number in progress.compiled.order.iter().rev().copied().filter(|number| nodes(*number)) {
        let Some(node) = progress.compiled.node(number) else { continue };
        if node.undo.is_none() || node.is_checkpoint() {
            continue;
        }
        let generation = state.plan.generation(number);
        for item in (0..progress.elements(number)).rev() {
            let at = |part, item, attempt| CallId::Node(NodeCall { node: number, generation, part, item, attempt });
            let whole = |part| state.calls.range(at(part, item, 0)..=at(part, item, u32::MAX));
            let done = |call: &l9_core::run::CallState| {
                matches!(call, l9_core::run::CallState::Ended { outcome: Outcome::Ok { .. } | Outcome::Failed { happened: true, .. }, .. })
            };
            let worked = whole(NodePart::Work).any(|(_, call)| done(call));
            let undone = whole(NodePart::Undo)
                .any(|(call, known)| *call != at(NodePart::Undo, item, attempt) && done(known));
            if worked && !undone {
                calls.push(at(NodePart::Undo, item, attempt));
            }
        }
    }
    calls
}

/// Everything has ended.
fn finish(state: &RunState, progress: &Progress) -> Vec<Step> {
    let compiled = &progress.compiled;
    let failed: Vec<(&str, &(String, String))> = compiled
        .present()
        .filter(|(_, node)| !node.optional)
        .filter_map(|(number, node)| match &progress.stands[number as usize] {
            Stand::Failed(why) => Some((&*node.id, &**why)),
            _ => None,
        })
        .collect();
    if failed.is_empty() {
        return vec![match answer(state, progress) {
            Ok(answer) => Step::Close(RunOutcome::Succeeded { answer, citations: Vec::new() }),
            Err(error) => fail("plan.output", format!("output: {}", error.message())),
        }];
    }
    let mut words: Vec<String> =
        failed.iter().take(8).map(|(id, why)| format!("node {id} failed, {}: {}", why.0, why.1)).collect();
    if failed.len() > 8 {
        words.push(format!("and {} more failed", failed.len() - 8));
    }
    if compiled.on_failure == OnFailure::Compensate {
        let calls = compensations(state, progress, 0, |_| true);
        if let Some(steps) = undo(state, progress, &calls) {
            return steps;
        }
        let (done, not) = undone(state, progress, &calls);
        if !done.is_empty() {
            words.push(format!("compensated: {}", done.join(", ")));
        }
        if !not.is_empty() {
            words.push(format!("could not be compensated: {}", not.join(", ")));
        }
    }
    vec![fail("plan.failed", words.join("; "))]
}

/// What the plan answers: what it says, or what the nodes gave that nothing needs.
fn answer(state: &RunState, progress: &Progress) -> Result<Stored> {
    let values = Values { progress, state, item: None, before: None };
    if let Some(output) = &progress.compiled.output {
        return Ok(Stored::from(Template::fill(output, &values)?));
    }
    let last = progress.compiled.present().filter(|(number, node)| {
        node.needed_by.is_empty() && progress.stands[*number as usize] == Stand::Succeeded
    });
    let last: Map<String, Value> = last.map(|(number, node)| (node.id.to_string(), progress.output(state, number))).collect();
    Ok(Stored::from(Value::Object(last)))
}

fn fail(code: &str, message: String) -> Step {
    Step::Close(RunOutcome::Failed { code: code.to_owned(), message })
}
