//! What a plan that runs is asked: edits, breakpoints, rollbacks.

use std::collections::{BTreeMap, BTreeSet};

use l9_core::id::{AgentId, CallId, NodeCall, NodePart, ToolId};
use l9_core::plan::{PlanAsk, PlanChange, Target};
use l9_core::run::{Breakpoint, CallState, Moment, Rollback, RunState, Subject, Tools};
use l9_core::tool::ContractHash;
use l9_core::{Error, ErrorKind, Result};
use serde::Deserialize as _;
use serde_json::Value;

use super::check;
use super::compiled::{Compiled, Node, Stop};
use super::decider::{compensations, document, fails, may_have_happened, undo};
use super::document::{OnFailure, Patch};
use super::effects::has_begun;
use super::progress::{Progress, Stand};

/// What follows from what a plan is asked.
pub(super) fn consider(
    state: &RunState,
    progress: &Progress,
    ask: &PlanAsk<'_>,
    tools: Tools<'_>,
) -> Result<PlanChange> {
    match ask {
        PlanAsk::Patch { expected, patch } => self::patch(state, progress, *expected, patch, tools),
        PlanAsk::Break { breakpoint, clear } => stop(progress, breakpoint, *clear),
        PlanAsk::RollBack { target } => roll_back(state, progress, target),
        PlanAsk::Compensate => compensate(state, progress),
    }
}

fn patch(state: &RunState, progress: &Progress, expected: u64, patch: &Value, tools: Tools<'_>) -> Result<PlanChange> {
    let version = state.plan.version();
    if expected != version {
        return conflict(format!(
            "the plan is at version {version} by now, not {expected}: look at it again and edit that"
        ));
    }
    settled(state, progress)?;
    let read = Patch::deserialize(patch).map_err(|error| Error::invalid(format!("the edit does not read: {error}")))?;
    if read.put.is_empty() && read.remove.is_empty() {
        return Err(Error::invalid("the edit changes nothing: name nodes under `put` or `remove`"));
    }
    let touched = read.put.iter().map(|node| node.id.as_str()).chain(read.remove.iter().map(String::as_str));
    for id in touched {
        let number = progress.compiled.numbers.get(id).copied();
        match number.filter(|number| progress.compiled.node(*number).is_some()) {
            Some(number) if is_over(state, progress, number) => {
                return conflict(format!("node {id} has begun, and is not edited any more"));
            }
            None if read.remove.iter().any(|removed| removed == id) => {
                return Err(Error::invalid(format!("there is no node {id:?} to be removed")));
            }
            _ => {}
        }
    }
    let (plan, mut patches) = document(state)?;
    let value = serde_json::to_value(&read).map_err(|error| Error::internal(error.to_string()))?;
    patches.push(read);
    let compiled = Compiled::new(&plan, &patches)?;
    for (number, node) in progress.compiled.present().filter(|(number, _)| is_over(state, progress, *number)) {
        if compiled.node(number).is_none_or(|edited| edited.needs != node.needs) {
            return conflict(format!("by the edit node {} would need something else, and it has begun", node.id));
        }
    }
    let (mut contracts, agents) = check::found(&compiled, tools, 1)?;
    authorised(state, &mut contracts, &agents)?;
    Ok(PlanChange::Patched { patch: value, contracts, agents })
}

/// What the plan calls already it goes on to call under the contract that was pinned. One that
/// was proposed gains nothing by an edit.
fn authorised(
    state: &RunState,
    contracts: &mut BTreeMap<ToolId, ContractHash>,
    agents: &BTreeSet<AgentId>,
) -> Result<()> {
    let Some(created) = &state.created else { return Ok(()) };
    let Subject::Plan { contracts: pinned, agents: known, .. } = &created.subject else { return Ok(()) };
    for (tool, contract) in contracts.iter_mut() {
        if let Some(pin) = pinned.get(tool) {
            *contract = *pin;
        }
    }
    if created.parent.is_none() {
        return Ok(());
    }
    let tools = contracts.keys().filter(|tool| !pinned.contains_key(*tool)).map(ToolId::as_str);
    let more: Vec<&str> = tools.chain(agents.difference(known).map(AgentId::as_str)).collect();
    if more.is_empty() {
        return Ok(());
    }
    let message = format!("the plan was proposed by another run, and gains nothing by an edit: {}", more.join(", "));
    Err(Error::new(ErrorKind::Denied, message))
}

