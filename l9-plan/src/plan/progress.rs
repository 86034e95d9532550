//! How far a plan has come, from its run's state: what has ended, what may begin. It is kept
//! between questions only to save work, and can be made anew from the state at any time.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use l9_core::id::{CallId, NodeCall, NodePart};
use l9_core::run::{CallState, Hit, Mode, Moment, Outcome, Rollback, RunState, Subject};
use serde_json::{Value, json};

use super::compiled::{Compiled, Kind, Node, Stop};
use super::document::Trigger;
use super::template::{Root, Source};

/// How one node stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Stand {
    /// It waits for this many.
    Pending(u32),
    /// It may begin, or is under way.
    Open,
    /// It stands before or after a breakpoint.
    Stopped,
    Succeeded,
    /// Code and message.
    Failed(Box<(String, String)>),
    Skipped,
}

impl Stand {
    pub(super) fn has_ended(&self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed(_) | Self::Skipped)
    }
}

/// What a node that goes through a list has come to.
#[derive(Debug, Clone, Default, PartialEq)]
struct Items {
    list: Vec<Value>,
    /// The next that has not begun.
    next: usize,
    under_way: usize,
    ended: usize,
    failed: Option<Box<(String, String)>>,
}

/// How far a plan has come.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) compiled: Arc<Compiled>,
    /// As of how many things that it was asked.
    pub(super) changes: u64,
    /// How many settled effects were seen.
    seen: usize,
    pub(super) stands: Vec<Stand>,
    /// The way that a branch took.
    ways: HashMap<u32, usize>,
    items: BTreeMap<u32, Items>,
    /// What may begin, in order.
    ready: VecDeque<CallId>,
    /// What was said to be wanted, and may have begun.
    offered: Vec<CallId>,
    /// What is under way.
    live: HashSet<CallId>,
    children: usize,
    /// Where it must stop first.
    pub(super) hits: BTreeSet<Hit>,
    stops: Vec<Stop>,
    pub(super) unended: usize,
}

/// What references within a plan stand for.
pub(super) struct Values<'a> {
    pub(super) progress: &'a Progress,
    pub(super) state: &'a RunState,
    /// The element, and its place.
    pub(super) item: Option<(&'a Value, u32)>,
    /// Of what is rolled back it is what it gave before.
    pub(super) before: Option<&'a Rollback>,
}

impl Source for Values<'_> {
    fn root(&self, root: &Root) -> Value {
        match root {
            Root::Input => input(self.state).cloned().unwrap_or(Value::Null),
            Root::Item => self.item.map_or(Value::Null, |(item, _)| item.clone()),
            Root::Index => self.item.map_or(Value::Null, |(_, index)| json!(index)),
            Root::Node(id) => {
                let number = self.progress.compiled.numbers.get(id);
                let Some(number) = number else { return Value::Null };
                match self.before.filter(|rollback| rollback.nodes.contains(number)) {
                    None => self.progress.output(self.state, *number),
                    Some(_) => {
                        let generation = self.state.plan.generation(*number).saturating_sub(1);
                        self.progress.gave(self.state, *number, generation)
                    }
                }
            }
        }
    }
}

/// What the plan was given.
pub(super) fn input(state: &RunState) -> Option<&Value> {
    match &state.created.as_ref()?.subject {
        Subject::Plan { input, .. } => state.value(input),
        _ => None,
    }
}

