//! What a plan that runs is asked: edits, breakpoints, rollbacks.

use std::collections::BTreeSet;

use l9_core::id::{CallId, NodeCall, NodePart};
use l9_core::plan::{PlanAsk, PlanChange, Target};
use l9_core::run::{Breakpoint, Moment, Rollback, RunState, Tools};
use l9_core::{Error, ErrorKind, Result};
use serde::Deserialize as _;
use serde_json::Value;

use super::check;
use super::compiled::{Compiled, Node, Stop};
use super::decider::{compensations, document};
use super::document::Patch;
use super::progress::{Progress, Stand};

/// What follows from what a plan is asked.
pub(super) fn consider(state: &RunState, progress: &Progress, ask: &PlanAsk<'_>, tools: Tools<'_>) -> Result<PlanChange> {
    match ask {
        PlanAsk::Patch { expected, patch } => self::patch(state, progress, *expected, patch, tools),
        PlanAsk::Break { breakpoint, clear } => stop(progress, breakpoint, *clear),
        PlanAsk::RollBack { target } => roll_back(state, progress, target),
    }
}

fn patch(state: &RunState, progress: &Progress, expected: u64, patch: &Value, tools: Tools<'_>) -> Result<PlanChange> {
    let version = state.plan.version();
    if expected != version {
        let message = format!("the plan is at version {version} by now, not {expected}: look at it again and edit that");
        return Err(Error::new(ErrorKind::Conflict, message));
    }
    let read = Patch::deserialize(patch).map_err(|error| Error::invalid(format!("the edit does not read: {error}")))?;
    if read.put.is_empty() && read.remove.is_empty() {
        return Err(Error::invalid("the edit changes nothing: name nodes under `put` or `remove`"));
    }
    let touched = read.put.iter().map(|node| node.id.as_str()).chain(read.remove.iter().map(String::as_str));
    for id in touched {
        let number = progress.compiled.numbers.get(id).copied();
        match number.filter(|number| progress.compiled.node(*number).is_some()) {
            Some(number) if has_begun(state, progress, number) => {
                return Err(Error::new(ErrorKind::Conflict, format!("node {id} has begun, and is not edited any more")));
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
    let (contracts, agents) = check::found(&compiled, tools, 1)?;
    Ok(PlanChange::Patched { patch: value, contracts, agents })
}

/// Whether a node has begun, or has ended without.
fn has_begun(state: &RunState, progress: &Progress, number: u32) -> bool {
    let at = |attempt| NodeCall { node: number, generation: state.plan.generation(number), part: NodePart::Work, item: 0, attempt };
    let first = CallId::Node(at(0));
    let begun = state.calls.range(first..).next().is_some_and(|(call, _)| {
        matches!(call, CallId::Node(call) if (call.node, call.generation) == (number, at(0).generation))
    });
    begun || progress.stands.get(number as usize).is_some_and(Stand::has_ended)
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
    if !progress.is_idle() {
        let busy = progress.busy();
        let busy: Vec<&str> = busy.iter().take(8).filter_map(|number| Some(&*progress.compiled.node(*number)?.id)).collect();
        let message = format!("{} is under way: pause the run and let it end, or cancel the run, and roll back then", busy.join(", "));
        return Err(Error::new(ErrorKind::Conflict, message));
    }
    let attempt = u32::try_from(state.plan.rollbacks.len() + 1).unwrap_or(u32::MAX);
    let restore = |number: u32| {
        let generation = state.plan.generation(number);
        CallId::Node(NodeCall { node: number, generation, part: NodePart::Undo, item: 0, attempt })
    };
    let rollback = match target {
        Target::Start => {
            let mut undo = compensations(state, progress, attempt, |_| true);
            let marked = |number: &&u32| {
                progress.compiled.node(**number).is_some_and(Node::is_checkpoint)
                    && progress.stands[**number as usize] == Stand::Succeeded
            };
            undo.extend(progress.compiled.order.iter().find(marked).map(|number| restore(*number)));
            if undo.is_empty() {
                return Err(Error::invalid("nothing that was done has a compensation, and no checkpoint was reached"));
            }
            Rollback { to: None, nodes: Vec::new(), undo, hold: false }
        }
        Target::Node(id) => {
            let number = progress.compiled.numbers.get(id.as_str()).copied();
            let found = number.and_then(|number| Some((number, progress.compiled.node(number)?)));
            let (number, node) = found.ok_or_else(|| Error::invalid(format!("there is no node {id:?} to go back to")))?;
            if !progress.stands[number as usize].has_ended() {
                return Err(Error::invalid(format!("node {id} has not ended: there is nothing to go back from")));
            }
            let nodes: BTreeSet<u32> = if node.is_checkpoint() {
                let kept = progress.compiled.before(number);
                progress.compiled.order.iter().copied().filter(|number| !kept.contains(number)).collect()
            } else {
                progress.compiled.after(number)
            };
            let mut undo = compensations(state, progress, attempt, |number| nodes.contains(&number));
            if node.is_checkpoint() {
                undo.push(restore(number));
            }
            if nodes.is_empty() {
                return Err(Error::invalid(format!("nothing comes after {id}")));
            }
            Rollback { to: Some(id.clone()), nodes: nodes.into_iter().collect(), undo, hold: true }
        }
        Target::Failed => {
            let failed = |number: &u32| matches!(progress.stands[*number as usize], Stand::Failed(_));
            let failed: Vec<u32> = progress.compiled.order.iter().copied().filter(failed).collect();
            if failed.is_empty() {
                return Err(Error::invalid("no node has failed: there is nothing to try again"));
            }
            let nodes: BTreeSet<u32> = failed.iter().flat_map(|number| progress.compiled.after(*number)).collect();
            let ids: Vec<&str> = failed.iter().filter_map(|number| Some(&*progress.compiled.node(*number)?.id)).collect();
            Rollback { to: Some(ids.join(", ")), nodes: nodes.into_iter().collect(), undo: Vec::new(), hold: false }
        }
    };
    Ok(PlanChange::RolledBack(rollback))
}
