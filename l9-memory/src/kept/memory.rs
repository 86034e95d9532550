//! The store of memories over rows. Before every search the index of this process is
//! brought up with the rows, so that all processes of one database find the same.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::future::{BoxFuture, OptionFuture, join3};
use l9_core::digest::Digest;
use l9_core::entropy::Entropy;
use l9_core::id::{AgentId, TenantId};
use l9_core::journal::Write;
use l9_core::memory::{
    Cursor, Entry, Hit, Listing, MemoryStore, NewEntry, Page, Query, Quota, Remembered, Scope, Session, Source,
    Standing, Stored, Used,
};
use l9_core::time::{Clock, Timestamp};
use l9_core::vault::Vault;
use l9_core::{Error, Result};
use uuid::Uuid;

use super::changing::{self, Forgotten, Superseding};
use super::connection::{Answer, Connection, Job, Value};
use super::curation::unreadable;
use super::indexed::{Changed, Loaded, Opened, Slot};
use super::plan::{Addition, Keeper, Plan};
use super::rows::{Rows, SealedEntry};
use super::sealing::{self, Marks};
use super::subjects;
use super::unsealed::Unsealed;
use crate::embed::Asking;
use crate::entry;
use crate::retrieval::{self, Candidates, Filter, Index, Meant, Terms, looked_at};
use crate::vault::SubjectKeys;

/// How many entries are read at once while an index is built.
const LOAD: usize = 4096;

/// How many entries are opened where they are asked for; more are opened where they hold up nobody.
const FEW: usize = 32;

