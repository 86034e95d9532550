//! The store of memories over Redis.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use l9_core::digest::Digest;
use l9_core::entropy::Entropy;
use l9_core::id::{AgentId, TenantId};
use l9_core::journal::Write;
use l9_core::memory::{
    Cursor, Entry, Hit, Listing, MemoryStore, NewEntry, Page, Quarantine, Query, Quota, Remembered, Scope, Session,
    Source, Stored, Used,
};
use l9_core::time::Clock;
use l9_core::vault::Vault;
use l9_core::{Error, ErrorKind, Result};
use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

use super::sealing;
use super::server::{Look, Server};
use crate::embed::{Asking, Embeddable};
use crate::{entry, in_memory};

/// How often a write is tried anew that others came before.
const TRIES: usize = 50;
/// Beyond the place of every entry in a database: of one time, short-term entries come after
/// those that last.
pub(super) const FIRST: i64 = 1 << 62;

/// Keeps memories in a Redis server, each for the same time.
pub struct Memory {
    server: Server,
    vault: Arc<dyn Vault>,
    ttl: Duration,
    /// What the tenants have there, as far as it was seen.
    pub(super) mirror: in_memory::Memory,
    tenants: Mutex<HashMap<TenantId, Arc<tokio::sync::Mutex<Seen>>>>,
}

/// How much of a tenant the mirror has.
#[derive(Debug, Default)]
pub(super) struct Seen {
    version: String,
    /// When each entry goes, by the server's clock, in milliseconds.
    until: HashMap<Uuid, u64>,
}

impl Memory {
    /// Over a server; what is kept goes after `ttl`.
    #[must_use]
    pub fn new(
        server: Server,
        ttl: Duration,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        vault: Arc<dyn Vault>,
    ) -> Self {
        Self { server, vault, ttl, mirror: in_memory::Memory::new(clock, entropy), tenants: Mutex::default() }
    }

    /// Finds by meaning too, as far as this process has made vectors: they are in no server.
    #[must_use]
    pub fn with_embedder(self, asking: Arc<Asking>) -> Self {
        Self { mirror: self.mirror.with_embedder(asking), ..self }
    }

    /// Keeps no more than a quota has room for.
    #[must_use]
    pub fn with_quota(self, quota: Quota) -> Self {
        Self { mirror: self.mirror.with_quota(quota), ..self }
    }

    /// What of the memories gets vectors.
    #[must_use]
    pub fn embeddable(&self) -> Arc<dyn Embeddable> {
        Arc::new(self.mirror.clone())
    }

    /// What stands for a tenant in keys.
    fn tag(&self, tenant: &TenantId) -> String {
        let token = self.vault.token(tenant, "memory.redis", tenant.as_str().as_bytes());
        token.to_string()[..32].to_owned()
    }

    /// The mirror of a tenant, brought up with the server; nobody else changes it meanwhile.
    pub(super) async fn synced(&self, tenant: &TenantId) -> Result<OwnedMutexGuard<Seen>> {
        let slot = {
            let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(tenants.entry(tenant.clone()).or_default())
        };
        let mut seen = slot.lock_owned().await;
        self.sync(tenant, &mut seen).await?;
        Ok(seen)
    }

    async fn sync(&self, tenant: &TenantId, seen: &mut Seen) -> Result<()> {
        let tag = self.tag(tenant);
        let Look { version, now, entries } = self.server.look(&tag, &seen.version).await?;
        if version.is_empty() || version != seen.version {
            let there: HashMap<Uuid, u64> = entries.into_iter().collect();
            let missing: Vec<Uuid> = there.keys().filter(|id| !seen.until.contains_key(id)).copied().collect();
            let opened = self.server.fetch(&tag, &missing).await?;
            let opened = opened.iter().filter_map(|(id, sealed)| self.open(tenant, *id, sealed));
            let mut opened = opened.collect::<Result<Vec<Entry>>>()?;
            opened.sort_by_key(|entry| (entry.recorded_at, entry.id));
            let gone: Vec<Uuid> = seen.until.keys().filter(|id| !there.contains_key(id)).copied().collect();
            self.mirror.let_go(tenant, &gone);
            self.mirror.take_in(tenant, opened);
            (seen.version, seen.until) = (version, there);
        }
        let over: Vec<Uuid> = seen.until.iter().filter(|(_, until)| **until <= now).map(|(id, _)| *id).collect();
        self.mirror.let_go(tenant, &over);
        seen.until.retain(|_, until| *until > now);
        Ok(())
    }

