//! Runs of this process that were given up.

use async_trait::async_trait;
use l9_core::Result;
use l9_core::id::{RunId, TenantId};
use l9_core::journal::{DeadLetter, DeadLetters};
use l9_core::queue::Task;

use super::store::{State, Store};

#[async_trait]
impl DeadLetters for Store {
    async fn bury(&self, letter: DeadLetter) -> Result<bool> {
        let mut state = self.state();
        let run = state.run(&letter.tenant, letter.run)?;
        if run.lease.is_some() || !run.inbox.is_empty() || run.row.status.is_closed() {
            return Ok(false);
        }
        (run.wake_at, run.dead) = (None, Some(letter));
        Ok(true)
    }

    async fn dead(&self, tenant: Option<&TenantId>, limit: usize) -> Result<Vec<DeadLetter>> {
        let mut dead: Vec<DeadLetter> = self.state().dead(tenant).cloned().collect();
        dead.sort_by(|one, other| (one.at, &one.tenant, one.run).cmp(&(other.at, &other.tenant, other.run)));
        dead.truncate(limit);
        Ok(dead)
    }

    async fn dead_count(&self, tenant: Option<&TenantId>) -> Result<u64> {
        Ok(self.state().dead(tenant).count() as u64)
    }

    async fn redrive(&self, tenant: &TenantId, run: RunId) -> Result<Option<Task>> {
        let now = self.clock.monotonic();
        let mut state = self.state();
        let Some(row) = state.runs.get_mut(&(tenant.clone(), run)).filter(|run| run.dead.is_some()) else {
            return Ok(None);
        };
        (row.wake_at, row.dead) = (Some(now), None);
        Ok(Some(Task { tenant: tenant.clone(), run, priority: row.row.priority }))
    }
}

impl State {
    fn dead<'a>(&'a self, tenant: Option<&'a TenantId>) -> impl Iterator<Item = &'a DeadLetter> {
        let mine = move |letter: &&DeadLetter| tenant.is_none_or(|tenant| letter.tenant == *tenant);
        self.runs.values().filter_map(|run| run.dead.as_ref()).filter(mine)
    }
}
