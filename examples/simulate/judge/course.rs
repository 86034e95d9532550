//! How far a plan came, worked out anew from its journal at every question, by a naive
//! reading: which nodes have ended and how, and what may begin.

use std::collections::{BTreeMap, BTreeSet};

use l9::id::{CallId, NodeCall, NodePart};
use l9::plan::Trigger;
use l9::run::{EffectIntent, Event, Hit, Mode, Moment, Outcome, Rollback, RunForked, Subject, Verdict};

use super::invariant::Invariant;
use super::life::Fault;
use super::plan::Plan;
use super::undoing::node_call;

/// How a node ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Succeeded,
    Failed,
    Skipped,
}

/// How an effect of a node ended, if it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tried {
    UnderWay,
    Done,
    Failed {
        /// Whether it may be tried again.
        again: bool,
        /// Whether it may have taken effect all the same.
        happened: bool,
    },
}

impl Tried {
    pub(super) fn may_have_happened(self) -> bool {
        matches!(self, Self::Done | Self::Failed { happened: true, .. })
    }
}

/// What the tries at an element came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tries {
    /// The next may begin.
    Want(NodeCall),
    UnderWay,
    Ended(End),
}

/// How far a plan came.
#[derive(Debug)]
pub(super) struct Course {
    pub(super) plan: Plan,
    pub(super) calls: BTreeMap<NodeCall, Tried>,
    /// Those that the driver performs, by waiting.
    waits: BTreeSet<NodeCall>,
    /// What the run that this one left had done: not this one's to compensate.
    pub(super) foreign: BTreeSet<NodeCall>,
    /// How often each node was reset, and is tried again within its generation.
    pub(super) generations: BTreeMap<usize, u32>,
    pub(super) rounds: BTreeMap<usize, u32>,
    /// Where it stands, and where it stood and went on.
    pub(super) hits: Vec<Hit>,
    passed: Vec<Hit>,
    pub(super) rollbacks: Vec<Rollback>,
}

impl Course {
    /// That of a run that begins; none if it is no plan's.
    pub(super) fn new(subject: &Subject) -> Option<Self> {
        Some(Self {
            plan: Plan::of(subject)?,
            calls: BTreeMap::new(),
            waits: BTreeSet::new(),
            foreign: BTreeSet::new(),
            generations: BTreeMap::new(),
            rounds: BTreeMap::new(),
            hits: Vec::new(),
            passed: Vec::new(),
            rollbacks: Vec::new(),
        })
    }

    /// Checks one more event.
    pub(super) fn follow(&mut self, event: &Event) -> Result<(), Fault> {
        match event {
            Event::EffectResult(result) => self.end(
                result.call,
                match &result.outcome {
                    Outcome::Ok { .. } => Tried::Done,
                    // A run of its own that failed may be begun again.
                    Outcome::Failed { code, happened, .. } => {
                        Tried::Failed { again: !happened || code.starts_with("child_"), happened: *happened }
                    }
                },
            ),
            Event::EffectDenied(denied) => self.end(denied.call, Tried::Failed { again: false, happened: false }),
            Event::EffectReconciled(decided) => self.end(
                decided.call,
                match decided.verdict {
                    Verdict::Happened { .. } => Tried::Done,
                    Verdict::NotHappened => Tried::Failed { again: true, happened: false },
                    _ => Tried::Failed { again: false, happened: true },
                },
            ),
            Event::BreakpointHit(hit) => self.hits.push(hit.hit.clone()),
            Event::BreakpointReleased(_) => self.release(),
            Event::PlanRolledBack(rolled_back) => self.roll_back(&rolled_back.rollback)?,
            Event::RunClosed(outcome) => self.close(outcome)?,
            _ => {}
        }
        Ok(())
    }

    /// An effect whose end nobody knows or will know.
    pub(super) fn lose(&mut self, call: CallId) {
        self.end(call, Tried::Failed { again: false, happened: true });
    }

    fn end(&mut self, call: CallId, tried: Tried) {
        if let Some(call) = node_call(&call) {
            self.calls.insert(call, tried);
        }
    }

    /// An effect is intended: does the plan want it?
    pub(super) fn intend(&mut self, intent: &EffectIntent, waits: bool) -> Result<(), Fault> {
        let CallId::Node(call) = intent.call else { return Ok(()) };
        let broken = |invariant, why: &str| Err((invariant, format!("{call} began {why}")));
        if self.hits.iter().any(|hit| hit.mode == Mode::Freeze) {
            return broken(Invariant::Gated, "while the plan was frozen");
        }
        if self.calls.contains_key(&call) {
            return Ok(());
        }
        if !self.hits.is_empty() {
            return broken(Invariant::Gated, "while the plan stood at a breakpoint");
        }
        match call.part {
            NodePart::Undo => self.undoes(call)?,
            NodePart::Work | NodePart::Delay => self.begins(call)?,
        }
        self.calls.insert(call, Tried::UnderWay);
        if waits {
            self.waits.insert(call);
        }
        Ok(())
    }

