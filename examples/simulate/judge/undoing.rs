//! Compensations of a plan, after a failure or by a rollback: of what was done and nothing
//! else, once, the last first; and the end of a plan.

use std::collections::BTreeSet;

use l9::id::{CallId, NodeCall, NodePart};
use l9::run::{Rollback, RunOutcome, Stored};

use super::course::{Course, End, Tried};
use super::invariant::Invariant;
use super::life::Fault;

/// The effect of a node, if it is one's.
pub(super) fn node_call(call: &CallId) -> Option<NodeCall> {
    match call {
        CallId::Node(call) => Some(*call),
        _ => None,
    }
}

impl Course {
    /// Whether compensations of the newest rollback have not ended.
    pub(super) fn is_rolling_back(&self) -> bool {
        self.rollbacks.last().is_some_and(|rollback| !rollback.undo.iter().all(|call| self.has_settled(call)))
    }

    fn has_settled(&self, call: &CallId) -> bool {
        let tried = node_call(call).and_then(|call| self.calls.get(&call));
        tried.is_some_and(|tried| *tried != Tried::UnderWay)
    }

    /// The compensations that are owed: of all that nodes within `scope` did, in any of their
    /// generations, and that no other than this try of them has undone.
    fn owed(&self, attempt: u32, scope: impl Fn(usize) -> bool) -> BTreeSet<NodeCall> {
        let elements = self.calls.iter().filter(|(call, tried)| {
            let node = call.node as usize;
            call.part == NodePart::Work
                && tried.may_have_happened()
                && !self.foreign.contains(call)
                && scope(node)
                && self.plan.nodes[node].undo
        });
        let undo = elements.map(|(call, _)| NodeCall { part: NodePart::Undo, attempt, ..*call });
        let undone = |undo: &NodeCall| {
            let all = NodeCall { attempt: 0, ..*undo }..=NodeCall { attempt: u32::MAX, ..*undo };
            self.calls.range(all).any(|(call, tried)| call.attempt != attempt && tried.may_have_happened())
        };
        undo.filter(|undo| !undone(undo)).collect()
    }

    /// Whether one compensation must go before another: it is of something that needs the
    /// other, or of what the same node did later.
    fn goes_before(&self, one: NodeCall, other: NodeCall) -> bool {
        if one.node == other.node {
            return (one.generation, one.item) > (other.generation, other.item);
        }
        self.plan.after(other.node as usize).contains(&(one.node as usize))
    }

    /// A compensation begins.
    pub(super) fn undoes(&self, undo: NodeCall) -> Result<(), Fault> {
        let broken = |why: &str| Err((Invariant::Compensated, format!("{undo} began {why}")));
        let this = CallId::Node(undo);
        if undo.attempt > 0 {
            let listed = self.rollbacks.last().filter(|_| undo.attempt as usize == self.rollbacks.len());
            let before = listed
                .and_then(|rollback| Some(&rollback.undo[..rollback.undo.iter().position(|call| *call == this)?]));
            return match before {
                None => broken("and no rollback names it"),
                Some(before) if !before.iter().all(|call| self.has_settled(call)) => broken("before its turn"),
                Some(_) if !self.owed(undo.attempt, |_| true).contains(&undo) => broken("for nothing that was done"),
                Some(_) => Ok(()),
            };
        }
        let ends = self.ends();
        if !self.plan.compensates || !self.has_failed(&ends) {
            return broken("and the plan has not failed, or keeps what was done");
        }
        if ends.contains(&None) {
            return broken("before everything had ended");
        }
        let owed = self.owed(0, |_| true);
        if !owed.contains(&undo) {
            return broken("for nothing that was done");
        }
        match owed.iter().find(|other| self.goes_before(**other, undo) && !self.has_settled(&CallId::Node(**other))) {
            Some(other) => broken(&format!("before {other} had")),
            None => Ok(()),
        }
    }

    /// Whether a node failed whose failure is the plan's.
    fn has_failed(&self, ends: &[Option<End>]) -> bool {
        self.plan.nodes.iter().zip(ends).any(|(node, end)| !node.optional && *end == Some(End::Failed))
    }

    /// What was compensated in its generation, and everything that needs it.
    fn taken_back(&self) -> BTreeSet<usize> {
        let undone = self.calls.iter().filter(|(call, tried)| {
            let generation = self.generations.get(&(call.node as usize)).copied().unwrap_or_default();
            call.part == NodePart::Undo && call.generation == generation && tried.may_have_happened()
        });
        undone.flat_map(|(call, _)| self.plan.after(call.node as usize)).collect()
    }