    /// Opens an entry. One that does not open, such as one whose root key was destroyed since,
    /// is left out: it goes by itself, and the others are worth having.
    fn open(&self, tenant: &TenantId, id: Uuid, sealed: &[u8]) -> Option<Result<Entry>> {
        match sealing::open(&*self.vault, tenant, id, sealed) {
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                tracing::warn!(%error, "a short-term memory is left out");
                None
            }
            opened => Some(opened),
        }
    }

    /// Has the quarantines of the memory beside it hold here too.
    pub(super) fn stand_under(&self, tenant: &TenantId, quarantines: &[Quarantine]) {
        self.mirror.stand_under(tenant, quarantines);
    }

    /// The entries that a quarantine hides.
    pub(super) async fn hidden_by(&self, tenant: &TenantId, quarantine: Uuid) -> Result<Vec<Uuid>> {
        let _seen = self.synced(tenant).await?;
        Ok(self.mirror.hidden_by(tenant, quarantine))
    }

    /// Everything a listing shows, with its place.
    pub(super) async fn listed(&self, scope: &Scope, listing: &Listing) -> Result<Vec<(Cursor, Entry)>> {
        let _seen = self.synced(&scope.tenant).await?;
        Ok(self.mirror.listed(scope, listing, FIRST))
    }

    /// All conversations, with their places.
    pub(super) async fn conversations(&self, scope: &Scope) -> Result<Vec<(Cursor, Session)>> {
        let _seen = self.synced(&scope.tenant).await?;
        Ok(self.mirror.conversations(scope, None, FIRST))
    }

    /// Keeps entries whose labels name whom they are about.
    pub(super) async fn keep(&self, tenant: &TenantId, new: Vec<NewEntry>) -> Result<Vec<Remembered>> {
        if new.is_empty() {
            return Ok(Vec::new());
        }
        let mut seen = self.synced(tenant).await?;
        let ttl = u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX);
        for _ in 0..TRIES {
            let (remembered, added) = self.mirror.decide(tenant, &new)?;
            if added.is_empty() {
                return Ok(remembered);
            }
            let sealed = |entry: &Entry| Ok((entry.id, sealing::seal(&*self.vault, tenant, entry)?));
            let sealed = added.iter().map(sealed).collect::<Result<Vec<_>>>()?;
            if let Some((version, until)) = self.server.keep(&self.tag(tenant), &seen.version, ttl, &sealed).await? {
                seen.version = version;
                seen.until.extend(added.iter().map(|entry| (entry.id, until)));
                self.mirror.take_in(tenant, added);
                return Ok(remembered);
            }
            self.sync(tenant, &mut seen).await?;
        }
        Err(Error::unavailable("others keep short-term memories of the tenant all the time: try again"))
    }

    async fn remove(&self, tenant: &TenantId, ids: Vec<Uuid>) -> Result<u64> {
        let mut removed = 0;
        if !ids.is_empty() {
            removed = self.server.forget(&self.tag(tenant), &ids).await?;
        }
        Ok(removed)
    }
}

#[async_trait]
impl MemoryStore for Memory {
    async fn remember(&self, tenant: &TenantId, mut new: Vec<NewEntry>) -> Result<Vec<Remembered>> {
        entry::check(&new)?;
        entry::about(&mut new, |subject| self.subject(tenant, subject));
        self.keep(tenant, new).await
    }