impl Progress {
    /// How far a plan has come by a state.
    pub(super) fn new(compiled: Compiled, state: &RunState) -> Self {
        let pending = |node: &Option<Node>| match node {
            Some(node) => Stand::Pending(u32::try_from(node.needs.len()).unwrap_or(u32::MAX)),
            None => Stand::Skipped,
        };
        let stands: Vec<Stand> = compiled.nodes.iter().map(pending).collect();
        let set = state.plan.breakpoints.iter();
        // What somebody set or cleared goes before what the plan says of the same place.
        let said = |stop: &&Stop| {
            !set.clone().any(|(other, _)| (&other.node, other.at) == (&stop.breakpoint.node, stop.breakpoint.at))
        };
        let mut stops: Vec<Stop> = compiled.stops.iter().filter(said).cloned().collect();
        stops.extend(set.filter(|(_, stands)| *stands).filter_map(|(stop, _)| Stop::of(stop.clone()).ok()));
        let unended = stands.iter().filter(|stand| !stand.has_ended()).count();
        let mut progress = Self {
            compiled: Arc::new(compiled),
            changes: state.plan.changes,
            seen: state.settled().len(),
            stands,
            ways: HashMap::new(),
            items: BTreeMap::new(),
            ready: VecDeque::new(),
            offered: Vec::new(),
            live: HashSet::new(),
            children: 0,
            hits: BTreeSet::new(),
            stops,
            unended,
        };
        let roots: Vec<u32> =
            progress.compiled.order.iter().copied().filter(|number| progress.stands[*number as usize] == Stand::Pending(0)).collect();
        progress.weigh(state, roots);
        progress
    }

    /// Takes what was settled since.
    pub(super) fn follow(&mut self, state: &RunState) {
        for call in std::mem::take(&mut self.offered).into_iter().rev() {
            match state.calls.get(&call) {
                None => self.ready.push_front(call),
                Some(_) => self.begun(call),
            }
        }
        let settled: Vec<CallId> = state.settled()[self.seen..].to_vec();
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
    pub(super) fn next(&mut self, children: usize) -> Vec<CallId> {
        let mut wanted = Vec::new();
        let mut later = VecDeque::new();
        let mut free = children.saturating_sub(self.children);
        while self.live.len() + wanted.len() < self.compiled.parallel {
            let Some(call) = self.ready.pop_front() else { break };
            if self.is_child(call) {
                if free == 0 {
                    later.push_back(call);
                    continue;
                }
                free -= 1;
            }
            wanted.push(call);
        }
        later.append(&mut self.ready);
        self.ready = later;
        self.offered.clone_from(&wanted);
        wanted
    }

    /// Whether it must be made anew: something was asked of the plan since, or the state is not
    /// one that follows.
    pub(super) fn is_stale(&self, state: &RunState) -> bool {
        self.changes != state.plan.changes || self.seen > state.settled().len()
    }

    /// Takes back what was said to be wanted.
    pub(super) fn take_back(&mut self) {
        for call in std::mem::take(&mut self.offered).into_iter().rev() {
            self.ready.push_front(call);
        }
    }

    /// What was said to be wanted is not.
    pub(super) fn withdraw(&mut self, call: CallId) {
        self.offered.retain(|offered| *offered != call);
    }

    /// Whether nothing of it is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.live.is_empty()
    }

    /// The nodes of which something is under way.
    pub(super) fn busy(&self) -> BTreeSet<u32> {
        self.live.iter().filter_map(|call| match call {
            CallId::Node(call) => Some(call.node),
            _ => None,
        }).collect()
    }

    fn is_child(&self, call: CallId) -> bool {
        let CallId::Node(NodeCall { node, part: NodePart::Work, .. }) = call else { return false };
        self.compiled.node(node).and_then(Node::effect).is_some_and(super::compiled::Effect::is_child)
    }

    fn begun(&mut self, call: CallId) {
        if self.live.insert(call) {
            self.children += usize::from(self.is_child(call));
        }
    }

    fn over(&mut self, call: CallId) {
        if self.live.remove(&call) {
            self.children -= usize::from(self.is_child(call));
        }
    }

    /// Looks at nodes that wait for nothing any more, and at those that follow.
    fn weigh(&mut self, state: &RunState, mut open: Vec<u32>) {
        open.reverse();
        while let Some(number) = open.pop() {
            let ended = self.begin(state, number);
            if ended {
                self.spread(number, &mut open);
            }
        }
    }

