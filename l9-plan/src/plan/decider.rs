//! What the run of a plan wants next: a pure function of its folded state. What it works out
//! about the state it keeps, so that a question costs what changed and not the whole plan.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use l9_core::id::{CallId, NodeCall, NodePart};
use l9_core::plan::{PlanAsk, PlanChange};
use l9_core::run::{
    Call, CallState, Decider, Hit, Mode, Moment, Outcome, RunOutcome, RunState, Step, Stored, Subject, Tools,
};
use l9_core::{Error, Result};
use serde_json::{Map, Value, json};

use super::change;
use super::compiled::{Compiled, Effect, Node};
use super::document::{OnFailure, Patch, Plan};
use super::effects::has_begun;
use super::progress::{Progress, Stand};
use super::said::{Values, say};

/// Decides for runs of plans.
#[derive(Debug)]
pub(super) struct PlanDecider {
    children: usize,
    memo: Mutex<Option<(usize, Progress)>>,
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
        let edits = state.plan.patches.len();
        match memo.as_ref() {
            Some((_, progress)) if !progress.is_stale(state) => {}
            // The plan itself is as it was: only how far it came is worked out anew.
            Some((known, progress)) if *known == edits => {
                let compiled = Arc::clone(&progress.compiled);
                *memo = Some((edits, Progress::new(compiled, state)));
            }
            _ => *memo = Some((edits, Progress::new(Arc::new(compiled(state)?), state))),
        }
        let (_, progress) = memo.as_mut().ok_or_else(|| Error::internal("a plan without its progress"))?;
        progress.follow(state);
        Ok(work(progress))
    }

    fn steps(&self, state: &RunState, progress: &mut Progress) -> Result<Vec<Step>> {
        if let Some(steps) = rolling_back(state, progress) {
            return Ok(steps);
        }
        if !state.plan.hits.is_empty() {
            return Ok(Vec::new());
        }
        if !progress.hits.is_empty() {
            return Ok(progress.hits.iter().cloned().map(Step::Stand).collect());
        }
        let calls = progress.next(state, self.children)?;
        if calls.is_empty() && progress.unended == 0 {
            return Ok(finish(state, progress));
        }
        Ok(calls.into_iter().map(Step::Perform).collect())
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
        match self.with(state, |progress| self.steps(state, progress)).flatten() {
            Ok(steps) => steps,
            Err(error) => vec![fail("erased", error.message().to_owned())],
        }
    }

    fn takes_back(&self) -> bool {
        true
    }

    fn again(&self, state: &RunState) -> BTreeMap<CallId, Call> {
        let say = |progress: &mut Progress| {
            // What was decided upon is open to nobody until it is wanted again.
            let open = state.pending().map(|(call, _)| call).chain(state.decided());
            let said = open.filter_map(|call| match call {
                CallId::Node(node) => say(progress, state, node).ok(),
                _ => None,
            });
            said.map(|call| (call.id, call)).collect()
        };
        self.with(state, say).unwrap_or_default()
    }

    fn consider(&self, state: &RunState, ask: &PlanAsk<'_>, tools: Tools<'_>) -> Result<PlanChange> {
        self.with(state, |progress| change::consider(state, progress, ask, tools))?
    }
}

/// What a rollback wants next; nothing if none is under way.
fn rolling_back(state: &RunState, progress: &mut Progress) -> Option<Vec<Step>> {
    let rollback = state.plan.rollbacks.last()?;
    let (wanted, ended) = undo(state, progress, &rollback.undo, progress.undone);
    progress.undone = ended;
    if wanted.is_some() {
        return wanted;
    }
    if rollback.nodes.is_empty() {
        return Some(vec![rolled_back(state, progress, &rollback.undo)]);
    }
    if !rollback.hold {
        return None;
    }
    let node = u32::try_from(state.plan.rollbacks.len()).unwrap_or(u32::MAX);
    let is_that = |hit: &Hit| (hit.at, hit.node) == (Moment::RolledBack, node);
    if state.plan.passed.iter().chain(&state.plan.hits).any(is_that) {
        return None;
    }
    let (_, not) = undone(state, progress, &rollback.undo);
    let mut id = rollback.to.clone().unwrap_or_default();
    if !not.is_empty() {
        id = format!("{id}; could not be compensated: {}", not.join(", "));
    }
    Some(vec![Step::Stand(Hit { node, generation: 0, at: Moment::RolledBack, id, mode: Mode::Drain })])
}