/// Keeps memories in a database; clones share it.
#[derive(Clone)]
pub struct Memory {
    pub(super) rows: Arc<dyn Rows>,
    pub(super) keeper: Arc<Keeper>,
    indexes: Arc<Mutex<HashMap<TenantId, Arc<Slot>>>>,
    pub(super) asking: Option<Arc<Asking>>,
    pub(super) unsealed: Option<Arc<dyn Unsealed>>,
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
            keeper: Arc::new(Keeper { clock, entropy, vault, quota: Quota::default() }),
            indexes: Arc::default(),
            asking: None,
            unsealed: None,
        }
    }

    /// Finds by meaning too, as far as entries have vectors of this embedder.
    #[must_use]
    pub fn with_embedder(self, asking: Arc<Asking>) -> Self {
        Self { indexes: Arc::default(), asking: Some(asking), ..self }
    }

    /// Keeps no more than a quota has room for.
    #[must_use]
    pub fn with_quota(self, quota: Quota) -> Self {
        let keeper = Keeper { quota, ..Keeper::clone(&self.keeper) };
        Self { keeper: Arc::new(keeper), ..self }
    }

    /// Keeps vectors of some layers open in the database, and searches them there.
    #[must_use]
    pub fn with_unsealed(self, unsealed: Arc<dyn Unsealed>) -> Self {
        Self { unsealed: Some(unsealed), ..self }
    }

    fn slot(&self, tenant: &TenantId) -> Arc<Slot> {
        let mut indexes = self.indexes.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(indexes.entry(tenant.clone()).or_default())
    }

    pub(super) fn vault(&self) -> &dyn Vault {
        &*self.keeper.vault
    }

    /// The tenant's index, brought up with the rows.
    pub(super) async fn synced(&self, tenant: &TenantId) -> Result<Arc<Slot>> {
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
        let (entries, changes) = self.rows.newest(tenant).await?;
        let indexed = slot.indexed.read().unwrap_or_else(PoisonError::into_inner);
        Ok(entries <= indexed.entries && changes <= indexed.changes)
    }

    /// Takes in the next changes and entries.
    async fn load(&self, tenant: &TenantId, slot: &Arc<Slot>) -> Result<()> {
        let begins = {
            let indexed = slot.indexed.read().unwrap_or_else(PoisonError::into_inner);
            Stand { entries: indexed.entries, changes: indexed.changes }
        };
        // While some are taken in, those that follow are opened, and the ones after them read.
        let (mut read, mut opened) = (Some(self.read(tenant, begins).await?), None);
        while read.is_some() || opened.is_some() {
            let follows = read.as_ref().filter(|part| part.rows.len() >= LOAD).map(Part::ends);
            let (some, many) = (opened.take(), read.take());
            let taken = OptionFuture::from(some.map(|part| take_in(slot, part)));
            let opens = OptionFuture::from(many.map(|part| self.open_part(tenant, part)));
            let reads = OptionFuture::from(follows.map(|begins| self.read(tenant, begins)));
            let (taken, opens, reads) = join3(taken, opens, reads).await;
            taken.transpose()?;
            (opened, read) = (opens.transpose()?, reads.transpose()?);
        }
        Ok(())
    }

    async fn read(&self, tenant: &TenantId, begins: Stand) -> Result<Part<Loaded>> {
        let rows = self.rows.load(tenant, begins.entries, begins.changes, LOAD as i64).await?;
        Ok(Part { begins, rows })
    }

    async fn open_part(&self, tenant: &TenantId, part: Part<Loaded>) -> Result<Part<Opened>> {
        let Part { begins, rows: loaded } = part;
        let keys = self.keys_of(tenant, loaded.iter().filter_map(Loaded::sealed)).await?;
        let (whose, vault) = (tenant.clone(), Arc::clone(&self.keeper.vault));
        let open = move |row: Loaded| row.open(&*vault, &keys, &whose);
        let mut opened = blocking(move || loaded.into_iter().map(open).collect::<Result<Vec<_>>>()).await?;
        let stale: Vec<Uuid> = opened.iter().filter(|row| row.stale).map(|row| row.id).collect();
        if !stale.is_empty() {
            let rows = self.rows.fetch(tenant, &stale).await?;
            let entries = self.opened(tenant, rows).await?;
            let terms = move || Ok(entries.into_iter().map(|entry| (entry.id, Terms::of(&entry.entry))).collect());
            let mut terms: HashMap<Uuid, Terms> = blocking(terms).await?;
            opened.iter_mut().filter(|row| row.stale).for_each(|row| row.terms = terms.remove(&row.id));
        }
        Ok(Part { begins, rows: opened })
    }

    /// What is found and kept, in the order it was found.
    async fn fetch(&self, tenant: &TenantId, query: &Query, found: Candidates) -> Result<Vec<Hit>> {
        let entries = self.shown(tenant, query, &found.ids()).await?;
        Ok(found.answer(entries))
    }

    /// Opens rows, in their order; what was erased meanwhile is left out.
    pub(super) async fn opened(&self, tenant: &TenantId, rows: Vec<SealedEntry>) -> Result<Vec<Entry>> {
        let keys = self.keys_of(tenant, subjects::bytes_of(&rows)).await?;
        if rows.len() <= FEW {
            return rows.iter().filter_map(|row| self.open(tenant, &keys, row).transpose()).collect();
        }
        let (memory, whose) = (self.clone(), tenant.clone());
        blocking(move || rows.iter().filter_map(|row| memory.open(&whose, &keys, row).transpose()).collect()).await
    }

    pub(super) fn open(&self, tenant: &TenantId, keys: &SubjectKeys, row: &SealedEntry) -> Result<Option<Entry>> {
        let entry = sealing::open(self.vault(), keys, tenant, (row.id, row.recorded_at), &row.sealed)?;
        Ok(entry.map(|entry| Entry { standing: row.standing(), superseded_by: row.superseded_by, ..entry }))
    }

    pub(super) fn filter(&self, index: &Index, scope: &Scope, query: &Query) -> Filter {
        let (agent, session) = self.tokens(scope);
        Filter {
            agent: agent.map(|token| index.find_name(token.as_bytes())),
            session: session.map(|token| index.find_name(token.as_bytes())),
            layer: query.layer,
            as_of: query.as_of,
            valid_at: query.valid_at,
        }
    }

    /// The tokens of a scope's agent and session.
    pub(super) fn tokens(&self, scope: &Scope) -> (Option<Digest>, Option<Digest>) {
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

    async fn forget_all(&self, tenant: &TenantId, what: Forgotten) -> Result<u64> {
        let (whose, now) = (tenant.clone(), self.keeper.clock.now());
        self.write(tenant, 2, move |c| Box::pin(async move { changing::forget(c, &whose, what, now).await })).await
    }

    /// Those of some entries that may be in an answer: one that was hidden meanwhile is left out.
    pub(super) async fn shown(&self, tenant: &TenantId, query: &Query, ids: &[Uuid]) -> Result<HashMap<Uuid, Entry>> {
        let mut rows = self.rows.fetch(tenant, ids).await?;
        rows.retain(|row| row.is_shown(query));
        Ok(self.opened(tenant, rows).await?.into_iter().map(|entry| (entry.id, entry)).collect())
    }

    /// The one number that a statement gives.
    pub(super) async fn number(&self, sql: &str, values: &[Value]) -> Result<i64> {
        let found = self.rows.read(sql, values).await?;
        found.first().map_or(Ok(0), |row| row.number(0)).map_err(unreadable)
    }

    /// Runs work in one transaction that alone writes the tenant's memories.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        tenant: &TenantId,
        rows: usize,
        work: impl for<'c> FnOnce(&'c mut dyn Connection) -> BoxFuture<'c, Answer<T>> + Send + 'static,
    ) -> Result<T> {
        let answer = Arc::new(Mutex::new(None));
        let fill = Arc::clone(&answer);
        let job = job_of(move |c| {
            Box::pin(async move {
                Ok(work(c).await?.map(|value| *fill.lock().unwrap_or_else(PoisonError::into_inner) = Some(value)))
            })
        });
        self.rows.write(tenant, rows, job).await?;
        let answer = answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        answer.ok_or_else(|| Error::internal("a write of memories was left out"))
    }

    /// What derives from an entry is about whom that is about.
    async fn with_subjects_of_origins(&self, tenant: &TenantId, mut new: Vec<NewEntry>) -> Result<Vec<NewEntry>> {
        let mut origins: Vec<Uuid> = new.iter().flat_map(|new| new.derived_from.iter().copied()).collect();
        origins.sort_unstable();
        origins.dedup();
        if !origins.is_empty() {
            let rows = self.rows.fetch(tenant, &origins).await?;
            let entries: HashMap<Uuid, Entry> =
                self.opened(tenant, rows).await?.into_iter().map(|entry| (entry.id, entry)).collect();
            for new in &mut new {
                let origins = new.derived_from.iter().filter_map(|origin| entries.get(origin));
                new.label.subjects.extend(origins.flat_map(|origin| &origin.entry.label.subjects));
            }
        }
        Ok(new)
    }

    /// Makes entries ready to be kept.
    pub(super) async fn plan(
        &self,
        tenant: &TenantId,
        new: Vec<NewEntry>,
        known: HashSet<Digest>,
        made: (Timestamp, u32),
    ) -> Result<Plan> {
        let new = self.with_subjects_of_origins(tenant, new).await?;
        new.iter().try_for_each(entry::check_subjects)?;
        let about = new.iter().flat_map(|new| &new.label.subjects).copied().collect();
        let subjects = self.keys_for(tenant, &about).await?;
        let (keeper, whose) = (Arc::clone(&self.keeper), tenant.clone());
        blocking(move || Plan::new(keeper, whose, new, &known, &subjects, made)).await
    }
}

