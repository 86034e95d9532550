//! Quarantine and snapshots, where short-term memories are in Redis: the memory that lasts keeps
//! them, and its quarantines of sources hold for short-term entries too.

use std::time::Duration;

use async_trait::async_trait;
use l9_core::id::{AgentId, TenantId};
use l9_core::memory::{
    Curation, Expired, MemoryStore, NewQuarantine, Over, Quarantine, Quarantined, Released, Restored, Snapshot,
    Standing, Suspect,
};
use l9_core::time::Timestamp;
use l9_core::{Error, Result};
use uuid::Uuid;

use super::layers::{Layers, unless_away};
use super::memory::{Memory, goes};
use crate::entry;

#[async_trait]
impl Curation for Memory {
    async fn quarantine(&self, _: &TenantId, _: NewQuarantine) -> Result<Quarantined> {
        Err(elsewhere("quarantines"))
    }

    async fn release(&self, _: &TenantId, quarantine: Uuid, _: &str) -> Result<Released> {
        Err(entry::unknown_quarantine(quarantine))
    }

    async fn quarantines(&self, _: &TenantId) -> Result<Vec<Quarantine>> {
        Ok(Vec::new())
    }

    async fn snapshot(&self, _: &TenantId, _: Option<AgentId>, _: &str, _: &str) -> Result<Snapshot> {
        Err(elsewhere("snapshots"))
    }

    async fn snapshots(&self, _: &TenantId) -> Result<Vec<Snapshot>> {
        Ok(Vec::new())
    }

    async fn restore(&self, _: &TenantId, snapshot: Uuid, _: &str) -> Result<Restored> {
        Err(entry::unknown_snapshot(snapshot))
    }

    async fn expire_snapshots(&self, _: &TenantId, _: Duration, _: bool) -> Result<Expired> {
        Ok(Expired::default())
    }

    /// Each goes by itself.
    async fn expire_short_term(&self, _: &TenantId, _: Timestamp, _: bool) -> Result<Over> {
        Ok(Over::default())
    }

    async fn overdue(&self, _: Timestamp) -> Result<Vec<TenantId>> {
        Ok(Vec::new())
    }
}

/// The refusal of what must not be lost with Redis.
fn elsewhere(what: &str) -> Error {
    Error::invalid(format!("Redis keeps no {what}: ask a memory of both layers, which keeps them where they last"))
}

#[async_trait]
impl Curation for Layers {
    async fn quarantine(&self, tenant: &TenantId, new: NewQuarantine) -> Result<Quarantined> {
        if let Suspect::Entry(id) = new.suspect
            && self.is_short(tenant, id).await?
        {
            return Err(goes(id, "put in quarantine by itself, but its source can"));
        }
        let mut done = self.long.quarantine(tenant, new).await?;
        self.stand_under(tenant).await?;
        done.entries.extend(unless_away(self.short.hidden_by(tenant, done.quarantine.id).await)?);
        done.entries.sort_unstable();
        Ok(done)
    }

    async fn release(&self, tenant: &TenantId, quarantine: Uuid, by: &str) -> Result<Released> {
        self.stand_under(tenant).await?;
        let hidden = unless_away(self.short.hidden_by(tenant, quarantine).await)?;
        let mut done = self.long.release(tenant, quarantine, by).await?;
        self.stand_under(tenant).await?;
        for id in hidden {
            let found = unless_away(self.short.get(tenant, id).await)?;
            done.entries.extend(found.filter(|found| found.standing == Standing::Current).map(|found| found.id));
        }
        done.entries.sort_unstable();
        Ok(done)
    }

    async fn quarantines(&self, tenant: &TenantId) -> Result<Vec<Quarantine>> {
        self.long.quarantines(tenant).await
    }

    async fn snapshot(&self, tenant: &TenantId, agent: Option<AgentId>, name: &str, by: &str) -> Result<Snapshot> {
        self.long.snapshot(tenant, agent, name, by).await
    }

    async fn snapshots(&self, tenant: &TenantId) -> Result<Vec<Snapshot>> {
        self.long.snapshots(tenant).await
    }

    async fn restore(&self, tenant: &TenantId, snapshot: Uuid, by: &str) -> Result<Restored> {
        self.long.restore(tenant, snapshot, by).await
    }

    async fn expire_snapshots(&self, tenant: &TenantId, older_than: Duration, dry_run: bool) -> Result<Expired> {
        self.long.expire_snapshots(tenant, older_than, dry_run).await
    }

    /// What is in Redis goes by itself; what was kept before there was one is where it lasts.
    async fn expire_short_term(&self, tenant: &TenantId, until: Timestamp, dry_run: bool) -> Result<Over> {
        self.long.expire_short_term(tenant, until, dry_run).await
    }

    async fn overdue(&self, until: Timestamp) -> Result<Vec<TenantId>> {
        self.long.overdue(until).await
    }
}
