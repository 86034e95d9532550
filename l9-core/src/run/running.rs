//! Effects under way, and those that ended and whose results are not taken yet.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};

use futures_util::FutureExt as _;
use tokio::task::{JoinError, JoinSet};

use crate::governor::Performed;
use crate::{Error, Result};

/// Effects under way, numbered in the order in which they began.
#[derive(Default)]
pub(super) struct Running {
    tasks: JoinSet<(u64, Performed)>,
    /// What ended as soon as it was looked at.
    ended: VecDeque<Result<(u64, Performed)>>,
    launched: u64,
    settled: u64,
    /// Completed effects whose turn has not come, when results are ordered.
    early: BTreeMap<u64, Performed>,
}

impl Running {
    /// Begins an effect. `inline` has it looked at once here: many effects end before they wait for
    /// anything, and a task costs more than they do.
    pub(super) fn launch(&mut self, effect: impl Future<Output = Performed> + Send + 'static, inline: bool) {
        let order = self.launched;
        self.launched += 1;
        if !inline {
            self.tasks.spawn(effect.map(move |performed| (order, performed)));
            return;
        }
        let mut effect = Box::pin(effect);
        // Whoever waits is woken by the task's own waker, once that has looked as well.
        match catch_unwind(AssertUnwindSafe(|| effect.as_mut().now_or_never())) {
            Err(_) => self.ended.push_back(Err(Error::internal("an effect was lost"))),
            Ok(Some(performed)) => self.ended.push_back(Ok((order, performed))),
            Ok(None) => drop(self.tasks.spawn(effect.map(move |performed| (order, performed)))),
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.tasks.is_empty() && self.ended.is_empty() && self.early.is_empty()
    }

    /// The next effect that ends; `None` if none is under way.
    pub(super) async fn next(&mut self) -> Option<Result<(u64, Performed)>> {
        if !self.ended.is_empty() {
            // A run whose effects never wait for anything gives way to others now and then.
            tokio::task::consume_budget().await;
            return self.ended.pop_front();
        }
        self.tasks.join_next().await.map(|ended| ended.map_err(lost))
    }

    /// The next effect that has ended already.
    pub(super) fn try_next(&mut self) -> Option<Result<(u64, Performed)>> {
        self.ended.pop_front().or_else(|| self.tasks.try_join_next().map(|ended| ended.map_err(lost)))
    }

    /// What is to be journaled now that an effect has ended: when results are ordered, those whose
    /// turn has come.
    pub(super) fn settle(&mut self, (order, performed): (u64, Performed), ordered: bool) -> Vec<Performed> {
        if !ordered {
            self.settled += 1;
            return vec![performed];
        }
        self.early.insert(order, performed);
        let mut now = Vec::new();
        while let Some(performed) = self.early.remove(&self.settled) {
            self.settled += 1;
            now.push(performed);
        }
        now
    }

    /// Waits for all of it.
    pub(super) async fn all(&mut self) -> Result<Vec<Performed>> {
        let mut all: Vec<Performed> = std::mem::take(&mut self.early).into_values().collect();
        for ended in self.ended.drain(..) {
            all.push(ended?.1);
        }
        while let Some(task) = self.tasks.join_next().await {
            all.push(task.map_err(lost)?.1);
        }
        Ok(all)
    }

    /// Drops whatever is under way.
    pub(super) async fn shutdown(&mut self) {
        self.tasks.shutdown().await;
    }
}

fn lost(error: JoinError) -> Error {
    Error::internal("an effect was lost").caused_by(error)
}
