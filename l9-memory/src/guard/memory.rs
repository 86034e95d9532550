//! The memory as everybody reaches it, over the memory as it is stored.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
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
use l9_core::redact::tokens::Tokens;
use l9_core::time::{Clock, Timestamp};
use l9_core::vault::Vault;
use l9_core::{Error, Result};
use uuid::Uuid;

use super::said::Said;
use crate::entry::SAID;
use crate::relations::TAKEN;

/// How often what is over is looked for where nobody asks.
const SWEEP: Duration = Duration::from_secs(60);

/// What stands before a memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Whether tokens stand in for personal data in what is kept from now on.
    pub tokens: bool,
    /// Whether words that look like orders to a model are labelled.
    pub scan: bool,
    /// How long short-term entries are kept.
    pub short_term: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { tokens: false, scan: true, short_term: Duration::from_secs(24 * 3600) }
    }
}

/// A memory with its guard. Whatever the settings, what was kept under others is answered
/// as it was kept.
#[derive(Debug)]
pub struct Guarded {
    memory: Arc<dyn MemoryStore>,
    tokens: Tokens,
    settings: Settings,
    clock: Arc<dyn Clock>,
    /// Before when no entry of a tenant is over: what others write meanwhile is over later.
    due: Mutex<HashMap<TenantId, Timestamp>>,
}

impl Guarded {
    /// Stands before a memory.
    #[must_use]
    pub fn new(memory: Arc<dyn MemoryStore>, vault: Arc<dyn Vault>, clock: Arc<dyn Clock>, settings: Settings) -> Self {
        Self { memory, tokens: Tokens::new(vault), settings, clock, due: Mutex::default() }
    }

    /// Removes what is over of every tenant, whether somebody asks or not, again and again.
    pub async fn sweep(self: Arc<Self>) {
        loop {
            self.clock.sleep(SWEEP).await;
            if let Err(error) = self.sweep_once().await {
                tracing::warn!(%error, "short-term memories whose time is over stay for now, and are in no answer");
            }
        }
    }

    /// Removes what is over of every tenant.
    ///
    /// # Errors
    /// `Unavailable` from the backend.
    pub async fn sweep_once(&self) -> Result<()> {
        let (_, until) = self.now();
        for tenant in self.memory.overdue(until).await? {
            self.memory.expire_short_term(&tenant, until, false).await?;
        }
        Ok(())
    }

    /// Now, and until when what was written is over.
    fn now(&self) -> (Timestamp, Timestamp) {
        let now = self.clock.now();
        (now, now.before(self.settings.short_term))
    }

    /// The tenant's memory, without what is over.
    async fn memory(&self, tenant: &TenantId) -> Result<&dyn MemoryStore> {
        let (now, until) = self.now();
        let due = self.due.lock().unwrap_or_else(PoisonError::into_inner).get(tenant).copied();
        if due.is_none_or(|due| due <= now) {
            let oldest = self.memory.expire_short_term(tenant, until, false).await?.oldest;
            let due = oldest.map_or(now, |oldest| oldest.min(now)).after(self.settings.short_term);
            self.due.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant.clone(), due);
        }
        Ok(&*self.memory)
    }

    /// What is kept of a new entry.
    fn entering(&self, tenant: &TenantId, mut entry: NewEntry) -> Result<NewEntry> {
        if let Some(own) = [SAID, TAKEN].into_iter().find(|own| entry.metadata.contains_key(*own)) {
            return Err(Error::invalid(format!("metadata has the name {own}, which L9 uses itself: use another")));
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
            self.tokens.stand_in(tenant, words, |_, _, _| {}).into_owned()
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
        self.memory(tenant).await?.remember(tenant, self.all_entering(tenant, entries)?).await
    }

    async fn prepare(&self, tenant: &TenantId, entries: Vec<NewEntry>) -> Result<(Vec<Remembered>, Write)> {
        self.memory(tenant).await?.prepare(tenant, self.all_entering(tenant, entries)?).await
    }

    async fn search(&self, scope: &Scope, query: &Query) -> Result<Vec<Hit>> {
        let asked = Query { text: self.asked(&scope.tenant, &query.text), ..query.clone() };
        let hits = self.memory(&scope.tenant).await?.search(scope, &asked).await?;
        Ok(hits.into_iter().map(|hit| Hit { entry: shown(hit.entry), ..hit }).collect())
    }

    async fn get(&self, tenant: &TenantId, id: Uuid) -> Result<Option<Entry>> {
        Ok(self.memory(tenant).await?.get(tenant, id).await?.map(shown))
    }

    async fn as_said(&self, tenant: &TenantId, id: Uuid) -> Result<Option<Entry>> {
        self.memory(tenant).await?.get(tenant, id).await?.map(said).transpose()
    }

    async fn supersede(&self, tenant: &TenantId, old: Uuid, new: NewEntry) -> Result<Remembered> {
        self.memory(tenant).await?.supersede(tenant, old, self.entering(tenant, new)?).await
    }

    async fn reinstate(&self, tenant: &TenantId, old: Uuid) -> Result<()> {
        self.memory(tenant).await?.reinstate(tenant, old).await
    }

    async fn forget(&self, tenant: &TenantId, id: Uuid) -> Result<bool> {
        self.memory(tenant).await?.forget(tenant, id).await
    }

    async fn forget_source(&self, tenant: &TenantId, source: &str) -> Result<u64> {
        self.memory(tenant).await?.forget_source(tenant, source).await
    }

    fn subject(&self, tenant: &TenantId, name: &str) -> Digest {
        self.memory.subject(tenant, name)
    }

    async fn erase(&self, tenant: &TenantId, subject: &Digest, also: &[Uuid], dry: bool) -> Result<BTreeSet<Uuid>> {
        self.memory(tenant).await?.erase(tenant, subject, also, dry).await
    }

    async fn stored(&self, tenant: &TenantId, after: Option<Uuid>, limit: usize) -> Result<Vec<Stored>> {
        let mut stored = self.memory(tenant).await?.stored(tenant, after, limit).await?;
        for Stored { entry, .. } in &mut stored {
            if let Ok(Some(kept)) = entry {
                *entry = said(kept.clone()).map(Some);
            }
        }
        Ok(stored)
    }

    /// As they were given: they are compared with what a source says now, and not answered.
    async fn of_source(&self, tenant: &TenantId, source: &str) -> Result<Vec<Entry>> {
        self.memory(tenant).await?.of_source(tenant, source).await?.into_iter().map(said).collect()
    }

    async fn sources(&self, tenant: &TenantId) -> Result<Vec<Source>> {
        let sources = self.memory(tenant).await?.sources(tenant).await?;
        sources.into_iter().map(|source| Ok(Source { newest: said(source.newest)?, ..source })).collect()
    }

    async fn usage(&self, tenant: Option<&TenantId>, agent: Option<&AgentId>) -> Result<Used> {
        let memory = match tenant {
            Some(tenant) => self.memory(tenant).await?,
            None => &*self.memory,
        };
        memory.usage(tenant, agent).await
    }

    async fn count(&self, scope: &Scope) -> Result<u64> {
        self.memory(&scope.tenant).await?.count(scope).await
    }

    async fn list(&self, scope: &Scope, listing: &Listing) -> Result<Page<Entry>> {
        let Page { items, next } = self.memory(&scope.tenant).await?.list(scope, listing).await?;
        Ok(Page { items: items.into_iter().map(shown).collect(), next })
    }

    async fn sessions(&self, scope: &Scope, after: Option<Cursor>, limit: usize) -> Result<Page<Session>> {
        self.memory(&scope.tenant).await?.sessions(scope, after, limit).await
    }
}

