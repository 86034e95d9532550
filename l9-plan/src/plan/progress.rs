//! How far a plan has come, from its run's state: what has ended, what may begin. It is kept
//! between questions only to save work, and can be made anew from the state at any time.

mod items;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use l9_core::Result;
use l9_core::id::{CallId, NodeCall, NodePart};
use l9_core::run::{Call, Hit, Mode, Moment, RunState};
use serde_json::{Value, json};

use super::compiled::{Compiled, Effect, Kind, Node, Stop};
use super::condition::Condition;
use super::document::Trigger;
use super::effects::{End, Why, ended, first, has_begun, worked};
use super::said::{Values, say};
use super::template::kind_of;
use items::Items;

/// How one node stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Stand {
    /// It waits for this many.
    Pending(u32),
    /// It may begin, or is under way.
    Open,
    /// It stands at a breakpoint: before it, or after it ended so.
    Stopped(Option<Box<Stand>>),
    Succeeded,
    /// Code and message.
    Failed(Why),
    Skipped,
}

impl Stand {
    pub(super) fn has_ended(&self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed(_) | Self::Skipped)
    }

    /// How the node ended, whether or not it stands at a breakpoint since.
    pub(super) fn end(&self) -> &Self {
        match self {
            Self::Stopped(Some(end)) => end,
            stand => stand,
        }
    }
}

/// How far a plan has come.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) compiled: Arc<Compiled>,
    /// As of how many things that it was asked.
    changes: u64,
    /// How many settled effects were seen.
    seen: usize,
    pub(super) stands: Vec<Stand>,
    /// The way that a branch took, if a condition of one was true.
    ways: HashMap<u32, Option<usize>>,
    items: BTreeMap<u32, Items>,
    /// What may begin, in the order of the document whatever came about first, so that only the
    /// state decides: what is a run of its own, and the rest.
    children: BTreeSet<CallId>,
    ready: BTreeSet<CallId>,
    /// What was said to be wanted, as it was said, and may have begun.
    offered: BTreeMap<CallId, Call>,
    /// What is under way.
    live: HashSet<CallId>,
    live_children: usize,
    /// Where it must stop first.
    pub(super) hits: BTreeSet<Hit>,
    stops: HashMap<String, Vec<Stop>>,
    pub(super) unended: usize,
    /// How many compensations of the newest rollback are known to have ended.
    pub(super) undone: usize,
    /// How many of those after a failure are.
    pub(super) compensated: usize,
    /// What is compensated after a failure.
    pub(super) compensations: Option<Arc<[CallId]>>,
}

impl Progress {
    /// How far a plan has come by a state.
    pub(super) fn new(compiled: Arc<Compiled>, state: &RunState) -> Self {
        let pending = |node: &Option<Node>| match node {
            Some(node) => Stand::Pending(u32::try_from(node.needs.len()).unwrap_or(u32::MAX)),
            None => Stand::Skipped,
        };
        let stands: Vec<Stand> = compiled.nodes.iter().map(pending).collect();
        // What somebody set or cleared goes before what the plan says of the same place.
        let set: HashSet<(&str, Moment)> =
            state.plan.breakpoints.iter().map(|(set, _)| (set.node.as_str(), set.at)).collect();
        let said =
            compiled.stops.iter().filter(|stop| !set.contains(&(stop.breakpoint.node.as_str(), stop.breakpoint.at)));
        let given = state.plan.breakpoints.iter().filter(|(_, stands)| *stands);
        let mut stops: HashMap<String, Vec<Stop>> = HashMap::new();
        for stop in said.cloned().chain(given.filter_map(|(stop, _)| Stop::of(stop.clone()).ok())) {
            stops.entry(stop.breakpoint.node.clone()).or_default().push(stop);
        }
        let unended = stands.iter().filter(|stand| !stand.has_ended()).count();
        let mut progress = Self {
            compiled,
            changes: state.plan.changes,
            seen: state.settled().len(),
            stands,
            ways: HashMap::new(),
            items: BTreeMap::new(),
            children: BTreeSet::new(),
            ready: BTreeSet::new(),
            offered: BTreeMap::new(),
            live: HashSet::new(),
            live_children: 0,
            hits: BTreeSet::new(),
            stops,
            unended,
            undone: 0,
            compensated: 0,
            compensations: None,
        };
        let waits = |number: &u32| progress.stands[*number as usize] == Stand::Pending(0);
        let roots: Vec<u32> = progress.compiled.order.iter().copied().filter(waits).collect();
        progress.weigh(state, roots);
        progress
    }