/// Whether a node has begun, or has ended without.
fn is_over(state: &RunState, progress: &Progress, number: u32) -> bool {
    has_begun(state, number) || progress.stands.get(number as usize).is_some_and(Stand::has_ended)
}

/// Nothing is changed while what was done is compensated.
fn settled(state: &RunState, progress: &Progress) -> Result<()> {
    let calls = state.plan.rollbacks.last().map(|rollback| rollback.undo.as_slice()).unwrap_or_default();
    if undo(state, progress, calls, 0).0.is_some() {
        return conflict("the plan is being rolled back: wait until what it did is compensated".to_owned());
    }
    if fails(progress) && progress.unended == 0 {
        return conflict("the plan has failed, and what it did is being compensated".to_owned());
    }
    Ok(())
}

fn conflict<T>(message: String) -> Result<T> {
    Err(Error::new(ErrorKind::Conflict, message))
}

fn stop(progress: &Progress, breakpoint: &Breakpoint, cleared: bool) -> Result<PlanChange> {
    let id = breakpoint.node.as_str();
    let known = progress.compiled.numbers.get(id).is_some_and(|number| progress.compiled.node(*number).is_some());
    if !known && id != "*" {
        return Err(Error::invalid(format!("there is no node {id:?} to stop at; `*` stands for every node")));
    }
    if breakpoint.at == Moment::RolledBack {
        return Err(Error::invalid("a breakpoint stands before, after or on_error"));
    }
    Stop::of(breakpoint.clone())?;
    Ok(PlanChange::Breakpoint { breakpoint: breakpoint.clone(), cleared })
}

