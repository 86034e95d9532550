//! A memory whose disk is full after a while.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use l9_core::digest::Digest;
use l9_core::id::{AgentId, TenantId};
use l9_core::journal::Write;
use l9_core::memory::{
    Curation, Cursor, Edge, Entity, Entry, Expired, Graph, Hit, Listing, MemoryStore, NewEntry, NewQuarantine, Over,
    Page, Quarantine, Quarantined, Query, Released, Remembered, Restored, Scope, Session, Snapshot, Source, Stored,
    Used, Walk, When,
};
use l9_core::time::Timestamp;
use l9_core::{Error, ErrorKind, Result};
use l9_memory::in_memory::Memory;
use uuid::Uuid;

/// A memory that fails after some entries, as a full disk does.
#[derive(Debug)]
pub(crate) struct Failing {
    memory: Arc<Memory>,
    left: AtomicUsize,
}

impl Failing {
    pub(crate) fn after(left: usize, memory: &Arc<Memory>) -> Self {
        Self { memory: Arc::clone(memory), left: AtomicUsize::new(left) }
    }
}

#[async_trait]
impl MemoryStore for Failing {
    async fn remember(&self, tenant: &TenantId, entries: Vec<NewEntry>) -> Result<Vec<Remembered>> {
        let left = self.left.load(Ordering::Relaxed);
        let rest = left.checked_sub(entries.len());
        self.left.store(rest.ok_or_else(|| Error::new(ErrorKind::Exhausted, "the disk is full"))?, Ordering::Relaxed);
        self.memory.remember(tenant, entries).await
    }

    async fn prepare(&self, tenant: &TenantId, entries: Vec<NewEntry>) -> Result<(Vec<Remembered>, Write)> {
        self.memory.prepare(tenant, entries).await
    }

    async fn search(&self, scope: &Scope, query: &Query) -> Result<Vec<Hit>> {
        self.memory.search(scope, query).await
    }

    async fn get(&self, tenant: &TenantId, id: Uuid) -> Result<Option<Entry>> {
        self.memory.get(tenant, id).await
    }

    async fn forget(&self, tenant: &TenantId, id: Uuid) -> Result<bool> {
        self.memory.forget(tenant, id).await
    }

    async fn forget_source(&self, tenant: &TenantId, source: &str) -> Result<u64> {
        self.memory.forget_source(tenant, source).await
    }

    fn subject(&self, tenant: &TenantId, name: &str) -> Digest {
        self.memory.subject(tenant, name)
    }

    async fn erase(&self, tenant: &TenantId, subject: &Digest, also: &[Uuid], dry: bool) -> Result<BTreeSet<Uuid>> {
        self.memory.erase(tenant, subject, also, dry).await
    }

    async fn stored(&self, tenant: &TenantId, after: Option<Uuid>, limit: usize) -> Result<Vec<Stored>> {
        self.memory.stored(tenant, after, limit).await
    }

    async fn of_source(&self, tenant: &TenantId, source: &str) -> Result<Vec<Entry>> {
        self.memory.of_source(tenant, source).await
    }

    async fn sources(&self, tenant: &TenantId) -> Result<Vec<Source>> {
        self.memory.sources(tenant).await
    }

    async fn usage(&self, tenant: Option<&TenantId>, agent: Option<&AgentId>) -> Result<Used> {
        self.memory.usage(tenant, agent).await
    }

    async fn count(&self, scope: &Scope) -> Result<u64> {
        self.memory.count(scope).await
    }

    async fn supersede(&self, tenant: &TenantId, old: Uuid, new: NewEntry) -> Result<Remembered> {
        self.memory.supersede(tenant, old, new).await
    }

    async fn reinstate(&self, tenant: &TenantId, old: Uuid) -> Result<()> {
        self.memory.reinstate(tenant, old).await
    }

    async fn list(&self, scope: &Scope, listing: &Listing) -> Result<Page<Entry>> {
        self.memory.list(scope, listing).await
    }

    async fn sessions(&self, scope: &Scope, after: Option<Cursor>, limit: usize) -> Result<Page<Session>> {
        self.memory.sessions(scope, after, limit).await
    }
}

#[async_trait]
impl Curation for Failing {
    async fn quarantine(&self, tenant: &TenantId, new: NewQuarantine) -> Result<Quarantined> {
        self.memory.quarantine(tenant, new).await
    }

    async fn release(&self, tenant: &TenantId, quarantine: Uuid, by: &str) -> Result<Released> {
        self.memory.release(tenant, quarantine, by).await
    }

    async fn quarantines(&self, tenant: &TenantId) -> Result<Vec<Quarantine>> {
        self.memory.quarantines(tenant).await
    }

    async fn snapshot(&self, tenant: &TenantId, agent: Option<AgentId>, name: &str, by: &str) -> Result<Snapshot> {
        self.memory.snapshot(tenant, agent, name, by).await
    }

    async fn snapshots(&self, tenant: &TenantId) -> Result<Vec<Snapshot>> {
        self.memory.snapshots(tenant).await
    }

    async fn restore(&self, tenant: &TenantId, snapshot: Uuid, by: &str) -> Result<Restored> {
        self.memory.restore(tenant, snapshot, by).await
    }

    async fn expire_snapshots(&self, tenant: &TenantId, older_than: Duration, dry_run: bool) -> Result<Expired> {
        self.memory.expire_snapshots(tenant, older_than, dry_run).await
    }

    async fn expire_short_term(&self, tenant: &TenantId, until: Timestamp, dry_run: bool) -> Result<Over> {
        self.memory.expire_short_term(tenant, until, dry_run).await
    }

    async fn overdue(&self, until: Timestamp) -> Result<Vec<TenantId>> {
        self.memory.overdue(until).await
    }
}

#[async_trait]
impl Graph for Failing {
    async fn entities(&self, scope: &Scope, begins: &str, when: When, limit: usize) -> Result<Vec<Entity>> {
        self.memory.entities(scope, begins, when, limit).await
    }

    async fn walk(&self, scope: &Scope, walk: &Walk) -> Result<Vec<Edge>> {
        self.memory.walk(scope, walk).await
    }

    async fn path(&self, scope: &Scope, from: &str, to: &str, when: When, hops: u8) -> Result<Option<Vec<Edge>>> {
        self.memory.path(scope, from, to, when, hops).await
    }
}