/// Gives a closure the type of a job of any lifetime.
fn job_of<F>(job: F) -> Job
where
    F: for<'c> FnOnce(&'c mut dyn Connection) -> BoxFuture<'c, Answer<()>> + Send + 'static,
{
    Box::new(job)
}

#[async_trait]
impl MemoryStore for Memory {
    async fn remember(&self, tenant: &TenantId, mut new: Vec<NewEntry>) -> Result<Vec<Remembered>> {
        entry::check(&new)?;
        entry::about(&mut new, |subject| self.subject(tenant, subject));
        if new.is_empty() {
            return Ok(Vec::new());
        }
        // What is known already need not be sealed; one entry alone is not worth a look.
        let mut known = if new.len() > 1 { self.known(tenant, &new).await? } else { HashSet::new() };
        let (now, mut attempt) = (self.keeper.clock.now(), 0);
        loop {
            let looked = !known.is_empty();
            let plan = self.plan(tenant, new.clone(), known, (now, attempt)).await?;
            let rows = plan.len();
            match self.write(tenant, rows, |c| Box::pin(changing::keep(c, plan))).await? {
                Some(kept) => return Ok(kept),
                // Something was forgotten since the look: now everything is sealed.
                None if looked => known = HashSet::new(),
                None => (known, attempt) = (HashSet::new(), attempt + 1),
            }
        }
    }

