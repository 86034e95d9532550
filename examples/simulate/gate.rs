//! What stands between a node and everything outside its memory. A dead node's handles
//! hang for ever, a frozen one's until it thaws, and one that is cut off reaches nobody.

use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::timeline::Timeline;

/// The gate of one node's life; the next life has another.
#[derive(Debug)]
pub(crate) struct Gate {
    /// The node's name as an owner of leases: of this life only.
    pub(crate) owner: String,
    pub(crate) timeline: Arc<Timeline>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    dead: bool,
    frozen_until: Duration,
    cut_until: Duration,
}

impl Gate {
    pub(crate) fn new(owner: String, timeline: Arc<Timeline>) -> Self {
        Self { owner, timeline, state: Mutex::default() }
    }

    /// Lets pass who is alive and not frozen.
    pub(crate) async fn pass(&self) {
        loop {
            let (dead, frozen_until) = self.with(|state| (state.dead, state.frozen_until));
            if dead {
                pending::<()>().await;
            }
            if frozen_until <= self.timeline.now() {
                return;
            }
            self.timeline.sleep_until(frozen_until).await;
        }
    }

    /// Waits as a task of the node does: for the time, and for the node to be running then.
    pub(crate) async fn sleep(&self, duration: Duration) {
        self.timeline.sleep(duration).await;
        self.pass().await;
    }

    pub(crate) fn die(&self) {
        self.with(|state| state.dead = true);
    }

    pub(crate) fn freeze(&self, until: Duration) {
        self.with(|state| state.frozen_until = state.frozen_until.max(until));
    }

    pub(crate) fn cut(&self, until: Duration) {
        self.with(|state| state.cut_until = state.cut_until.max(until));
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.with(|state| state.dead)
    }

    /// Until when nothing gets from here to there or back; `None` if it does.
    pub(crate) fn cut_until(&self) -> Option<Duration> {
        let until = self.with(|state| state.cut_until);
        (until > self.timeline.now()).then_some(until)
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