    /// The plan is rolled back: what it compensates, and in which order.
    pub(super) fn roll_back(&mut self, rollback: &Rollback) -> Result<(), Fault> {
        let broken = |why: &str| Err((Invariant::Compensated, format!("a rollback of {:?} {why}", rollback.undo)));
        if let Some(call) = self.busy().next() {
            return broken(&format!("began while {call} was under way"));
        }
        let attempt = u32::try_from(self.rollbacks.len() + 1).unwrap_or(u32::MAX);
        let nodes: BTreeSet<usize> = rollback.nodes.iter().map(|node| *node as usize).collect();
        let numbers = || rollback.to.iter().flat_map(|to| to.split(", ")).filter_map(|id| self.plan.number(id));
        let anew = self.taken_back();
        let resets = |named: BTreeSet<usize>| named.union(&anew).copied().collect::<BTreeSet<usize>>();
        let wanted = match (rollback.retry, rollback.hold) {
            // What failed is tried again, upon what is done anew.
            (true, _) if !anew.is_empty() => return broken("goes on upon what is undone"),
            (true, _) => nodes.clone(),
            (false, true) => resets(numbers().flat_map(|from| self.plan.after(from)).collect()),
            (false, false) if nodes.is_empty() => BTreeSet::new(),
            (false, false) => resets(numbers().collect()),
        };
        if wanted != nodes {
            return broken(&format!("resets {nodes:?}, where {wanted:?} must begin anew"));
        }
        let left = self.rollbacks.last().into_iter().flat_map(|last| &last.undo).filter_map(node_call);
        let left = left.filter(|call| !self.calls.contains_key(call)).map(|call| call.node as usize);
        let scope: BTreeSet<usize> = nodes.iter().copied().chain(left).collect();
        let owed = match rollback.retry {
            true => BTreeSet::new(),
            false => self.owed(attempt, |node| nodes.is_empty() || scope.contains(&node)),
        };
        let undo: Vec<NodeCall> = rollback.undo.iter().filter_map(node_call).collect();
        if undo.len() != rollback.undo.len() || undo.iter().copied().collect::<BTreeSet<_>>() != owed {
            return broken(&format!("where {owed:?} is owed"));
        }
        let late =
            |(place, call): (usize, &NodeCall)| undo[..place].iter().any(|other| self.goes_before(*call, *other));
        if undo.iter().enumerate().any(late) {
            return broken("is out of order");
        }
        self.release();
        for node in nodes {
            if rollback.retry {
                *self.rounds.entry(node).or_default() += 1;
            } else {
                *self.generations.entry(node).or_default() += 1;
                self.rounds.remove(&node);
            }
        }
        self.rollbacks.push(rollback.clone());
        Ok(())
    }

    /// The plan ends: by itself only when everything has.
    pub(super) fn close(&self, outcome: &RunOutcome) -> Result<(), Fault> {
        let failed = match outcome {
            RunOutcome::Failed { code, .. } if code != "deadline" => true,
            RunOutcome::Succeeded { .. } => false,
            // Somebody or its deadline cut it off.
            _ => return Ok(()),
        };
        if self.is_rolling_back() {
            return Err((Invariant::Compensated, "the plan ended before it was rolled back".to_owned()));
        }
        if let Some(rollback) = self.rollbacks.last().filter(|rollback| rollback.to.is_none()) {
            let done = |call: NodeCall| self.calls.get(&call) == Some(&Tried::Done);
            if failed || rollback.undo.iter().all(|call| node_call(call).is_some_and(done)) {
                return Ok(());
            }
            return Err((Invariant::Compensated, "the plan says that it was rolled back, and was not".to_owned()));
        }
        let ends = self.ends();
        if ends.contains(&None) || !self.hits.is_empty() {
            return Err((Invariant::AllEnded, format!("the plan ended when its nodes had as {ends:?}")));
        }
        if failed != self.has_failed(&ends) {
            return Err((
                Invariant::AllEnded,
                format!("the plan ended as {outcome:?} where its nodes had as {ends:?}"),
            ));
        }
        let owed = self.owed(0, |_| failed && self.plan.compensates);
        if let Some(undo) = owed.into_iter().find(|undo| !self.has_settled(&CallId::Node(*undo))) {
            return Err((Invariant::Compensated, format!("the plan ended without {undo}")));
        }
        self.answered(outcome, &ends)
    }

    /// A plan that does not say what it answers tells what its last nodes gave.
    fn answered(&self, outcome: &RunOutcome, ends: &[Option<End>]) -> Result<(), Fault> {
        let RunOutcome::Succeeded { answer: Stored::Inline(answer), .. } = outcome else { return Ok(()) };
        let needed = |node: usize| self.plan.nodes.iter().any(|other| other.needs.contains(&node));
        let last = |node: &usize| !needed(*node) && ends[*node] == Some(End::Succeeded);
        let expected: BTreeSet<&str> =
            (0..ends.len()).filter(last).map(|node| self.plan.nodes[node].id.as_str()).collect();
        let told: BTreeSet<&str> = answer.as_object().into_iter().flatten().map(|(id, _)| id.as_str()).collect();
        if self.plan.answers || told == expected {
            return Ok(());
        }
        Err((Invariant::AllEnded, format!("the plan answers for {told:?} where {expected:?} succeeded last")))
    }
}
