//! The store of memories over rows. Before every search the index of this process is
//! brought up with the rows, so that all processes of one database find the same.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use l9_core::digest::Digest;
use l9_core::entropy::Entropy;
use l9_core::id::TenantId;
use l9_core::journal::Write;
use l9_core::memory::{Entry, Hit, MemoryStore, NewEntry, Query, Remembered, Scope, Source};
use l9_core::time::Clock;
use l9_core::vault::Vault;
use l9_core::{Error, Result};
use uuid::Uuid;

use super::indexed::Slot;
use super::plan::{Addition, Keeper, Plan};
use super::rows::{Removal, Rows, SealedEntry};
use super::sealing::{self, Marks};
use crate::entry;
use crate::retrieval::{self, Filter, Found, Index, Terms};

/// How many entries are read at once while an index is built.
const LOAD: i64 = 4096;

/// Keeps memories in a database; clones share it.
#[derive(Clone)]
pub struct Memory {
    rows: Arc<dyn Rows>,
    keeper: Arc<Keeper>,
    indexes: Arc<Mutex<HashMap<TenantId, Arc<Slot>>>>,
}

impl Memory {
    /// Over a database whose key is bound.
    #[must_use]
    pub fn new<D: Rows + Clone + 'static>(
        database: &D,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        vault: Arc<dyn Vault>,
    ) -> Self {
        Self {
            rows: Arc::new(database.clone()),
            keeper: Arc::new(Keeper { clock, entropy, vault }),
            indexes: Arc::default(),
        }
    }

    fn slot(&self, tenant: &TenantId) -> Arc<Slot> {
        let mut indexes = self.indexes.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(indexes.entry(tenant.clone()).or_default())
    }

    fn vault(&self) -> &dyn Vault {
        &*self.keeper.vault
    }

    /// The tenant's index, brought up with the rows.
    async fn synced(&self, tenant: &TenantId) -> Result<Arc<Slot>> {
        let slot = self.slot(tenant);
        if self.is_current(tenant, &slot).await? {
            return Ok(slot);
        }
        {
            let _loading = slot.loading.lock().await;
            while !self.is_current(tenant, &slot).await? {
                self.load(tenant, &slot).await?;
            }
        }
        Ok(slot)
    }

    async fn is_current(&self, tenant: &TenantId, slot: &Slot) -> Result<bool> {
        let (entries, forgotten) = self.rows.newest(tenant).await?;
        let indexed = slot.indexed.read().unwrap_or_else(PoisonError::into_inner);
        Ok(entries <= indexed.entries && forgotten <= indexed.forgotten)
    }

    /// Takes in the next removals and entries.
    async fn load(&self, tenant: &TenantId, slot: &Arc<Slot>) -> Result<()> {
        let (entries, forgotten) = {
            let indexed = slot.indexed.read().unwrap_or_else(PoisonError::into_inner);
            (indexed.entries, indexed.forgotten)
        };
        let loaded = self.rows.load(tenant, entries, forgotten, LOAD).await?;
        let (whose, vault) = (tenant.clone(), Arc::clone(&self.keeper.vault));
        let mut opened =
            blocking(move || loaded.into_iter().map(|row| row.open(&*vault, &whose)).collect::<Result<Vec<_>>>())
                .await?;
        for document in opened.iter_mut().filter(|document| document.is_stale()) {
            if let Some(entry) = self.get(tenant, document.id).await? {
                document.terms = Some(Terms::of(&entry.entry.text));
            }
        }
        let slot = Arc::clone(slot);
        blocking(move || {
            slot.indexed.write().unwrap_or_else(PoisonError::into_inner).take_in(opened);
            Ok(())
        })
        .await
    }

    /// What is found and kept, in the order it was found.
    async fn fetch(&self, tenant: &TenantId, found: &[Found]) -> Result<Vec<Hit>> {
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<Uuid> = found.iter().map(|found| found.id).collect();
        let mut entries = HashMap::with_capacity(found.len());
        for row in self.rows.fetch(tenant, &ids).await? {
            entries.insert(row.id, self.open(tenant, &row)?);
        }
        // One that was forgotten meanwhile is left out.
        Ok(found
            .iter()
            .filter_map(|found| Some(Hit { entry: entries.remove(&found.id)?, score: found.score }))
            .collect())
    }

    fn open(&self, tenant: &TenantId, row: &SealedEntry) -> Result<Entry> {
        sealing::open(self.vault(), tenant, row.id, row.recorded_at, &row.sealed)
    }

    fn filter(&self, index: &Index, scope: &Scope, query: &Query) -> Filter {
        let (agent, session) = self.tokens(scope);
        Filter {
            agent: agent.map(|token| index.find_name(token.as_bytes())),
            session: session.map(|token| index.find_name(token.as_bytes())),
            layer: query.layer,
            as_of: query.as_of,
        }
    }

    /// The tokens of a scope's agent and session.
    fn tokens(&self, scope: &Scope) -> (Option<Digest>, Option<Digest>) {
        let (vault, tenant) = (self.vault(), &scope.tenant);
        let agent = scope.agent.as_ref().map(|agent| sealing::agent_token(vault, tenant, agent.as_str()));
        let session = scope.session.as_ref().map(|session| sealing::session_token(vault, tenant, session));
        (agent, session)
    }

    /// The marks of entries that seem to be kept already.
    async fn known(&self, tenant: &TenantId, new: &[NewEntry]) -> Result<HashSet<Digest>> {
        let marks: Vec<Marks> = new.iter().map(|new| Marks::of(self.vault(), tenant, new)).collect();
        let kept = self.rows.find(tenant, &marks).await?;
        Ok(kept.contents.into_keys().chain(kept.keys.into_keys()).collect())
    }
}