    /// Whether it must be made anew: something was asked of the plan since, or the state is not
    /// one that follows.
    pub(super) fn is_stale(&self, state: &RunState) -> bool {
        self.changes != state.plan.changes || self.seen > state.settled().len()
    }

    /// Takes what was settled since.
    pub(super) fn follow(&mut self, state: &RunState) {
        // What has not begun is still wanted, however often that is asked.
        let begun: Vec<CallId> = self.offered.keys().filter(|call| state.calls.contains_key(call)).copied().collect();
        for call in begun {
            self.offered.remove(&call);
            self.queue(call).remove(&call);
            self.begun(call);
        }
        // Somebody was asked about it, and it begins once there is room.
        let decided: Vec<CallId> = state.decided().filter(|call| self.live.contains(call)).collect();
        for call in decided {
            self.over(call);
            self.queue(call).insert(call);
        }
        let settled = state.settled()[self.seen..].to_vec();
        self.seen = state.settled().len();
        for call in settled {
            if self.live.contains(&call)
                && let CallId::Node(ended) = call
            {
                self.take(state, ended);
            }
        }
    }

    /// What may begin now, as many as may be under way at once; `children` of them as runs of
    /// their own at most.
    pub(super) fn next(&mut self, state: &RunState, children: usize) -> Result<Vec<Call>> {
        let free = self.compiled.parallel.saturating_sub(self.live.len());
        let few = free.min(children.saturating_sub(self.live_children));
        let mut wanted: Vec<CallId> = self.children.iter().take(few).copied().collect();
        let rest = free - wanted.len();
        wanted.extend(self.ready.iter().take(rest));
        for call in &wanted {
            if let CallId::Node(node) = *call
                && !self.offered.contains_key(call)
            {
                let said = say(self, state, node)?;
                self.offered.insert(*call, said);
            }
        }
        Ok(wanted.iter().filter_map(|call| self.offered.get(call).cloned()).collect())
    }

    fn queue(&mut self, call: CallId) -> &mut BTreeSet<CallId> {
        if self.is_child(call) { &mut self.children } else { &mut self.ready }
    }

    fn is_child(&self, call: CallId) -> bool {
        let CallId::Node(NodeCall { node, part: NodePart::Work, .. }) = call else { return false };
        self.compiled.node(node).and_then(Node::effect).is_some_and(Effect::is_child)
    }

    fn begun(&mut self, call: CallId) {
        if self.live.insert(call) {
            self.live_children += usize::from(self.is_child(call));
        }
    }

    fn over(&mut self, call: CallId) {
        if self.live.remove(&call) {
            self.live_children -= usize::from(self.is_child(call));
        }
    }

    /// Looks at nodes that wait for nothing any more, and at those that follow.
    fn weigh(&mut self, state: &RunState, mut open: Vec<u32>) {
        open.reverse();
        while let Some(number) = open.pop() {
            if self.begin(state, number) {
                self.spread(number, &mut open);
            }
        }
    }