    async fn prepare(&self, tenant: &TenantId, mut new: Vec<NewEntry>) -> Result<(Vec<Remembered>, Write)> {
        entry::check(&new)?;
        entry::about(&mut new, |subject| self.subject(tenant, subject));
        let (now, mut attempt) = (self.keeper.clock.now(), 0);
        loop {
            let plan = self.plan(tenant, new.clone(), HashSet::new(), (now, attempt)).await?;
            let origins: Vec<Uuid> = plan.origins().collect();
            let there = self.rows.fetch(tenant, &origins).await?;
            let is_there = |id: &Uuid| there.iter().any(|row| row.id == *id && row.standing() != Standing::Forgotten);
            if let Some(origin) = origins.iter().find(|origin| !is_there(origin)) {
                return Err(entry::unknown_origin(*origin));
            }
            let seeded = plan.is_seeded();
            let kept = self.rows.find(tenant, &plan.marks()).await?;
            let keys = self.keys_of(tenant, kept.keys.values().map(|known| known.sealed.as_slice())).await?;
            let decided = plan.decide(kept, &keys)?.ok_or_else(|| Error::internal("an entry was not prepared"))?;
            let ids: Vec<Uuid> = decided.added.iter().map(|new| new.id).collect();
            if seeded && !self.rows.fetch(tenant, &ids).await?.is_empty() {
                attempt += 1;
                continue;
            }
            self.hold(tenant, &decided.added).await?;
            let addition = Addition { tenant: tenant.clone(), added: decided.added, quota: self.keeper.quota };
            return Ok((decided.remembered, Write::new(addition)));
        }
    }

    async fn search(&self, scope: &Scope, query: &Query) -> Result<Vec<Hit>> {
        entry::check_query(query)?;
        let start = self.keeper.clock.monotonic();
        let meant = match &self.asking {
            Some(asking) => asking.meant(&query.text).await,
            None => Meant::Unasked,
        };
        let slot = self.synced(&scope.tenant).await?;
        let mut near = Vec::new();
        if let Meant::Vector(vector) = &meant {
            self.sync_vectors(&scope.tenant, &slot).await?;
            near = self.near_unsealed(&slot, (scope, query), vector).await?;
        }
        let found = {
            let indexed = slot.indexed.read().unwrap_or_else(PoisonError::into_inner);
            let filter = self.filter(&indexed.index, scope, query);
            let asked = retrieval::Query::of(&query.text).meaning(meant).beside(near);
            Candidates::of(indexed.index.search(&asked, &filter, looked_at(query), query.explain), query)
        };
        let hits = self.fetch(&scope.tenant, query, found).await;
        let took = self.keeper.clock.monotonic().saturating_sub(start);
        metrics::histogram!("memory_retrieval_latency_ms").record(took.as_secs_f64() * 1000.0);
        hits
    }

    async fn get(&self, tenant: &TenantId, id: Uuid) -> Result<Option<Entry>> {
        let rows = self.rows.fetch(tenant, &[id]).await?;
        let entry = self.opened(tenant, rows).await?.pop();
        Ok(entry.filter(|entry| entry.standing != Standing::Forgotten))
    }