#[async_trait]
impl MemoryStore for Memory {
    async fn remember(&self, tenant: &TenantId, new: Vec<NewEntry>) -> Result<Vec<Remembered>> {
        entry::check(&new)?;
        if new.is_empty() {
            return Ok(Vec::new());
        }
        // What is known already need not be sealed; one entry alone is not worth a look.
        let mut known = if new.len() > 1 { self.known(tenant, &new).await? } else { HashSet::new() };
        loop {
            let (keeper, whose, entries) = (Arc::clone(&self.keeper), tenant.clone(), new.clone());
            let plan = blocking(move || Plan::new(keeper, whose, entries, &known)).await?;
            match self.rows.keep(plan).await? {
                Some(kept) => return Ok(kept),
                // Something was forgotten since the look: now everything is sealed.
                None => known = HashSet::new(),
            }
        }
    }

    async fn prepare(&self, tenant: &TenantId, new: Vec<NewEntry>) -> Result<(Vec<Remembered>, Write)> {
        entry::check(&new)?;
        let (keeper, whose) = (Arc::clone(&self.keeper), tenant.clone());
        let plan = blocking(move || Plan::new(keeper, whose, new, &HashSet::new())).await?;
        let kept = self.rows.find(tenant, &plan.marks()).await?;
        let decided = plan.decide(kept)?.ok_or_else(|| Error::internal("an entry was not prepared"))?;
        Ok((decided.remembered, Write::new(Addition { tenant: tenant.clone(), added: decided.added })))
    }

    async fn search(&self, scope: &Scope, query: &Query) -> Result<Vec<Hit>> {
        entry::check_query(query)?;
        let start = self.keeper.clock.monotonic();
        let slot = self.synced(&scope.tenant).await?;
        let found = {
            let indexed = slot.indexed.read().unwrap_or_else(PoisonError::into_inner);
            let filter = self.filter(&indexed.index, scope, query);
            indexed.index.search(&retrieval::Query::of(&query.text), &filter, query.k)
        };
        let hits = self.fetch(&scope.tenant, &found).await;
        let took = self.keeper.clock.monotonic().saturating_sub(start);
        metrics::histogram!("memory_retrieval_latency_ms").record(took.as_secs_f64() * 1000.0);
        hits
    }

    async fn get(&self, tenant: &TenantId, id: Uuid) -> Result<Option<Entry>> {
        let rows = self.rows.fetch(tenant, &[id]).await?;
        rows.first().map(|row| self.open(tenant, row)).transpose()
    }

    async fn forget(&self, tenant: &TenantId, id: Uuid) -> Result<bool> {
        Ok(self.rows.remove(tenant, Removal::Id(id)).await? > 0)
    }

    async fn forget_source(&self, tenant: &TenantId, source: &str) -> Result<u64> {
        let token = sealing::source_token(self.vault(), tenant, source);
        self.rows.remove(tenant, Removal::Source(token)).await
    }

    async fn of_source(&self, tenant: &TenantId, source: &str) -> Result<Vec<Entry>> {
        let rows = self.rows.of_source(tenant, sealing::source_token(self.vault(), tenant, source)).await?;
        let (memory, whose) = (self.clone(), tenant.clone());
        blocking(move || rows.iter().map(|row| memory.open(&whose, row)).collect()).await
    }

    async fn sources(&self, tenant: &TenantId) -> Result<Vec<Source>> {
        let rows = self.rows.sources(tenant).await?;
        let (memory, whose) = (self.clone(), tenant.clone());
        let open = move |(entries, row): &(u64, SealedEntry)| {
            Ok(Source { entries: *entries, newest: memory.open(&whose, row)? })
        };
        blocking(move || rows.iter().map(open).collect()).await
    }

    async fn count(&self, scope: &Scope) -> Result<u64> {
        let (agent, session) = self.tokens(scope);
        self.rows.count(&scope.tenant, agent, session).await
    }
}

/// Runs what takes the processor for a while where it holds up nobody.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::internal("a memory task ended").caused_by(error))?
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("database", &self.rows).finish_non_exhaustive()
    }
}
