//! Where runs wait to be advanced: in Redis if that is configured, else in this process.

#[cfg(not(feature = "redis"))]
mod none;
#[cfg(feature = "redis")]
mod some;
#[cfg(feature = "redis")]
mod way;

#[cfg(not(feature = "redis"))]
use none::shared;
#[cfg(feature = "redis")]
use some::shared;

use std::sync::Arc;
use std::time::Duration;

use l9_core::entropy::SystemEntropy;
use l9_core::id::TenantId;
use l9_core::queue::{Depth, TaskQueue};
use l9_core::stop::Scope;
use l9_core::time::Clock;
use l9_core::vault::Vault;
use l9_core::{Error, Result};
use l9_plan::{Backend, in_process};
use serde::Serialize;

use crate::runtime::Runtime;
use crate::settings::Settings;

/// The queue that the settings want, and where it is.
pub(crate) fn open(
    settings: &Settings,
    vault: &Arc<dyn Vault>,
    clock: &Arc<dyn Clock>,
) -> Result<(Arc<dyn TaskQueue>, Place)> {
    let shared = match settings.queue.backend {
        Backend::InProcess => None,
        Backend::Auto | Backend::Redis => shared(settings, vault, clock)?,
    };
    match shared {
        Some(queue) => Ok((queue, Place::Redis)),
        None if settings.queue.backend == Backend::Redis => Err(Error::invalid(
            "queue.backend is redis and there is none: name a server in REDIS_URL, or use in_process",
        )),
        None => {
            let (clock, entropy) = (Arc::clone(clock), Arc::new(SystemEntropy));
            Ok((Arc::new(in_process::Queue::new(settings.queue.clone(), clock, entropy)), Place::InProcess))
        }
    }
}

/// Where what is said of the queue was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// In this process.
    InProcess,
    /// In Redis, of all processes that share it.
    Redis,
    /// In the database: whoever works has a queue that this process does not see.
    Database,
}

/// How the queue stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct QueueStatus {
    /// Where this was read.
    pub read_from: Place,
    /// Tasks that are ready to be claimed.
    pub ready: usize,
    /// Tasks that wait for their time; `None` if it was read from the database.
    pub delayed: Option<usize>,
    /// Tasks in workers' hands.
    pub claimed: usize,
    /// Runs that were given up.
    pub dead: u64,
    /// How long the oldest ready task has waited, in milliseconds; `None` if none does, one
    /// tenant was asked about, or it was read from the database.
    pub oldest_ready_ms: Option<u64>,
    /// Whether nobody may claim.
    pub paused: bool,
}

impl Runtime {
    /// How the queue stands, of one tenant or of all.
    ///
    /// # Errors
    /// `Unavailable` when it, or the store, is away.
    pub async fn queue_status(&self, tenant: Option<&TenantId>) -> Result<QueueStatus> {
        let dead = self.store().dead_count(tenant).await?;
        let read_from = match self.inner.queue_place {
            Place::InProcess if !self.is_started() => Place::Database,
            place => place,
        };
        if read_from == Place::Database {
            let due = self.store().due(usize::MAX, Duration::ZERO).await?;
            let ready = due.iter().filter(|task| tenant.is_none_or(|tenant| task.tenant == *tenant)).count();
            let scope = tenant.cloned().map_or(Scope::All, Scope::Tenant);
            let claimed = usize::try_from(self.store().held(&scope).await?).unwrap_or(usize::MAX);
            let (delayed, oldest_ready_ms, paused) = (None, None, false);
            return Ok(QueueStatus { read_from, ready, delayed, claimed, dead, oldest_ready_ms, paused });
        }
        let Depth { ready, delayed, claimed, oldest, paused } = self.queue().depth(tenant).await?;
        let oldest_ready_ms = oldest.map(|oldest| u64::try_from(oldest.as_millis()).unwrap_or(u64::MAX));
        Ok(QueueStatus { read_from, ready, delayed: Some(delayed), claimed, dead, oldest_ready_ms, paused })
    }
}
