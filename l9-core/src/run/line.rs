//! Wanted effects whose turn has not come. Nothing of them is journaled: whoever takes the run
//! over wants them again.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;

use super::decide::{Call, Step};
use super::driver::Drive;
use crate::governor::{Place, Slot};
use crate::id::CallId;

/// A wanted effect, with what it waited for.
pub(super) struct Due {
    pub(super) call: Call,
    pub(super) slot: Slot,
    /// Whether it did, so that it may not be wanted any more.
    pub(super) waited: bool,
}

impl From<Call> for Due {
    fn from(call: Call) -> Self {
        Self { call, slot: Slot::default(), waited: false }
    }
}

/// The effects of one run that wait for their turn.
#[derive(Default)]
pub(super) struct Line {
    calls: BTreeMap<CallId, Call>,
    turns: FuturesUnordered<Waits>,
}

/// One effect at its place.
struct Waits {
    id: CallId,
    place: BoxFuture<'static, Slot>,
}

impl Future for Waits {
    type Output = (CallId, Slot);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.place.as_mut().poll(context).map(|slot| (self.id, slot))
    }
}

impl Line {
    /// Has an effect wait at its place.
    pub(super) fn enter(&mut self, call: Call, place: Place) {
        let id = call.id;
        self.calls.insert(id, call);
        self.turns.push(Waits { id, place: Box::pin(place.turn()) });
    }

    /// The next effect whose turn comes; `None` if none waits. To stop waiting loses nothing.
    pub(super) async fn next(&mut self) -> Option<Due> {
        let (id, slot) = self.turns.next().await?;
        self.calls.remove(&id).map(|call| Due { call, slot, waited: true })
    }

    /// Gives up the places of all but those that are wanted, which keep theirs.
    fn retain(&mut self, wanted: impl Fn(CallId) -> bool) {
        let before = self.calls.len();
        self.calls.retain(|call, _| wanted(*call));
        if self.calls.len() < before {
            self.turns = std::mem::take(&mut self.turns).into_iter().filter(|waits| wanted(waits.id)).collect();
        }
    }

    /// Gives up every place; gives the effects that had one.
    pub(super) fn leave(&mut self) -> impl Iterator<Item = Due> + use<> {
        self.turns.clear();
        std::mem::take(&mut self.calls).into_values().map(Due::from)
    }

    pub(super) fn holds(&self, call: CallId) -> bool {
        self.calls.contains_key(&call)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }
}

impl<L: Fn() -> Duration + Sync> Drive<'_, L> {
    /// Something was asked of the plan: what was wanted and has not begun is decided anew.
    pub(super) fn reconsider(&mut self) {
        let changes = self.log.state.plan.changes;
        if std::mem::replace(&mut self.changes, changes) == changes {
            return;
        }
        self.leave_line();
        self.wanted.retain(|due| self.log.state.attempted(due.call.id).is_some());
    }

    /// Gives up every turn: what may not start now must not stand in anybody's way.
    pub(super) fn leave_line(&mut self) {
        let kept = std::mem::take(&mut self.wanted).into_iter().chain(std::mem::take(&mut self.later));
        let kept = self.line.leave().chain(kept.map(|due| due.call.into()));
        self.wanted = kept.map(|due| Due { waited: true, ..due }).collect();
        self.looked = None;
    }

    /// Forgets what waited and is not wanted any more: a plan went on meanwhile.
    pub(super) fn take_back(&mut self) {
        let waited = self.wanted.iter().chain(&self.later).any(|due| due.waited) || !self.line.is_empty();
        if !waited || !self.decider.takes_back() {
            return;
        }
        // Nothing else than an end makes a plan want something else.
        let ended = self.log.state.settled().len();
        if self.looked.replace(ended) == Some(ended) {
            return;
        }
        let state = &self.log.state;
        let calls = self.decider.decide(state).into_iter().filter_map(|step| match step {
            Step::Perform(call) => Some(call.id),
            Step::Stand(_) | Step::Close(_) => None,
        });
        let calls: BTreeSet<CallId> = calls.collect();
        // What has begun goes on to its end.
        let wanted = |call: CallId| state.calls.contains_key(&call) || calls.contains(&call);
        for due in [&mut self.wanted, &mut self.later] {
            due.retain(|due| !due.waited || wanted(due.call.id));
        }
        self.line.retain(wanted);
    }

    /// Whether something is performed alone, so that nothing else may begin beside it.
    pub(super) fn stands_alone(&self) -> bool {
        self.alone && !self.is_idle()
    }

    /// What is to start now. When results are ordered, the order must not depend on when whose
    /// turn comes: what takes turns is performed alone, and everything after it waits for it.
    pub(super) fn batch(&mut self) -> Vec<Due> {
        if self.is_idle() {
            self.wanted.append(&mut self.later);
            self.alone = false;
        }
        if self.stands_alone() && !self.is_stopping() {
            self.later.append(&mut self.wanted);
            return Vec::new();
        }
        let mut now = std::mem::take(&mut self.wanted);
        if self.driver.ordered && !self.is_stopping() {
            let created = self.log.state.created.as_ref();
            let takes_turns =
                |due: &Due| created.is_some_and(|created| self.driver.governor.takes_turns(created, &due.call));
            if let Some(first) = now.iter().position(takes_turns) {
                let alone = first == 0 && self.is_idle();
                self.alone |= alone;
                let later = now.split_off(first + usize::from(alone)).into_iter();
                self.later = later.map(|due| Due { waited: true, ..due }).collect();
            }
        }
        now
    }
}
