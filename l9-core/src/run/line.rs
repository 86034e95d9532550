//! Wanted effects whose turn has not come. Nothing of them is journaled: whoever takes the run
//! over wants them again.

use std::collections::BTreeMap;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;

use super::decide::Call;
use crate::governor::{Place, Slot};
use crate::id::CallId;

/// A wanted effect, with what it waited for.
pub(super) struct Due {
    pub(super) call: Call,
    pub(super) slot: Slot,
}

impl From<Call> for Due {
    fn from(call: Call) -> Self {
        Self { call, slot: Slot::default() }
    }
}

/// The effects of one run that wait for their turn.
#[derive(Default)]
pub(super) struct Line {
    calls: BTreeMap<CallId, Call>,
    turns: FuturesUnordered<BoxFuture<'static, (CallId, Slot)>>,
}

impl Line {
    /// Has an effect wait at its place.
    pub(super) fn enter(&mut self, call: Call, place: Place) {
        let id = call.id;
        self.calls.insert(id, call);
        self.turns.push(Box::pin(async move { (id, place.turn().await) }));
    }

    /// The next effect whose turn comes; `None` if none waits. To stop waiting loses nothing.
    pub(super) async fn next(&mut self) -> Option<Due> {
        let (id, slot) = self.turns.next().await?;
        self.calls.remove(&id).map(|call| Due { call, slot })
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
