//! The elements of lists that nodes go through, some of them at a time.

use l9_core::id::{CallId, NodeCall};
use l9_core::run::RunState;
use serde_json::Value;

use super::Progress;
use crate::plan::effects::{End, Why, first};

/// What a node that goes through a list has come to.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Items {
    list: Vec<Value>,
    /// The next that has not begun.
    next: usize,
    under_way: usize,
    ended: usize,
    /// The first in the list that failed, whichever failed first.
    failed: Option<(u32, Why)>,
}

impl Items {
    pub(super) fn of(list: Vec<Value>) -> Self {
        Self { list, ..Self::default() }
    }
}

impl Progress {
    /// Begins further elements of a list; tells whether the node has ended by it.
    pub(super) fn more(&mut self, state: &RunState, number: u32) -> bool {
        let width = self.compiled.node(number).and_then(|node| node.map.as_ref()).map_or(1, |map| map.1);
        loop {
            let Some(items) = self.items.get_mut(&number) else { return false };
            let item = u32::try_from(items.next).unwrap_or(u32::MAX);
            let next = (items.next < items.list.len()).then(|| first(state, number, item));
            // What has begun is followed to its end; after one failed, no other begins.
            let known = next.is_some_and(|call| state.calls.contains_key(&CallId::Node(call)));
            let room = items.failed.is_none() && items.under_way < width;
            match next.filter(|_| known || room) {
                Some(call) => {
                    items.next += 1;
                    items.under_way += 1;
                    if let Some(end) = self.trace(state, call) {
                        self.element_ended(state, number, item, end);
                    }
                }
                None if items.under_way > 0 => return false,
                None => {
                    let end = items.failed.clone().map_or(Ok(()), |(_, why)| Err(why));
                    return self.close(state, number, end);
                }
            }
        }
    }

    pub(super) fn element_ended(&mut self, state: &RunState, number: u32, item: u32, end: End) {
        let held = if end.is_err() { self.hold_back(state, number) } else { 0 };
        let Some(items) = self.items.get_mut(&number) else { return };
        items.under_way -= 1 + held;
        items.ended += 1;
        if let Err(why) = end {
            let (code, message) = *why;
            if items.failed.as_ref().is_none_or(|(first, _)| item < *first) {
                items.failed = Some((item, Box::new((code, format!("element {item}: {message}")))));
            }
        }
    }

    /// Elements of a list whose turn had come and that have not begun are not wanted any more; tells
    /// how many.
    fn hold_back(&mut self, state: &RunState, number: u32) -> usize {
        let (from, to) = (first(state, number, 0), first(state, number, u32::MAX));
        let queued = self.queue(CallId::Node(from)).range(CallId::Node(from)..=CallId::Node(to));
        let is_first = |call: &CallId| matches!(call, CallId::Node(NodeCall { attempt: 1, .. }));
        let waiting: Vec<CallId> = queued.copied().filter(is_first).collect();
        for call in &waiting {
            self.queue(*call).remove(call);
            self.offered.remove(call);
        }
        waiting.len()
    }

    /// An element of a list that a node goes through.
    pub(in crate::plan) fn element(&self, number: u32, item: u32) -> Option<&Value> {
        self.items.get(&number)?.list.get(item as usize)
    }

    /// How many elements of a list have ended.
    pub(in crate::plan) fn ended_elements(&self, number: u32) -> Option<(u32, u32)> {
        let items = self.items.get(&number)?;
        Some((u32::try_from(items.ended).unwrap_or(u32::MAX), u32::try_from(items.list.len()).unwrap_or(u32::MAX)))
    }
}