fn roll_back(state: &RunState, progress: &Progress, target: &Target) -> Result<PlanChange> {
    let id = |number: u32| progress.compiled.node(number).map_or_else(String::new, |node| node.id.to_string());
    // A wait does nothing.
    let busy = state.pending().filter(|(call, _)| !state.waits.contains_key(call));
    let busy: BTreeMap<u32, &str> =
        busy.filter_map(|(call, known)| Some((call.node()?.node, mend(state, call, known)))).collect();
    if !busy.is_empty() {
        let busy = busy.into_iter().take(8).map(|(number, mend)| format!("{} is under way: {mend}", id(number)));
        let busy: Vec<String> = busy.collect();
        return conflict(format!("{}; or cancel the run, and roll back then", busy.join("; ")));
    }
    let attempt = u32::try_from(state.plan.rollbacks.len() + 1).unwrap_or(u32::MAX);
    let restore = |number: u32| {
        let generation = state.plan.generation(number);
        CallId::Node(NodeCall { node: number, generation, part: NodePart::Undo, item: 0, attempt })
    };
    // What a rollback that was cut off had left is compensated by this one, and memory goes back.
    let last = state.plan.rollbacks.last().map(|last| &last.undo).into_iter().flatten();
    let left: Vec<NodeCall> =
        last.filter(|call| !state.calls.contains_key(*call)).filter_map(|call| call.node()).collect();
    let is_left = |number: u32| left.iter().any(|call| call.node == number);
    let marks = |call: &&NodeCall| progress.compiled.node(call.node).is_some_and(Node::is_checkpoint);
    let mut undo: Vec<CallId> = left.iter().filter(marks).map(|call| CallId::Node(*call)).collect();
    let rollback = match target {
        Target::Start => {
            undo.extend(compensations(state, progress, attempt, |_| true));
            let marked = |number: &&u32| {
                progress.compiled.node(**number).is_some_and(Node::is_checkpoint)
                    && progress.stands[**number as usize] == Stand::Succeeded
            };
            undo.extend(progress.compiled.order.iter().find(marked).map(|number| restore(*number)));
            if undo.is_empty() {
                return Err(Error::invalid("nothing that was done has a compensation, and no checkpoint was reached"));
            }
            Rollback { to: None, nodes: Vec::new(), undo, hold: false, retry: false }
        }
        Target::Node(to) => {
            let number = progress.compiled.numbers.get(to.as_str()).copied();
            let found = number.and_then(|number| Some((number, progress.compiled.node(number)?)));
            let (number, node) =
                found.ok_or_else(|| Error::invalid(format!("there is no node {to:?} to go back to")))?;
            if !progress.stands[number as usize].end().has_ended() {
                return Err(Error::invalid(format!("node {to} has not ended: there is nothing to go back from")));
            }
            let mut nodes: BTreeSet<u32> = if node.is_checkpoint() {
                let kept = progress.compiled.before(number);
                progress.compiled.order.iter().copied().filter(|number| !kept.contains(number)).collect()
            } else {
                progress.compiled.after(number)
            };
            if nodes.is_empty() {
                return Err(Error::invalid(format!("nothing comes after {to}")));
            }
            nodes.extend(taken_back(state, progress));
            undo.extend(compensations(state, progress, attempt, |number| nodes.contains(&number) || is_left(number)));
            if node.is_checkpoint() {
                undo.push(restore(number));
            }
            Rollback { to: Some(to.clone()), nodes: nodes.into_iter().collect(), undo, hold: true, retry: false }
        }
        Target::Failed => {
            let failed = |number: &u32| {
                matches!(progress.stands[*number as usize].end(), Stand::Failed(_)) && has_begun(state, *number)
            };
            let mut nodes: BTreeSet<u32> = progress.compiled.order.iter().copied().filter(failed).collect();
            if nodes.is_empty() {
                return Err(Error::invalid("no node has failed: there is nothing to try again"));
            }
            let ids: Vec<String> = nodes.iter().copied().map(id).collect();
            // Nothing goes on upon what is undone.
            let anew = taken_back(state, progress);
            let retry = anew.is_empty();
            if !retry {
                nodes.extend(anew);
                let of = |number| nodes.contains(&number) || is_left(number);
                undo.extend(compensations(state, progress, attempt, of));
            }
            Rollback { to: Some(ids.join(", ")), nodes: nodes.into_iter().collect(), undo, hold: false, retry }
        }
    };
    Ok(PlanChange::RolledBack(rollback))
}

/// What a plan was told to do when it fails; one that is rolled back whole does it already.
fn compensate(state: &RunState, progress: &Progress) -> Result<PlanChange> {
    if progress.compiled.on_failure != OnFailure::Compensate || state.plan.compensates() {
        return Err(Error::invalid("the plan was not told to compensate what it did"));
    }
    let attempt = u32::try_from(state.plan.rollbacks.len() + 1).unwrap_or(u32::MAX);
    let undo = compensations(state, progress, attempt, |_| true);
    if undo.is_empty() {
        return Err(Error::invalid("nothing that was done has a compensation"));
    }
    Ok(PlanChange::RolledBack(Rollback { to: None, nodes: Vec::new(), undo, hold: false, retry: false }))
}

/// The nodes whose work was compensated in their generation, and everything that needs them.
fn taken_back(state: &RunState, progress: &Progress) -> BTreeSet<u32> {
    let undone = state.calls.iter().filter(|(call, known)| call.is_undo() && may_have_happened(known));
    let present = |call: &NodeCall| {
        let node = progress.compiled.node(call.node);
        call.generation == state.plan.generation(call.node) && node.is_some_and(|node| !node.is_checkpoint())
    };
    let numbers: BTreeSet<u32> =
        undone.filter_map(|(call, _)| call.node()).filter(present).map(|call| call.node).collect();
    numbers.into_iter().flat_map(|number| progress.compiled.after(number)).collect()
}

/// What lets an effect that is under way end.
fn mend(state: &RunState, call: CallId, known: &CallState) -> &'static str {
    match known {
        CallState::Asked(_) => "a person is asked about it, so decide that",
        CallState::Unknown { .. } => "nobody knows whether it happened, so resolve that",
        _ if state.is_elsewhere(call) => "a run of its own performs it, so wait for that",
        _ => "pause the run and let it end",
    }
}