    /// Tells what needs a node that it has ended.
    fn spread(&mut self, number: u32, open: &mut Vec<u32>) {
        let needed_by = self.compiled.node(number).map(|node| node.needed_by.clone()).unwrap_or_default();
        for other in needed_by.into_iter().rev() {
            if let Stand::Pending(left) = &mut self.stands[other as usize] {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    open.push(other);
                }
            }
        }
    }

    /// A node waits for nothing any more; tells whether that was its end.
    fn begin(&mut self, state: &RunState, number: u32) -> bool {
        let compiled = Arc::clone(&self.compiled);
        let Some(node) = compiled.node(number) else { return false };
        let generation = state.plan.generation(number);
        if !self.triggered(node, number) {
            return self.end(number, Stand::Skipped);
        }
        let values = Values { progress: &*self, state, item: None, before: None };
        match node.when.as_ref().map(|when| when.holds(&values)) {
            Some(Ok(false)) => return self.end(number, Stand::Skipped),
            Some(Err(error)) => return self.fail(state, number, "condition", error.message().to_owned()),
            Some(Ok(true)) | None => {}
        }
        if self.stops_at(state, number, Moment::Before) {
            self.stands[number as usize] = Stand::Stopped;
            return false;
        }
        let values = Values { progress: &*self, state, item: None, before: None };
        match &node.kind {
            Kind::Branch(ways) => {
                let mut taken = None;
                for (place, (when, _)) in ways.iter().enumerate() {
                    match when.as_ref().map_or(Ok(true), |when| when.holds(&values)) {
                        Ok(true) => {
                            taken = Some(place);
                            break;
                        }
                        Ok(false) => {}
                        Err(error) => {
                            let message = error.message().to_owned();
                            return self.fail(state, number, "condition", message);
                        }
                    }
                }
                self.ways.insert(number, taken.unwrap_or(usize::MAX));
                self.succeed(state, number)
            }
            Kind::Call(_) => match &node.map {
                None => {
                    self.stands[number as usize] = Stand::Open;
                    let first = NodeCall { node: number, generation, part: NodePart::Work, item: 0, attempt: 1 };
                    self.trace(state, first).is_some_and(|end| self.close(state, number, end))
                }
                Some(map) => match map.0.fill(&values) {
                    Ok(Value::Array(list)) => {
                        self.stands[number as usize] = Stand::Open;
                        self.items.insert(number, Items { list, ..Items::default() });
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

    /// Begins further elements of a list; tells whether the node has ended by it.
    fn more(&mut self, state: &RunState, number: u32) -> bool {
        let width = self.compiled.node(number).and_then(|node| node.map.as_ref()).map_or(1, |map| map.1);
        let generation = state.plan.generation(number);
        loop {
            let Some(items) = self.items.get_mut(&number) else { return false };
            // After one failed, no further element begins.
            let more = items.next < items.list.len() && items.failed.is_none();
            if !more && items.under_way == 0 {
                let failed = items.failed.take();
                return match failed {
                    Some(why) => self.fail(state, number, &why.0.clone(), why.1),
                    None => self.succeed(state, number),
                };
            }
            if !more || items.under_way >= width {
                return false;
            }
            let item = u32::try_from(items.next).unwrap_or(u32::MAX);
            items.next += 1;
            items.under_way += 1;
            let first = NodeCall { node: number, generation, part: NodePart::Work, item, attempt: 1 };
            if let Some(end) = self.trace(state, first) {
                self.element_ended(number, item, end);
            }
        }
    }

    fn element_ended(&mut self, number: u32, item: u32, end: End) {
        let Some(items) = self.items.get_mut(&number) else { return };
        items.under_way -= 1;
        items.ended += 1;
        if let Err(why) = end {
            let (code, message) = *why;
            items.failed.get_or_insert(Box::new((code, format!("element {item}: {message}"))));
        }
    }

    /// Goes through the tries at an effect that the state knows, up to one that is under way or
    /// has not begun; gives the end of the last otherwise.
    fn trace(&mut self, state: &RunState, first: NodeCall) -> Option<End> {
        let mut next = first;
        loop {
            let call = CallId::Node(next);
            match state.calls.get(&call) {
                None => {
                    self.ready.push_back(call);
                    return None;
                }
                Some(known) if !known.is_settled() => {
                    self.begun(call);
                    return None;
                }
                Some(known) => match self.after(next, known) {
                    Next::Try(further) => next = further,
                    Next::Ended(end) => return Some(end),
                },
            }
        }
    }

    /// An effect that was under way was settled.
    fn take(&mut self, state: &RunState, ended: NodeCall) {
        self.over(CallId::Node(ended));
        let Some(known) = state.calls.get(&CallId::Node(ended)) else { return };
        if ended.part == NodePart::Undo || ended.generation != state.plan.generation(ended.node) {
            return;
        }
        let end = match self.after(ended, known) {
            Next::Try(further) => self.trace(state, further),
            Next::Ended(end) => Some(end),
        };
        if let Some(end) = end {
            self.settle(state, ended, end);
        }
    }

    /// What an effect belongs to has ended.
    fn settle(&mut self, state: &RunState, call: NodeCall, end: End) {
        let number = call.node;
        let ended = if self.items.contains_key(&number) {
            self.element_ended(number, call.item, end);
            self.more(state, number)
        } else {
            self.close(state, number, end)
        };
        if ended {
            let mut open = Vec::new();
            self.spread(number, &mut open);
            self.weigh(state, open);
        }
    }

    /// What follows a settled effect: another, or the end of what it belongs to.
    fn after(&self, call: NodeCall, known: &CallState) -> Next {
        let retry = self.compiled.node(call.node).map(|node| node.retry).unwrap_or_default();
        if call.part == NodePart::Delay {
            return Next::Try(NodeCall { part: NodePart::Work, ..call });
        }
        let (code, message, again) = match known {
            CallState::Ended { outcome: Outcome::Ok { .. }, .. } => return Next::Ended(Ok(())),
            CallState::Ended { outcome: Outcome::Failed { code, message, happened }, .. } => {
                (code.clone(), message.clone(), !happened || code.starts_with("child_"))
            }
            CallState::Denied { code, reasons, .. } => (format!("denied.{code}"), reasons.join("; "), false),
            CallState::Unknown { reason, .. } => ("unknown".to_owned(), reason.clone(), false),
            _ => ("internal".to_owned(), "it was settled without an end".to_owned(), false),
        };
        if again && call.attempt < retry.attempts {
            let attempt = call.attempt + 1;
            let part = if retry.backoff_seconds == 0 { NodePart::Work } else { NodePart::Delay };
            return Next::Try(NodeCall { part, attempt, ..call });
        }
        Next::Ended(Err(Box::new((code, message))))
    }

    /// A node's only effect has ended; tells whether the node has.
    fn close(&mut self, state: &RunState, number: u32, end: End) -> bool {
        match end {
            Ok(()) => self.succeed(state, number),
            Err(why) => self.fail(state, number, &why.0.clone(), why.1),
        }
    }

    fn succeed(&mut self, state: &RunState, number: u32) -> bool {
        self.stands[number as usize] = Stand::Succeeded;
        if self.stops_at(state, number, Moment::After) {
            self.stands[number as usize] = Stand::Stopped;
            return false;
        }
        self.end(number, Stand::Succeeded)
    }

    fn fail(&mut self, state: &RunState, number: u32, code: &str, message: String) -> bool {
        self.stands[number as usize] = Stand::Failed(Box::new((code.to_owned(), message)));
        if self.stops_at(state, number, Moment::OnError) {
            self.stands[number as usize] = Stand::Stopped;
            return false;
        }
        let stand = self.stands[number as usize].clone();
        self.end(number, stand)
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
                let taken = self.ways.get(need).and_then(|way| ways.get(*way));
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
        let mut mode: Option<Mode> = None;
        for stop in &self.stops {
            let place = &stop.breakpoint;
            if place.at != at || (place.node != *node.id && place.node != "*") {
                continue;
            }
            let values = Values { progress: self, state, item: None, before: None };
            // A condition that cannot be judged stops: nobody misses a breakpoint by a slip.
            if stop.when.as_ref().is_none_or(|when| when.holds(&values).unwrap_or(true)) {
                mode = mode.max(Some(place.mode));
            }
        }
        let Some(mode) = mode else { return false };
        let hit = |mode| Hit { node: number, generation: state.plan.generation(number), at, id: node.id.to_string(), mode };
        if [Mode::Drain, Mode::Freeze].into_iter().any(|mode| state.plan.passed.contains(&hit(mode))) {
            return false;
        }
        if ![Mode::Drain, Mode::Freeze].into_iter().any(|mode| state.plan.hits.contains(&hit(mode))) {
            let new = hit(mode);
            self.hits.insert(new);
        }
        true
    }

    /// How many elements a node goes through; 1 for one that goes through none.
    pub(super) fn elements(&self, number: u32) -> u32 {
        self.items.get(&number).map_or(1, |items| u32::try_from(items.list.len()).unwrap_or(u32::MAX))
    }

    /// An element of a list that a node goes through.
    pub(super) fn element(&self, number: u32, item: u32) -> Option<&Value> {
        self.items.get(&number)?.list.get(item as usize)
    }

    /// How many elements of a list have ended.
    pub(super) fn ended_elements(&self, number: u32) -> Option<(u32, u32)> {
        let items = self.items.get(&number)?;
        Some((u32::try_from(items.ended).unwrap_or(u32::MAX), u32::try_from(items.list.len()).unwrap_or(u32::MAX)))
    }

    /// What a node gave: a list of one that goes through a list; `error` of one that failed.
    pub(super) fn output(&self, state: &RunState, number: u32) -> Value {
        match &self.stands[number as usize] {
            Stand::Failed(why) => json!({"error": {"code": why.0, "message": why.1}}),
            _ => match self.ways.get(&number) {
                Some(way) => json!({"way": way}),
                None => self.gave(state, number, state.plan.generation(number)),
            },
        }
    }

    /// What a node gave in a generation.
    pub(super) fn gave(&self, state: &RunState, number: u32, generation: u32) -> Value {
        if self.compiled.node(number).is_some_and(|node| node.map.is_none()) {
            return worked(state, number, generation).last().map_or(Value::Null, |(_, value)| value.clone());
        }
        let elements: BTreeMap<u32, &Value> = worked(state, number, generation).collect();
        elements.into_values().cloned().collect()
    }

    /// Has a node fail whose effect cannot be said.
    pub(super) fn unsayable(&mut self, state: &RunState, call: NodeCall, message: String) {
        self.settle(state, call, Err(Box::new(("reference".to_owned(), message))));
    }
}

/// The values that the tries at a node's work gave, by element and try.
fn worked(state: &RunState, node: u32, generation: u32) -> impl Iterator<Item = (u32, &Value)> {
    let at = |item, attempt| CallId::Node(NodeCall { node, generation, part: NodePart::Work, item, attempt });
    state.calls.range(at(0, 0)..=at(u32::MAX, u32::MAX)).filter_map(|(call, _)| match call {
        CallId::Node(known) => Some((known.item, state.output(*call)?)),
        _ => None,
    })
}

/// How an effect ended: well, or with a code and a message.
type End = Result<(), Box<(String, String)>>;

/// What follows a settled effect.
enum Next {
    Try(NodeCall),
    Ended(End),
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