    /// Whether a node may begin what it begins.
    fn begins(&self, call: NodeCall) -> Result<(), Fault> {
        let broken = |invariant, why: &str| Err((invariant, format!("{call} began {why}")));
        let node = call.node as usize;
        if node >= self.plan.nodes.len() || call.generation != self.generation(node) {
            return broken(Invariant::NeedsFirst, "and is of no node's generation");
        }
        if self.is_rolling_back() {
            return broken(Invariant::Compensated, "while the plan was being rolled back");
        }
        let held = self.rollbacks.last().is_some_and(|rollback| rollback.hold);
        if held && !self.has_passed(self.rollbacks.len(), 0, Moment::RolledBack) {
            return broken(Invariant::Gated, "before anybody had the plan go on after its rollback");
        }
        let ends = self.ends();
        if self.triggered(node, &ends) != Some(true) {
            return broken(Invariant::NeedsFirst, &format!("while what it needs had ended as {ends:?}"));
        }
        if self.is_held(node, Moment::Before) {
            return broken(Invariant::Gated, "before the breakpoint before it was released");
        }
        if self.tries(node, call.item) != Tries::Want(call) {
            return broken(Invariant::OneLiveAttempt, "and is not the next try of its node");
        }
        let live = self.calls.iter().filter(|(call, tried)| {
            **tried == Tried::UnderWay && call.generation == self.generation(call.node as usize)
        });
        if live.count() >= self.plan.parallel {
            return broken(Invariant::NeedsFirst, "beside more than the plan has at once");
        }
        match self.plan.nodes[node].elements {
            Some(elements) if call.attempt == 1 => self.element_begins(call, elements),
            _ => Ok(()),
        }
    }

    /// Elements begin in their order, so many at once, and none once one has failed. A fork may
    /// have to begin one anew before others that had ended.
    fn element_begins(&self, call: NodeCall, (count, width): (u32, usize)) -> Result<(), Fault> {
        let node = call.node as usize;
        let begun: Vec<u32> = (0..count).filter(|item| self.has_begun(node, *item)).collect();
        let tries = || begun.iter().map(|item| self.tries(node, *item));
        let failed = tries().any(|tries| tries == Tries::Ended(End::Failed));
        let under_way = tries().filter(|tries| !matches!(tries, Tries::Ended(_))).count();
        let in_order = (0..call.item).all(|item| begun.contains(&item));
        if call.item < count && in_order && under_way < width && !failed {
            return Ok(());
        }
        let what = format!("{call} began out of its turn: {begun:?} had, {under_way} of them under way");
        Err((Invariant::NeedsFirst, what))
    }

    pub(super) fn generation(&self, node: usize) -> u32 {
        self.generations.get(&node).copied().unwrap_or(0)
    }

    fn has_passed(&self, node: usize, generation: u32, at: Moment) -> bool {
        self.passed.iter().any(|hit| (hit.node as usize, hit.generation, hit.at) == (node, generation, at))
    }

    fn first(&self, node: usize, item: u32) -> NodeCall {
        let generation = self.generation(node);
        NodeCall { node: u32::try_from(node).unwrap_or(u32::MAX), generation, part: NodePart::Work, item, attempt: 1 }
    }

    fn has_begun(&self, node: usize, item: u32) -> bool {
        self.calls.contains_key(&self.first(node, item))
    }

    /// Goes through the tries at an element, from the first.
    fn tries(&self, node: usize, item: u32) -> Tries {
        let retry = self.plan.nodes[node].retry;
        let mut rounds = self.rounds.get(&node).copied().unwrap_or(0);
        let (mut call, mut left) = (self.first(node, item), retry.attempts);
        loop {
            match self.calls.get(&call) {
                None => return Tries::Want(call),
                Some(Tried::UnderWay) => return Tries::UnderWay,
                Some(Tried::Done) if call.part == NodePart::Delay => call.part = NodePart::Work,
                Some(Tried::Done) => return Tries::Ended(End::Succeeded),
                Some(Tried::Failed { again, .. }) => {
                    left -= 1;
                    let more = *again && left > 0;
                    if !more && rounds == 0 {
                        return Tries::Ended(End::Failed);
                    }
                    if !more {
                        (rounds, left) = (rounds - 1, retry.attempts);
                    }
                    call.attempt += 1;
                    call.part = if more && retry.backoff_seconds > 0 { NodePart::Delay } else { NodePart::Work };
                }
            }
        }
    }