    /// Tells what needs a node that it has ended.
    fn spread(&mut self, number: u32, open: &mut Vec<u32>) {
        let compiled = Arc::clone(&self.compiled);
        for other in compiled.node(number).iter().flat_map(|node| node.needed_by.iter().rev()) {
            if let Stand::Pending(left) = &mut self.stands[*other as usize] {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    open.push(*other);
                }
            }
        }
    }

    /// A node waits for nothing any more; tells whether that was its end.
    fn begin(&mut self, state: &RunState, number: u32) -> bool {
        let compiled = Arc::clone(&self.compiled);
        let Some(node) = compiled.node(number) else { return false };
        if !self.triggered(node, number) {
            return self.end(number, Stand::Skipped);
        }
        match node.when.as_ref().map(|when| when.holds(&Values::now(self, state))) {
            Some(Ok(false)) => return self.end(number, Stand::Skipped),
            Some(Err(error)) => return self.fail(state, number, "condition", error.message().to_owned()),
            Some(Ok(true)) | None => {}
        }
        if !has_begun(state, number) && self.stops_at(state, number, Moment::Before) {
            self.stands[number as usize] = Stand::Stopped(None);
            return false;
        }
        match &node.kind {
            Kind::Branch(ways) => match taken(ways, &Values::now(self, state)) {
                Ok(way) => {
                    self.ways.insert(number, way);
                    self.succeed(state, number)
                }
                Err(error) => self.fail(state, number, "condition", error.message().to_owned()),
            },
            Kind::Call(_) => match &node.map {
                None => {
                    self.stands[number as usize] = Stand::Open;
                    self.trace(state, first(state, number, 0)).is_some_and(|end| self.close(state, number, end))
                }
                Some(map) => match map.0.fill(&Values::now(self, state)) {
                    Ok(Value::Array(list)) => {
                        self.stands[number as usize] = Stand::Open;
                        self.items.insert(number, Items::of(list));
                        self.more(state, number)
                    }
                    Ok(other) => {
                        let kind = kind_of(&other);
                        self.fail(state, number, "map", format!("map.over is {kind}, and must be a list"))
                    }
                    Err(error) => self.fail(state, number, "map", format!("map.over: {}", error.message())),
                },
            },
        }
    }

    /// Goes through the tries at an effect from the first on, up to one that is under way or has
    /// not begun; gives the end of the last otherwise.
    fn trace(&mut self, state: &RunState, first: NodeCall) -> Option<End> {
        let compiled = Arc::clone(&self.compiled);
        let node = compiled.node(first.node)?;
        // Somebody may have had it tried again after its last try, and that again.
        let mut rounds = state.plan.retried.get(&first.node).copied().unwrap_or(0);
        let (mut next, mut left) = (first, node.retry.attempts);
        loop {
            let call = CallId::Node(next);
            let Some(known) = state.calls.get(&call) else {
                return match say(self, state, next) {
                    Ok(said) => {
                        self.queue(call).insert(call);
                        // A few are wanted next, and need not be said again.
                        if self.offered.len() < self.compiled.parallel {
                            self.offered.insert(call, said);
                        }
                        None
                    }
                    Err(error) => Some(Err(Box::new(("reference".to_owned(), error.message().to_owned())))),
                };
            };
            if !known.is_settled() {
                self.begun(call);
                return None;
            }
            let (why, again) = match (next.part, ended(state, node, known)) {
                (NodePart::Delay, Ok(())) => {
                    next.part = NodePart::Work;
                    continue;
                }
                (_, Ok(())) => return Some(Ok(())),
                (_, Err(failed)) => failed,
            };
            left -= 1;
            if !again || left == 0 {
                if rounds == 0 {
                    return Some(Err(why));
                }
                (rounds, left) = (rounds - 1, node.retry.attempts);
                next = NodeCall { part: NodePart::Work, attempt: next.attempt + 1, ..next };
            } else {
                let part = if node.retry.backoff_seconds == 0 { NodePart::Work } else { NodePart::Delay };
                next = NodeCall { part, attempt: next.attempt + 1, ..next };
            }
        }
    }

    /// An effect that was under way was settled.
    fn take(&mut self, state: &RunState, ended: NodeCall) {
        self.over(CallId::Node(ended));
        let number = ended.node;
        let Some(end) = self.trace(state, first(state, number, ended.item)) else { return };
        let ended = if self.items.contains_key(&number) {
            self.element_ended(state, number, ended.item, end);
            self.more(state, number)
        } else {
            self.close(state, number, end)
        };
        if ended {
            let mut open = Vec::new();
            self.spread(number, &mut open);
            open.reverse();
            self.weigh(state, open);
        }
    }

    /// All of a node's effects have ended; tells whether the node has.
    fn close(&mut self, state: &RunState, number: u32, end: End) -> bool {
        match end {
            Ok(()) => self.succeed(state, number),
            Err(why) => {
                let (code, message) = *why;
                self.fail(state, number, &code, message)
            }
        }
    }

    fn succeed(&mut self, state: &RunState, number: u32) -> bool {
        self.stands[number as usize] = Stand::Succeeded;
        self.end_or_stop(state, number, Moment::After)
    }

    fn fail(&mut self, state: &RunState, number: u32, code: &str, message: String) -> bool {
        self.stands[number as usize] = Stand::Failed(Box::new((code.to_owned(), message)));
        self.end_or_stop(state, number, Moment::OnError)
    }

    fn end_or_stop(&mut self, state: &RunState, number: u32, at: Moment) -> bool {
        let stand = self.stands[number as usize].clone();
        if self.stops_at(state, number, at) && !self.went_on(state, number) {
            self.stands[number as usize] = Stand::Stopped(Some(Box::new(stand)));
            return false;
        }
        self.end(number, stand)
    }

    /// Whether something that needs a node has begun, however far.
    fn went_on(&mut self, state: &RunState, number: u32) -> bool {
        let began = self.compiled.after(number).into_iter().any(|other| other != number && has_begun(state, other));
        if began {
            self.hits.retain(|hit| hit.node != number);
        }
        began
    }

    fn end(&mut self, number: u32, stand: Stand) -> bool {
        self.stands[number as usize] = stand;
        self.unended -= 1;
        true
    }

    /// Whether what a node needs ended as it must have.
    fn triggered(&self, node: &Node, number: u32) -> bool {
        let (mut succeeded, mut failed, mut skipped) = (0, 0, 0);
        for need in &node.needs {
            if let Some(Node { kind: Kind::Branch(ways), .. }) = self.compiled.node(*need)
                && self.stands[*need as usize] == Stand::Succeeded
                && ways.iter().any(|(_, nodes)| nodes.contains(&number))
            {
                let taken = self.ways.get(need).and_then(|way| ways.get((*way)?));
                if !taken.is_some_and(|(_, nodes)| nodes.contains(&number)) {
                    return false;
                }
            }
            match self.stands[*need as usize] {
                Stand::Succeeded => succeeded += 1,
                Stand::Failed(_) => failed += 1,
                _ => skipped += 1,
            }
        }
        match node.trigger {
            Trigger::AllSucceeded => failed + skipped == 0,
            Trigger::NoneFailed => failed == 0 && (succeeded > 0 || skipped == 0),
            Trigger::AnySucceeded => succeeded > 0,
            Trigger::AnyFailed => failed > 0,
            Trigger::AllDone => true,
        }
    }

    /// Whether a breakpoint stands there that was not released; it is hit then.
    fn stops_at(&mut self, state: &RunState, number: u32, at: Moment) -> bool {
        let Some(node) = self.compiled.node(number) else { return false };
        let here = [&*node.id, "*"].into_iter().filter_map(|id| self.stops.get(id)).flatten();
        // A condition that cannot be judged stops: nobody misses a breakpoint by a slip.
        let holds = |stop: &&Stop| {
            let values = Values::now(self, state);
            stop.when.as_ref().is_none_or(|when| when.holds(&values).unwrap_or(true))
        };
        let Some(mode) =
            here.filter(|stop| stop.breakpoint.at == at).filter(holds).map(|stop| stop.breakpoint.mode).max()
        else {
            return false;
        };
        let (generation, id) = (state.plan.generation(number), node.id.to_string());
        let hit = |mode| Hit { node: number, generation, at, id: id.clone(), mode };
        let modes = [Mode::Drain, Mode::Freeze];
        if modes.into_iter().any(|mode| state.plan.passed.contains(&hit(mode))) {
            return false;
        }
        if !modes.into_iter().any(|mode| state.plan.hits.contains(&hit(mode))) {
            self.hits.insert(hit(mode));
        }
        true
    }

    /// What a node gave: a list of one that goes through a list; `error` of one that failed.
    pub(super) fn output<'a>(&'a self, state: &'a RunState, number: u32) -> Cow<'a, Value> {
        match &self.stands[number as usize] {
            Stand::Failed(why) => Cow::Owned(json!({"error": {"code": why.0, "message": why.1}})),
            _ => match self.ways.get(&number) {
                Some(way) => Cow::Owned(json!({"way": way})),
                None => self.gave(state, number, state.plan.generation(number)),
            },
        }
    }

    /// What a node gave in a generation.
    pub(super) fn gave<'a>(&self, state: &'a RunState, number: u32, generation: u32) -> Cow<'a, Value> {
        if self.compiled.node(number).is_some_and(|node| node.map.is_none()) {
            let last = worked(state, number, generation).last();
            return last.map_or(Cow::Owned(Value::Null), |(_, value)| Cow::Borrowed(value));
        }
        let elements: BTreeMap<u32, &Value> = worked(state, number, generation).collect();
        Cow::Owned(elements.into_values().cloned().collect())
    }
}

/// The first way of a branch whose condition is true.
fn taken(ways: &[(Option<Condition>, Vec<u32>)], values: &Values<'_>) -> Result<Option<usize>> {
    for (place, (when, _)) in ways.iter().enumerate() {
        if when.as_ref().map_or(Ok(true), |when| when.holds(values))? {
            return Ok(Some(place));
        }
    }
    Ok(None)
}
