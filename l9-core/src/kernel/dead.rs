//! Dead letters: runs that were given up, why, and their second chance.

use std::time::Duration;

use serde::Serialize;

use super::engine::Engine;
use crate::id::{RunId, TenantId};
use crate::journal::DeadLetter;
use crate::queue::Task;
use crate::time::Timestamp;
use crate::vault::Place;
use crate::{Error, Result};

/// The most bytes that are kept of a reason.
const REASON: usize = 4096;

/// A run that was given up: nobody advances it before it is redriven, or a command comes for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dead {
    /// Its tenant.
    pub tenant: TenantId,
    /// The run.
    pub run: RunId,
    /// When it was given up.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

impl Engine {
    /// The runs that were given up, of one tenant or of all, the longest dead first.
    ///
    /// # Errors
    /// From the backend, and `Corrupt` for a reason that does not open.
    pub async fn dead(&self, tenant: Option<&TenantId>, limit: usize) -> Result<Vec<Dead>> {
        let parts = self.parts();
        let open = |letter: DeadLetter| {
            let DeadLetter { tenant, run, at, sealed } = letter;
            let reason = parts.vault.open(&tenant, &place(&run), &sealed)?;
            let reason = String::from_utf8(reason)
                .map_err(|_| Error::corrupt(format!("the reason why run {run} was given up is no text")))?;
            Ok(Dead { tenant, run, at, reason })
        };
        parts.store.dead(tenant, limit).await?.into_iter().map(open).collect()
    }

    /// Has a run that was given up advanced again.
    ///
    /// # Errors
    /// `NotFound` for a run that is not given up.
    pub async fn redrive(&self, tenant: &TenantId, run: RunId, by: &str) -> Result<()> {
        let parts = self.parts();
        let Some(task) = parts.store.redrive(tenant, run).await? else {
            let message = format!("run {run} is not among the dead: `queue dead` lists those that are");
            return Err(Error::not_found(message));
        };
        tracing::info!(%tenant, %run, by, "a run that was given up is redriven");
        if let Err(error) = parts.queue.enqueue(task, Duration::ZERO).await {
            tracing::warn!(%run, %error, "redriven but not queued; the reconciler will");
        }
        Ok(())
    }

    /// Keeps a run as given up; tells whether it is.
    pub(super) async fn bury(&self, task: &Task, reason: &str) -> Result<bool> {
        let parts = self.parts();
        let reason = &reason[..reason.floor_char_boundary(REASON)];
        let sealed = parts.vault.seal(&task.tenant, &place(&task.run), reason.as_bytes())?;
        let letter = DeadLetter { tenant: task.tenant.clone(), run: task.run, at: parts.clock.now(), sealed };
        parts.store.bury(letter).await
    }
}

/// Where the reason is sealed.
pub(crate) fn place(run: &RunId) -> Place<'_> {
    Place { table: "run", row: run.as_bytes(), column: "dead" }
}