    async fn prepare(&self, _: &TenantId, _: Vec<NewEntry>) -> Result<(Vec<Remembered>, Write)> {
        Err(Error::invalid("what is kept in Redis cannot be written together with a journal: use the layer long_term"))
    }

    async fn search(&self, scope: &Scope, query: &Query) -> Result<Vec<Hit>> {
        entry::check_query(query)?;
        let _seen = self.synced(&scope.tenant).await?;
        self.mirror.search(scope, query).await
    }

    async fn get(&self, tenant: &TenantId, id: Uuid) -> Result<Option<Entry>> {
        let _seen = self.synced(tenant).await?;
        self.mirror.get(tenant, id).await
    }

    async fn forget(&self, tenant: &TenantId, id: Uuid) -> Result<bool> {
        Ok(self.remove(tenant, vec![id]).await? > 0)
    }

    async fn forget_source(&self, tenant: &TenantId, source: &str) -> Result<u64> {
        let ids = self.of_source(tenant, source).await?.into_iter().map(|entry| entry.id).collect();
        self.remove(tenant, ids).await
    }

    fn subject(&self, tenant: &TenantId, name: &str) -> Digest {
        entry::subject(&*self.vault, tenant, name)
    }

    async fn erase(&self, tenant: &TenantId, subject: &Digest, also: &[Uuid], dry: bool) -> Result<BTreeSet<Uuid>> {
        let ids = {
            let _seen = self.synced(tenant).await?;
            self.mirror.erase(tenant, subject, also, true).await?
        };
        if !dry {
            self.remove(tenant, ids.iter().copied().collect()).await?;
        }
        Ok(ids)
    }

    async fn stored(&self, tenant: &TenantId, after: Option<Uuid>, limit: usize) -> Result<Vec<Stored>> {
        let _seen = self.synced(tenant).await?;
        self.mirror.stored(tenant, after, limit).await
    }

    async fn of_source(&self, tenant: &TenantId, source: &str) -> Result<Vec<Entry>> {
        let _seen = self.synced(tenant).await?;
        self.mirror.of_source(tenant, source).await
    }

    async fn sources(&self, tenant: &TenantId) -> Result<Vec<Source>> {
        let _seen = self.synced(tenant).await?;
        self.mirror.sources(tenant).await
    }

    async fn usage(&self, tenant: Option<&TenantId>, agent: Option<&AgentId>) -> Result<Used> {
        match tenant {
            Some(tenant) => {
                let _seen = self.synced(tenant).await?;
                self.mirror.usage(Some(tenant), agent).await
            }
            // As far as this process has seen: the server's own use is told by the server.
            None => self.mirror.usage(None, agent).await,
        }
    }

    async fn count(&self, scope: &Scope) -> Result<u64> {
        let _seen = self.synced(&scope.tenant).await?;
        self.mirror.count(scope).await
    }

    async fn supersede(&self, _: &TenantId, old: Uuid, _: NewEntry) -> Result<Remembered> {
        Err(goes(old, "superseded"))
    }

    async fn reinstate(&self, _: &TenantId, old: Uuid) -> Result<()> {
        Err(goes(old, "reinstated"))
    }

    async fn list(&self, scope: &Scope, listing: &Listing) -> Result<Page<Entry>> {
        Ok(Page::cut(self.listed(scope, listing).await?, listing.limit))
    }

    async fn sessions(&self, scope: &Scope, after: Option<Cursor>, limit: usize) -> Result<Page<Session>> {
        let mut found = self.conversations(scope).await?;
        found.retain(|(cursor, _)| after.is_none_or(|after| *cursor < after));
        Ok(Page::cut(found, limit))
    }
}

/// The refusal of what an entry is not kept long enough for.
pub(super) fn goes(id: Uuid, what: &str) -> Error {
    Error::invalid(format!(
        "memory {id} is short-term and in Redis, and cannot be {what}: forget it, and keep what is true now"
    ))
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("server", &self.server).field("ttl", &self.ttl).finish_non_exhaustive()
    }
}
