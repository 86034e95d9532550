//! The memory as everybody reaches it, over the memory as it is stored.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use l9_core::id::{AgentId, TenantId};
use l9_core::journal::Write;
use l9_core::memory::{
    Curation, Cursor, Edge, Entity, Entry, Expired, Graph, Hit, Listing, MemoryStore, NewEntry, NewQuarantine, Page,
    Quarantine, Quarantined, Query, Released, Remembered, Restored, Scope, Session, Snapshot, Source, Walk, When,
};
use l9_core::redact::tokens::Tokens;
use l9_core::vault::Vault;
use l9_core::{Error, Result};
use uuid::Uuid;

use super::said::Said;
use crate::entry::SAID;

/// What stands before a memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Whether tokens stand in for personal data in what is kept from now on.
    pub tokens: bool,
    /// Whether words that look like orders to a model are labelled.
    pub scan: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { tokens: false, scan: true }
    }
}

/// A memory with its guard. Whatever the settings, what was kept under others is answered
/// as it was kept.
#[derive(Debug)]
pub struct Guarded {
    memory: Arc<dyn MemoryStore>,
    tokens: Tokens,
    settings: Settings,
}

impl Guarded {
    /// Stands before a memory.
    #[must_use]
    pub fn new(memory: Arc<dyn MemoryStore>, vault: Arc<dyn Vault>, settings: Settings) -> Self {
        Self { memory, tokens: Tokens::new(vault), settings }
    }

    /// What is kept of a new entry.
    fn entering(&self, tenant: &TenantId, mut entry: NewEntry) -> Result<NewEntry> {
        if entry.metadata.contains_key(SAID) {
            return Err(Error::invalid(format!("metadata has the name {SAID}, which L9 uses itself: use another")));
        }
        let mut said = Said::default();
        if self.settings.scan {
            said.label(&mut entry);
        }
        if self.settings.tokens {
            said.stand_in(&self.tokens, tenant, &mut entry);
        }
        said.put(&mut entry)?;
        Ok(entry)
    }

    fn all_entering(&self, tenant: &TenantId, entries: Vec<NewEntry>) -> Result<Vec<NewEntry>> {
        crate::entry::check(&entries)?;
        entries.into_iter().map(|entry| self.entering(tenant, entry)).collect()
    }

    /// The words of a question as they are kept.
    fn asked(&self, tenant: &TenantId, words: &str) -> String {
        if self.settings.tokens {
            self.tokens.stand_in(tenant, words, |_, _| {}).into_owned()
        } else {
            words.to_owned()
        }
    }
}

/// An entry as it is answered.
fn shown(mut entry: Entry) -> Entry {
    entry.entry.metadata.remove(SAID);
    entry
}

/// An entry as it was given.
fn said(mut entry: Entry) -> Result<Entry> {
    Said::take(&mut entry.entry)?.give_back(&mut entry.entry);
    Ok(entry)
}

#[async_trait]
impl MemoryStore for Guarded {
    async fn remember(&self, tenant: &TenantId, entries: Vec<NewEntry>) -> Result<Vec<Remembered>> {
        self.memory.remember(tenant, self.all_entering(tenant, entries)?).await
    }

    async fn prepare(&self, tenant: &TenantId, entries: Vec<NewEntry>) -> Result<(Vec<Remembered>, Write)> {
        self.memory.prepare(tenant, self.all_entering(tenant, entries)?).await
    }

    async fn search(&self, scope: &Scope, query: &Query) -> Result<Vec<Hit>> {
        let asked = Query { text: self.asked(&scope.tenant, &query.text), ..query.clone() };
        let hits = self.memory.search(scope, &asked).await?;
        Ok(hits.into_iter().map(|hit| Hit { entry: shown(hit.entry), ..hit }).collect())
    }

    async fn get(&self, tenant: &TenantId, id: Uuid) -> Result<Option<Entry>> {
        Ok(self.memory.get(tenant, id).await?.map(shown))
    }

    async fn as_said(&self, tenant: &TenantId, id: Uuid) -> Result<Option<Entry>> {
        self.memory.get(tenant, id).await?.map(said).transpose()
    }

    async fn supersede(&self, tenant: &TenantId, old: Uuid, new: NewEntry) -> Result<Remembered> {
        self.memory.supersede(tenant, old, self.entering(tenant, new)?).await
    }

    async fn reinstate(&self, tenant: &TenantId, old: Uuid) -> Result<()> {
        self.memory.reinstate(tenant, old).await
    }

    async fn forget(&self, tenant: &TenantId, id: Uuid) -> Result<bool> {
        self.memory.forget(tenant, id).await
    }

    async fn forget_source(&self, tenant: &TenantId, source: &str) -> Result<u64> {
        self.memory.forget_source(tenant, source).await
    }

    /// As they were given: they are compared with what a source says now, and not answered.
    async fn of_source(&self, tenant: &TenantId, source: &str) -> Result<Vec<Entry>> {
        self.memory.of_source(tenant, source).await?.into_iter().map(said).collect()
    }

    async fn sources(&self, tenant: &TenantId) -> Result<Vec<Source>> {
        let sources = self.memory.sources(tenant).await?;
        sources.into_iter().map(|source| Ok(Source { newest: said(source.newest)?, ..source })).collect()
    }

    async fn count(&self, scope: &Scope) -> Result<u64> {
        self.memory.count(scope).await
    }

    async fn list(&self, scope: &Scope, listing: &Listing) -> Result<Page<Entry>> {
        let Page { items, next } = self.memory.list(scope, listing).await?;
        Ok(Page { items: items.into_iter().map(shown).collect(), next })
    }

    async fn sessions(&self, scope: &Scope, after: Option<Cursor>, limit: usize) -> Result<Page<Session>> {
        self.memory.sessions(scope, after, limit).await
    }
}

#[async_trait]
impl Graph for Guarded {
    async fn entities(&self, scope: &Scope, begins: &str, when: When, limit: usize) -> Result<Vec<Entity>> {
        self.memory.entities(scope, &self.asked(&scope.tenant, begins), when, limit).await
    }

    async fn walk(&self, scope: &Scope, walk: &Walk) -> Result<Vec<Edge>> {
        let walk = Walk { from: self.asked(&scope.tenant, &walk.from), ..walk.clone() };
        self.memory.walk(scope, &walk).await
    }

    async fn path(&self, scope: &Scope, from: &str, to: &str, when: When, hops: u8) -> Result<Option<Vec<Edge>>> {
        let (from, to) = (self.asked(&scope.tenant, from), self.asked(&scope.tenant, to));
        self.memory.path(scope, &from, &to, when, hops).await
    }
}

#[async_trait]
impl Curation for Guarded {
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
}