/// The next of several compensations, of which so many are known to have ended; nothing when
/// all have, well or badly. Tells how many have by now.
pub(super) fn undo(
    state: &RunState,
    progress: &Progress,
    calls: &[CallId],
    mut ended: usize,
) -> (Option<Vec<Step>>, usize) {
    while let Some(call) = calls.get(ended) {
        match state.calls.get(call) {
            Some(known) if known.is_settled() => {}
            Some(_) => return (Some(Vec::new()), ended),
            None => {
                // One that cannot be said is told of at the end.
                if let CallId::Node(node) = call
                    && let Ok(call) = say(progress, state, *node)
                {
                    return (Some(vec![Step::Perform(call)]), ended);
                }
            }
        }
        ended += 1;
    }
    (None, ended)
}

/// The ids of the nodes that were compensated, and of those that were not.
fn undone(state: &RunState, progress: &Progress, calls: &[CallId]) -> (Vec<String>, Vec<String>) {
    let (mut done, mut not) = (Vec::new(), Vec::new());
    for call in calls {
        let CallId::Node(node) = call else { continue };
        let id = progress.compiled.node(node.node).map_or_else(String::new, |node| node.id.to_string());
        let ended = if state.output(*call).is_some() { &mut done } else { &mut not };
        if ended.last() != Some(&id) {
            ended.push(id);
        }
    }
    (done, not)
}

/// The same at the end of a plan: among those that were not are also those of which nobody knows.
fn undone_in_all(state: &RunState, progress: &Progress, calls: &[CallId]) -> (Vec<String>, Vec<String>) {
    let (done, mut not) = undone(state, progress, calls);
    not.extend(doubtful(state, progress, calls));
    (done, not)
}

/// The ids of the nodes whose compensation began earlier and gave nothing: nobody knows whether
/// they are compensated, and it is not begun twice.
fn doubtful(state: &RunState, progress: &Progress, calls: &[CallId]) -> Vec<String> {
    let calls: BTreeSet<&CallId> = calls.iter().collect();
    let earlier = state.calls.iter().filter(|(call, known)| {
        call.is_undo() && may_have_happened(known) && state.output(**call).is_none() && !calls.contains(call)
    });
    let numbers: BTreeSet<u32> = earlier.filter_map(|(call, _)| call.node()).map(|call| call.node).collect();
    numbers.into_iter().filter_map(|number| Some(progress.compiled.node(number)?.id.to_string())).collect()
}

/// The end of a plan that was rolled back whole.
fn rolled_back(state: &RunState, progress: &Progress, calls: &[CallId]) -> Step {
    let (compensated, not) = undone_in_all(state, progress, calls);
    if !not.is_empty() {
        return fail("plan.not_compensated", format!("these could not be compensated: {}", not.join(", ")));
    }
    // Whoever waits for its answer gets none.
    if state.created.as_ref().is_some_and(|created| created.parent.is_some()) {
        return fail("plan.rolled_back", format!("it was rolled back; compensated: {}", compensated.join(", ")));
    }
    let mut answer = json!({"rolled_back": true, "compensated": compensated});
    let left = left(state, progress);
    if !left.is_empty() {
        answer["left"] = json!(left);
    }
    let answer = Stored::from(answer);
    Step::Close(RunOutcome::Succeeded { answer, citations: Vec::new() })
}

/// The ids of the nodes whose work was a run of its own, and that say nothing of how to compensate
/// it: what that run did stays.
fn left(state: &RunState, progress: &Progress) -> Vec<String> {
    let stays = |(number, node): &(u32, &Node)| {
        node.undo.is_none() && node.effect().is_some_and(Effect::is_child) && has_begun(state, *number)
    };
    progress.compiled.present().filter(stays).map(|(_, node)| node.id.to_string()).collect()
}

