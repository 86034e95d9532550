//! The effects of one run that are under way, and the order in which they were launched.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::governor::{Governor, Launch, Performed};

/// Effects under way.
#[derive(Default)]
pub(super) struct Running {
    pub(super) tasks: JoinSet<(u64, Performed)>,
    launched: u64,
    pub(super) settled: u64,
    /// Completed effects whose turn has not come, when results are ordered.
    pub(super) early: BTreeMap<u64, Performed>,
}

impl Running {
    /// An effect, and its place in the order of all that were launched.
    pub(super) fn perform(
        &mut self,
        governor: &Arc<Governor>,
        launch: Launch,
    ) -> impl Future<Output = (u64, Performed)> + Send + use<> {
        let (order, governor) = (self.launched, Arc::clone(governor));
        self.launched += 1;
        async move { (order, governor.perform(launch).await) }
    }

    /// Performs an effect in a task of its own.
    pub(super) fn spawn(&mut self, governor: &Arc<Governor>, launch: Launch) {
        let effect = self.perform(governor, launch);
        self.tasks.spawn(effect);
    }

    pub(super) fn is_idle(&self) -> bool {
        self.tasks.is_empty() && self.early.is_empty()
    }
}
