//! How a run ends: waiting for it, and what it said last.

use serde_json::Value;

use super::engine::Engine;
use super::handle::Ended;
use crate::id::{RunId, TenantId};
use crate::journal::Head;
use crate::run::{Event, POLL, RunOutcome, RunState, read_records};
use crate::{Error, ErrorKind, Result};

impl Engine {
    /// Waits until a run has ended; opens nothing of what happens before.
    ///
    /// # Errors
    /// `NotFound` for an unknown run.
    pub async fn ended(&self, tenant: &TenantId, run: RunId) -> Result<()> {
        let mut hints = self.hints().subscribe_to_end(run);
        loop {
            hints.mark_unchanged();
            if self.row(tenant, run).await?.status.is_closed() {
                return Ok(());
            }
            tokio::select! {
                biased;
                Ok(()) = hints.changed() => {}
                // Hints may be lost.
                () = self.inner.parts.clock.sleep(POLL) => {}
            }
        }
    }

    /// How a closed run ended, by its last record, however long it is.
    ///
    /// # Errors
    /// `Conflict` while it has not.
    pub async fn outcome(&self, tenant: &TenantId, run: RunId) -> Result<Ended> {
        let row = self.row(tenant, run).await?;
        if !row.status.is_closed() {
            return Err(Error::new(ErrorKind::Conflict, format!("run {run} has not ended")));
        }
        let last = row.head.next.saturating_sub(1);
        let records = read_records(&*self.inner.parts.store, tenant, (run, row.fork), last, 1).await?;
        // What has expired stands in the snapshot of its end.
        let Some(record) = records.first().filter(|record| !record.is_expired()) else {
            let (_, state) = self.show(tenant, run).await?;
            return of(run, state.closed.as_ref(), &state);
        };
        record.verify_after(&Head { next: last, hash: record.prev })?;
        if record.hash != row.head.hash {
            return Err(Error::corrupt(format!("run {run} does not end in the record that its row names")));
        }
        let mut beside = RunState::default();
        match self.opened(tenant, record, &mut beside).await? {
            Event::RunClosed(outcome) => of(run, Some(&outcome), &beside),
            _ => of(run, None, &beside),
        }
    }
}

fn of(run: RunId, outcome: Option<&RunOutcome>, state: &RunState) -> Result<Ended> {
    let outcome = outcome.ok_or_else(|| Error::corrupt(format!("run {run} has ended, and nothing says how")))?;
    let answer = match outcome {
        RunOutcome::Succeeded { answer, .. } => state.value(answer).cloned().unwrap_or(Value::Null),
        RunOutcome::Failed { message, .. } => Value::String(message.clone()),
        RunOutcome::Cancelled { reason, .. } => Value::String(reason.clone()),
    };
    Ok(Ended::of(outcome, answer))
}