/// What compensates the work of nodes that was done and was not compensated yet, the last first;
/// the state of memory stays. What a run that this one left had done is that run's.
pub(super) fn compensations(
    state: &RunState,
    progress: &Progress,
    attempt: u32,
    nodes: impl Fn(u32) -> bool,
) -> Vec<CallId> {
    let mut calls = Vec::new();
    for number in progress.compiled.order.iter().rev().copied().filter(|number| nodes(*number)) {
        let Some(node) = progress.compiled.node(number) else { continue };
        if node.undo.is_none() || node.is_checkpoint() {
            continue;
        }
        for generation in (0..=state.plan.generation(number)).rev() {
            let at = |part, item, attempt| NodeCall { node: number, generation, part, item, attempt };
            let all = CallId::Node(at(NodePart::Work, 0, 0))..=CallId::Node(at(NodePart::Undo, u32::MAX, u32::MAX));
            // By element: whether it may have been done, and whether it may have been undone.
            let mut elements: BTreeMap<u32, (bool, bool)> = BTreeMap::new();
            for (call, known) in state.calls.range(all) {
                let CallId::Node(of) = call else { continue };
                let element = elements.entry(of.item).or_default();
                match of.part {
                    NodePart::Work => element.0 |= may_have_happened(known) && !state.plan.foreign.contains(call),
                    NodePart::Undo => element.1 |= of.attempt != attempt && may_have_happened(known),
                    NodePart::Delay => {}
                }
            }
            let left = elements.into_iter().rev().filter(|(_, (done, undone))| *done && !undone);
            calls.extend(left.map(|(item, _)| CallId::Node(at(NodePart::Undo, item, attempt))));
        }
    }
    calls
}

/// Whether a settled effect happened, or nobody knows that it did not.
pub(super) fn may_have_happened(known: &CallState) -> bool {
    match known {
        CallState::Ended { outcome, .. } => {
            matches!(outcome, Outcome::Ok { .. } | Outcome::Failed { happened: true, .. })
        }
        CallState::Unknown { .. } => true,
        _ => false,
    }
}

/// Everything has ended.
fn finish(state: &RunState, progress: &mut Progress) -> Vec<Step> {
    if fails(progress) {
        let calls = match &progress.compensations {
            Some(calls) => Arc::clone(calls),
            None => {
                let calls: Arc<[CallId]> = compensations(state, progress, 0, |_| true).into();
                progress.compensations = Some(Arc::clone(&calls));
                calls
            }
        };
        let (wanted, ended) = undo(state, progress, &calls, progress.compensated);
        progress.compensated = ended;
        if let Some(steps) = wanted {
            return steps;
        }
    }
    let words: Vec<String> =
        failed(progress).take(8).map(|(id, why)| format!("node {id} failed, {}: {}", why.0, why.1)).collect();
    if words.is_empty() {
        return vec![match answer(state, progress) {
            Ok(answer) => Step::Close(RunOutcome::Succeeded { answer, citations: Vec::new() }),
            Err(error) => fail("plan.output", format!("output: {}", error.message())),
        }];
    }
    let calls = progress.compensations.as_ref();
    let (done, not) = calls.map(|calls| undone_in_all(state, progress, calls)).unwrap_or_default();
    let more = match failed(progress).count() {
        all if all > 8 => vec![format!("and {} more failed", all - 8)],
        _ => Vec::new(),
    };
    let told = |what: &str, ids: &[String]| (!ids.is_empty()).then(|| format!("{what}: {}", ids.join(", ")));
    let ends = [told("compensated", &done), told("could not be compensated", &not)].into_iter().flatten();
    let words: Vec<String> = words.into_iter().chain(more).chain(ends).collect();
    vec![fail("plan.failed", words.join("; "))]
}

/// Whether what the plan did is compensated once all has ended.
pub(super) fn fails(progress: &Progress) -> bool {
    progress.compiled.on_failure == OnFailure::Compensate && failed(progress).next().is_some()
}

/// The nodes whose failure fails the plan, and why they failed.
fn failed(progress: &Progress) -> impl Iterator<Item = (&str, &(String, String))> {
    progress.compiled.present().filter(|(_, node)| !node.optional).filter_map(|(number, node)| {
        match &progress.stands[number as usize] {
            Stand::Failed(why) => Some((&*node.id, &**why)),
            _ => None,
        }
    })
}

/// What the plan answers: what it says, or what the nodes gave that nothing needs.
fn answer(state: &RunState, progress: &Progress) -> Result<Stored> {
    if let Some(output) = &progress.compiled.output {
        return Ok(Stored::from(output.fill(&Values::now(progress, state))?));
    }
    let last = progress
        .compiled
        .present()
        .filter(|(number, node)| node.needed_by.is_empty() && progress.stands[*number as usize] == Stand::Succeeded);
    let gave = |(number, node): (u32, &Node)| (node.id.to_string(), progress.output(state, number).into_owned());
    Ok(Stored::from(Value::Object(last.map(gave).collect::<Map<String, Value>>())))
}

fn fail(code: &str, message: String) -> Step {
    Step::Close(RunOutcome::Failed { code: code.to_owned(), message })
}