    async fn supersede(&self, tenant: &TenantId, old: Uuid, new: NewEntry) -> Result<Remembered> {
        let (now, mut attempt) = (self.keeper.clock.now(), 0);
        let kept = self.get(tenant, old).await?.ok_or_else(|| entry::unknown(old))?;
        let mut new = entry::superseding(&kept.entry, new, now);
        entry::about(std::slice::from_mut(&mut new), |subject| self.subject(tenant, subject));
        entry::check(std::slice::from_ref(&new))?;
        let valid_from = new.valid_from.unwrap_or(now);
        loop {
            let plan = self.plan(tenant, vec![new.clone()], HashSet::new(), (now, attempt)).await?.superseding(old);
            let superseding = Superseding { old, valid_from, now };
            match self.write(tenant, 2, |c| Box::pin(changing::supersede(c, plan, superseding))).await? {
                Some(remembered) => return Ok(remembered),
                None => attempt += 1,
            }
        }
    }

    async fn reinstate(&self, tenant: &TenantId, old: Uuid) -> Result<()> {
        let (whose, now) = (tenant.clone(), self.keeper.clock.now());
        self.write(tenant, 2, move |c| Box::pin(async move { changing::reinstate(c, &whose, old, now).await })).await
    }

    async fn forget(&self, tenant: &TenantId, id: Uuid) -> Result<bool> {
        Ok(self.forget_all(tenant, Forgotten::Id(id)).await? > 0)
    }

    async fn forget_source(&self, tenant: &TenantId, source: &str) -> Result<u64> {
        let token = sealing::source_token(self.vault(), tenant, source);
        self.forget_all(tenant, Forgotten::Source((&token).into())).await
    }

    fn subject(&self, tenant: &TenantId, name: &str) -> Digest {
        entry::subject(self.vault(), tenant, name)
    }

    async fn erase(&self, tenant: &TenantId, subject: &Digest, also: &[Uuid], dry: bool) -> Result<BTreeSet<Uuid>> {
        self.erased(tenant, subject, also, dry).await
    }

    async fn stored(&self, tenant: &TenantId, after: Option<Uuid>, limit: usize) -> Result<Vec<Stored>> {
        self.all_stored(tenant, after, limit).await
    }

    async fn of_source(&self, tenant: &TenantId, source: &str) -> Result<Vec<Entry>> {
        self.all_of_source(tenant, source).await
    }

    async fn sources(&self, tenant: &TenantId) -> Result<Vec<Source>> {
        self.all_sources(tenant).await
    }

    async fn usage(&self, tenant: Option<&TenantId>, agent: Option<&AgentId>) -> Result<Used> {
        self.used(tenant, agent).await
    }

    async fn count(&self, scope: &Scope) -> Result<u64> {
        self.counted(scope).await
    }

    async fn list(&self, scope: &Scope, listing: &Listing) -> Result<Page<Entry>> {
        self.listed(scope, listing).await
    }

    async fn sessions(&self, scope: &Scope, after: Option<Cursor>, limit: usize) -> Result<Page<Session>> {
        self.conversations(scope, after, limit).await
    }
}

/// How far a tenant's rows are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stand {
    entries: i64,
    changes: i64,
}

/// Some of a tenant's rows, in their order.
struct Part<R> {
    begins: Stand,
    rows: Vec<R>,
}

impl Part<Loaded> {
    /// How far they are known after it.
    fn ends(&self) -> Stand {
        self.rows.iter().fold(self.begins, |known, row| match row.what {
            Changed::Added(_) => Stand { entries: known.entries.max(row.position), ..known },
            _ => Stand { changes: known.changes.max(row.position), ..known },
        })
    }
}

/// Adds rows to the index, unless another has gone on from where they begin: whoever asked may
/// be gone.
async fn take_in(slot: &Arc<Slot>, part: Part<Opened>) -> Result<()> {
    let slot = Arc::clone(slot);
    blocking(move || {
        let mut indexed = slot.indexed.write().unwrap_or_else(PoisonError::into_inner);
        if (Stand { entries: indexed.entries, changes: indexed.changes }) == part.begins {
            indexed.take_in(part.rows);
        }
        Ok(())
    })
    .await
}

/// Runs what takes the processor for a while where it holds up nobody.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::internal("a memory task ended").caused_by(error))?
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("database", &self.rows).finish_non_exhaustive()
    }
}