#[async_trait]
impl Graph for Guarded {
    async fn entities(&self, scope: &Scope, begins: &str, when: When, limit: usize) -> Result<Vec<Entity>> {
        self.memory(&scope.tenant).await?.entities(scope, &self.asked(&scope.tenant, begins), when, limit).await
    }

    async fn walk(&self, scope: &Scope, walk: &Walk) -> Result<Vec<Edge>> {
        let walk = Walk { from: self.asked(&scope.tenant, &walk.from), ..walk.clone() };
        self.memory(&scope.tenant).await?.walk(scope, &walk).await
    }

    async fn path(&self, scope: &Scope, from: &str, to: &str, when: When, hops: u8) -> Result<Option<Vec<Edge>>> {
        let (from, to) = (self.asked(&scope.tenant, from), self.asked(&scope.tenant, to));
        self.memory(&scope.tenant).await?.path(scope, &from, &to, when, hops).await
    }
}

#[async_trait]
impl Curation for Guarded {
    async fn quarantine(&self, tenant: &TenantId, new: NewQuarantine) -> Result<Quarantined> {
        self.memory(tenant).await?.quarantine(tenant, new).await
    }

    async fn release(&self, tenant: &TenantId, quarantine: Uuid, by: &str) -> Result<Released> {
        self.memory(tenant).await?.release(tenant, quarantine, by).await
    }

    async fn quarantines(&self, tenant: &TenantId) -> Result<Vec<Quarantine>> {
        self.memory(tenant).await?.quarantines(tenant).await
    }

    async fn snapshot(&self, tenant: &TenantId, agent: Option<AgentId>, name: &str, by: &str) -> Result<Snapshot> {
        self.memory(tenant).await?.snapshot(tenant, agent, name, by).await
    }

    async fn snapshots(&self, tenant: &TenantId) -> Result<Vec<Snapshot>> {
        self.memory(tenant).await?.snapshots(tenant).await
    }

    async fn restore(&self, tenant: &TenantId, snapshot: Uuid, by: &str) -> Result<Restored> {
        self.memory(tenant).await?.restore(tenant, snapshot, by).await
    }

    async fn expire_snapshots(&self, tenant: &TenantId, older_than: Duration, dry_run: bool) -> Result<Expired> {
        let (_, until) = self.now();
        let short_term = self.memory.expire_short_term(tenant, until, dry_run).await?.entries;
        let expired = self.memory.expire_snapshots(tenant, older_than, dry_run).await?;
        Ok(Expired { short_term, ..expired })
    }

    async fn expire_short_term(&self, tenant: &TenantId, until: Timestamp, dry_run: bool) -> Result<Over> {
        self.memory.expire_short_term(tenant, until, dry_run).await
    }

    async fn overdue(&self, until: Timestamp) -> Result<Vec<TenantId>> {
        self.memory.overdue(until).await
    }
}
