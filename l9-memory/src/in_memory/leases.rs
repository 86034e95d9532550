//! Leases of runs in this process, and what is due.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use l9_core::Result;
use l9_core::id::{RunId, TenantId};
use l9_core::journal::{Lease, Leases, RunRow};
use l9_core::queue::Task;
use l9_core::stop::{Scope, StoredStop};

use super::store::{Run, State, Store};

#[async_trait]
impl Leases for Store {
    async fn acquire(&self, tenant: &TenantId, run: RunId, owner: &str, ttl: Duration) -> Result<Option<Lease>> {
        let now = self.clock.monotonic();
        let mut state = self.state();
        let stopped = is_stopped(&state.stops, tenant);
        let row = state.run(tenant, run)?;
        let held = |(holder, until): &(String, Duration)| holder != owner && *until > now;
        if row.row.status.is_closed() || stopped || row.lease.as_ref().is_some_and(held) {
            return Ok(None);
        }
        let expired = row.lease.as_ref().map(|(_, until)| now.saturating_sub(*until));
        row.row.epoch += 1;
        (row.wake_at, row.dead) = (None, None);
        row.lease = Some((owner.to_owned(), now.saturating_add(ttl)));
        let RunRow { epoch, head, fork, .. } = row.row;
        Ok(Some(Lease { tenant: tenant.clone(), run, epoch, head, fork, expired }))
    }

    async fn renew(&self, owner: &str, ttl: Duration) -> Result<Vec<Lease>> {
        let now = self.clock.monotonic();
        let mut renewed = Vec::new();
        for run in self.state().runs.values_mut() {
            let held = |(holder, until): &&mut (String, Duration)| holder == owner && *until > now;
            if let Some((_, until)) = run.lease.as_mut().filter(held) {
                *until = now.saturating_add(ttl);
                let RunRow { tenant, run, epoch, head, fork, .. } = run.row.clone();
                renewed.push(Lease { tenant, run, epoch, head, fork, expired: None });
            }
        }
        Ok(renewed)
    }

    async fn release(&self, lease: &Lease, wake_in: Option<Duration>) -> Result<()> {
        let now = self.clock.monotonic();
        let mut state = self.state();
        let Ok(run) = state.run(&lease.tenant, lease.run) else { return Ok(()) };
        if run.lease.is_some() && run.row.epoch == lease.epoch {
            run.lease = None;
            run.wake_at = if run.inbox.is_empty() { wake_in.map(|wait| now.saturating_add(wait)) } else { Some(now) };
        }
        Ok(())
    }

    async fn due(&self, limit: usize, hold: Duration) -> Result<Vec<Task>> {
        let now = self.clock.monotonic();
        let mut state = self.state();
        let State { runs, stops, .. } = &mut *state;
        let mut due: Vec<_> = runs
            .values_mut()
            .filter(|run| !is_stopped(stops, &run.row.tenant))
            .filter(|run| run.wake_at.is_none_or(|at| at <= now))
            .filter_map(|run| {
                let since = run.lease.as_ref().map_or(run.wake_at, |(_, until)| Some(*until))?;
                (since <= now).then_some((since, -i64::from(run.row.priority), run))
            })
            .collect();
        due.sort_by_key(|(since, priority, run)| (*since, *priority, run.row.run));
        let offer = |run: &mut Run| {
            if !hold.is_zero() {
                run.wake_at = Some(now.saturating_add(hold));
            }
            Task { tenant: run.row.tenant.clone(), run: run.row.run, priority: run.row.priority }
        };
        Ok(due.into_iter().take(limit).map(|(_, _, run)| offer(run)).collect())
    }

    async fn stop(&self, stop: StoredStop) -> Result<StoredStop> {
        Ok(self.state().stops.entry(stop.scope.clone()).or_insert(stop).clone())
    }

    async fn unstop(&self, scope: &Scope) -> Result<Option<StoredStop>> {
        Ok(self.state().stops.remove(scope))
    }

    async fn stops(&self) -> Result<Vec<StoredStop>> {
        Ok(self.state().stops.values().cloned().collect())
    }

    async fn held(&self, scope: &Scope) -> Result<u64> {
        let now = self.clock.monotonic();
        let held =
            |run: &&Run| scope.holds(&run.row.tenant) && run.lease.as_ref().is_some_and(|(_, until)| *until > now);
        Ok(self.state().runs.values().filter(held).count() as u64)
    }
}

fn is_stopped(stops: &BTreeMap<Scope, StoredStop>, tenant: &TenantId) -> bool {
    stops.keys().any(|scope| scope.holds(tenant))
}