    /// How the nodes ended that have, whose breakpoints were released.
    pub(super) fn ends(&self) -> Vec<Option<End>> {
        let mut ends = Vec::with_capacity(self.plan.nodes.len());
        for node in 0..self.plan.nodes.len() {
            let end = match self.triggered(node, &ends) {
                Some(true) => self.worked(node),
                Some(false) => Some(End::Skipped),
                None => None,
            };
            ends.push(end.filter(|end| !self.stands_behind(node, *end)));
        }
        ends
    }

    /// Whether a node that waits for nothing more begins.
    fn triggered(&self, node: usize, ends: &[Option<End>]) -> Option<bool> {
        let node = &self.plan.nodes[node];
        let ended: Option<Vec<End>> = node.needs.iter().map(|need| ends.get(*need).copied().flatten()).collect();
        let ended = ended?;
        let any = |end| ended.contains(&end);
        let begins = match node.trigger {
            Trigger::AllSucceeded => ended.iter().all(|end| *end == End::Succeeded),
            Trigger::NoneFailed => !any(End::Failed) && (any(End::Succeeded) || !any(End::Skipped)),
            Trigger::AnySucceeded => any(End::Succeeded),
            Trigger::AnyFailed => any(End::Failed),
            Trigger::AllDone => true,
        };
        let left_out = node.left_out_by.iter().any(|branch| ends[*branch] == Some(End::Succeeded));
        Some(begins && node.wanted && !left_out)
    }

    /// What a node's own work came to.
    fn worked(&self, node: usize) -> Option<End> {
        let of = &self.plan.nodes[node];
        if of.branch {
            return (!self.is_held(node, Moment::Before)).then_some(End::Succeeded);
        }
        let Some((count, _)) = of.elements else {
            return match self.tries(node, 0) {
                Tries::Ended(end) => Some(end),
                _ => None,
            };
        };
        let items: Vec<(bool, Tries)> =
            (0..count).map(|item| (self.has_begun(node, item), self.tries(node, item))).collect();
        let open = |(begun, tries): &(bool, Tries)| *begun && !matches!(tries, Tries::Ended(_));
        if items.iter().any(open) {
            return None;
        }
        if items.iter().any(|(_, tries)| *tries == Tries::Ended(End::Failed)) {
            return Some(End::Failed);
        }
        let gated = count == 0 && self.is_held(node, Moment::Before);
        (items.iter().all(|(begun, _)| *begun) && !gated).then_some(End::Succeeded)
    }

    /// Whether a node that ended stands at a breakpoint, and nothing that needs it went on.
    fn stands_behind(&self, node: usize, end: End) -> bool {
        let at = match end {
            End::Succeeded => Moment::After,
            End::Failed => Moment::OnError,
            End::Skipped => return false,
        };
        let went_on = |other: &usize| {
            let of = |call: &NodeCall| (call.node as usize, call.generation) == (*other, self.generation(*other));
            *other != node && self.calls.keys().any(of)
        };
        self.is_held(node, at) && !self.plan.after(node).iter().any(went_on)
    }

    /// Whether a node stands at a breakpoint that nobody has released.
    fn is_held(&self, node: usize, at: Moment) -> bool {
        self.plan.stops(node, at) && !self.has_passed(node, self.generation(node), at)
    }

    /// What is under way other than waits.
    pub(super) fn busy(&self) -> impl Iterator<Item = &NodeCall> {
        let busy = |(call, tried): &(&NodeCall, &Tried)| **tried == Tried::UnderWay && !self.waits.contains(*call);
        self.calls.iter().filter(busy).map(|(call, _)| call)
    }

    /// The run left another: what was `lost` was under way there and may have happened, what
    /// is `gone` begins anew here.
    pub(super) fn fork(&mut self, forked: &RunForked, lost: &[CallId], gone: &[CallId]) -> Result<(), Fault> {
        for call in gone.iter().filter_map(node_call) {
            self.calls.remove(&call);
        }
        lost.iter().for_each(|call| self.lose(*call));
        forked.edits.keys().for_each(|call| self.end(*call, Tried::Done));
        match &forked.rollback {
            Some(rollback) => self.roll_back(rollback),
            None => {
                self.foreign = self.calls.keys().copied().collect();
                // What a rollback had not come to is the parent's to compensate.
                let known = |call: &CallId| node_call(call).is_some_and(|call| self.calls.contains_key(&call));
                self.rollbacks.iter_mut().for_each(|rollback| rollback.undo.retain(known));
                Ok(())
            }
        }
    }

    /// Whatever the plan stood at, it goes on from here.
    pub(super) fn release(&mut self) {
        self.passed.append(&mut self.hits);
    }
}
