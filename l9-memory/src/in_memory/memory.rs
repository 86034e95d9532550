//! Memories in this process.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use l9_core::digest::{Digest, sha256};
use l9_core::entropy::Entropy;
use l9_core::id::{AgentId, TenantId};
use l9_core::journal::Write;
use l9_core::memory::{
    Cursor, Entry, Hit, Listing, MemoryStore, NewEntry, Order, Page, Query, Quota, Remembered, Scope, Session, Shown,
    Source, Standing, Stored, Used,
};
use l9_core::time::{Clock, Timestamp};
use l9_core::{Error, Result};
use uuid::Uuid;

use super::store::Store;
use super::tenant::{Added, Kept, Tenant};
use crate::embed::Asking;
use crate::entry;
use crate::retrieval::{self, Candidates, Meant, looked_at};

/// Keeps memories in this process; clones share them.
#[derive(Clone)]
pub struct Memory {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    tenants: Tenants,
    asking: Option<Arc<Asking>>,
    pub(super) quota: Quota,
    /// The runs beside: what one said is kept only while its records are there.
    pub(super) runs: Option<Arc<Store>>,
}

type Tenants = Arc<Mutex<HashMap<TenantId, Tenant>>>;

/// New entries that are written with an append to the journal beside.
pub(super) struct Addition {
    tenants: Tenants,
    tenant: TenantId,
    added: Vec<Added>,
    quota: Quota,
}

impl Addition {
    /// Keeps them, all or none; tells whether they were all still new and there was room.
    pub(super) fn keep(&self) -> bool {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = tenants.entry(self.tenant.clone()).or_default();
        let fits = self.added.iter().all(|added| kept.fits(added)) && kept.hold(&self.quota, &self.added).is_ok();
        if fits {
            self.added.iter().for_each(|added| kept.insert(added.clone()));
        }
        fits
    }
}

impl Memory {
    /// An empty one.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self { clock, entropy, tenants: Arc::default(), asking: None, quota: Quota::default(), runs: None }
    }

    /// Finds by meaning too, as far as entries have vectors of this embedder.
    #[must_use]
    pub fn with_embedder(self, asking: Arc<Asking>) -> Self {
        Self { asking: Some(asking), ..self }
    }

    /// Looks at these runs when something that one said is to be kept.
    #[must_use]
    pub fn beside(self, runs: Arc<Store>) -> Self {
        Self { runs: Some(runs), ..self }
    }

    /// Keeps no more than a quota has room for.
    #[must_use]
    pub fn with_quota(self, quota: Quota) -> Self {
        Self { quota, ..self }
    }

    /// Everything a listing shows, in its order, whatever its limit; places begin beyond `first`.
    pub(crate) fn listed(&self, scope: &Scope, listing: &Listing, first: i64) -> Vec<(Cursor, Entry)> {
        let Listing { layer, source, shown, order, after, .. } = listing;
        let passes = |entry: &Entry| {
            let wanted = match entry.standing {
                Standing::Current => *shown != Shown::Hidden,
                Standing::Forgotten => false,
                _ => *shown != Shown::Current,
            };
            wanted
                && layer.is_none_or(|layer| layer == entry.entry.layer)
                && (source.is_none() || *source == entry.entry.source)
        };
        let mut found = self.tenants().get(&scope.tenant).map_or_else(Vec::new, |kept| kept.listed(scope, passes));
        found.iter_mut().for_each(|(cursor, _)| cursor.position += first);
        if *order == Order::Newest {
            found.reverse();
        }
        found.retain(|(cursor, _)| {
            after.is_none_or(|after| if *order == Order::Newest { *cursor < after } else { *cursor > after })
        });
        found
    }

    /// All conversations, the one that was said something in last first; places begin beyond
    /// `first`.
    pub(crate) fn conversations(&self, scope: &Scope, after: Option<Cursor>, first: i64) -> Vec<(Cursor, Session)> {
        let listing = Listing::new(Order::Oldest, 0);
        let mut sessions: HashMap<String, (Cursor, Session)> = HashMap::new();
        for (cursor, entry) in self.listed(scope, &listing, first) {
            let at = Timestamp::from_millis(cursor.at);
            let Some(name) = entry.entry.session else { continue };
            let new = Session { session: name.clone(), first: at, last: at, entries: 0 };
            let (end, session) = sessions.entry(name).or_insert((cursor, new));
            // They come in the order of time; of those of the last time, the last kept counts.
            (*end, session.last) = (cursor, at);
            session.entries += 1;
        }
        let mut found: Vec<(Cursor, Session)> = sessions.into_values().collect();
        found.sort_by_key(|(cursor, _)| std::cmp::Reverse(*cursor));
        found.retain(|(cursor, _)| after.is_none_or(|after| *cursor < after));
        found
    }

    pub(super) fn tenants(&self) -> MutexGuard<'_, HashMap<TenantId, Tenant>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl MemoryStore for Memory {
    async fn remember(&self, tenant: &TenantId, mut entries: Vec<NewEntry>) -> Result<Vec<Remembered>> {
        entry::check(&entries)?;
        entry::about(&mut entries, |subject| self.subject(tenant, subject));
        let mut tenants = self.tenants();
        let kept = tenants.entry(tenant.clone()).or_default();
        let (out, added) = kept.decide(tenant, &entries, None, self.clock.now(), &*self.entropy)?;
        kept.hold(&self.quota, &added)?;
        added.into_iter().for_each(|added| kept.insert(added));
        Ok(out)
    }

    async fn prepare(&self, tenant: &TenantId, mut entries: Vec<NewEntry>) -> Result<(Vec<Remembered>, Write)> {
        entry::check(&entries)?;
        entry::about(&mut entries, |subject| self.subject(tenant, subject));
        let mut tenants = self.tenants();
        let kept = tenants.entry(tenant.clone()).or_default();
        let (out, added) = kept.decide(tenant, &entries, None, self.clock.now(), &*self.entropy)?;
        kept.hold(&self.quota, &added)?;
        let addition =
            Addition { tenants: Arc::clone(&self.tenants), tenant: tenant.clone(), added, quota: self.quota };
        Ok((out, Write::new(addition)))
    }

    async fn search(&self, scope: &Scope, query: &Query) -> Result<Vec<Hit>> {
        entry::check_query(query)?;
        let meant = match &self.asking {
            Some(asking) => asking.meant(&query.text).await,
            None => Meant::Unasked,
        };
        let tenants = self.tenants();
        let Some(kept) = tenants.get(&scope.tenant) else { return Ok(Vec::new()) };
        let filter = kept.filter(scope, Some(query));
        let asked = retrieval::Query::of(&query.text).meaning(meant);
        let found = Candidates::of(kept.index.search(&asked, &filter, looked_at(query), query.explain), query);
        let entry = |id: Uuid| Some((id, kept.entries.get(&id)?.shown()));
        let entries = found.ids().into_iter().filter_map(entry).collect();
        Ok(found.answer(entries))
    }

    async fn get(&self, tenant: &TenantId, id: Uuid) -> Result<Option<Entry>> {
        let entry = self.tenants().get(tenant).and_then(|kept| kept.entries.get(&id).map(Kept::shown));
        Ok(entry.filter(|entry| entry.standing != Standing::Forgotten))
    }

    async fn supersede(&self, tenant: &TenantId, old: Uuid, new: NewEntry) -> Result<Remembered> {
        let now = self.clock.now();
        let mut tenants = self.tenants();
        let kept = tenants.get_mut(tenant).ok_or_else(|| entry::unknown(old))?;
        let found = kept.entries.get(&old).filter(|kept| !kept.state.forgotten).ok_or_else(|| entry::unknown(old))?;
        let mut new = entry::superseding(&found.entry.entry, new, now);
        entry::about(std::slice::from_mut(&mut new), |subject| self.subject(tenant, subject));
        entry::check(std::slice::from_ref(&new))?;
        let superseded_by = found.state.superseded.map(|(by, _)| by);
        if superseded_by.is_some() || !found.quarantines.is_empty() {
            return Err(entry::not_current(old, superseded_by));
        }
        let valid_from = new.valid_from.unwrap_or(now);
        let (mut out, added) = kept.decide(tenant, &[new], Some(old), now, &*self.entropy)?;
        let remembered = out.pop().ok_or_else(|| Error::internal("a memory has no answer"))?;
        let equal = kept.entries.get(&remembered.id).map(Kept::shown);
        if equal.is_some_and(|equal| equal.standing != Standing::Current) {
            return Err(entry::hidden_equal(old, remembered.id));
        }
        kept.hold(&self.quota, &added)?;
        let taken = kept.taken_from(old).filter(|id| kept.entries.get(id).is_some_and(Kept::stands));
        for id in taken.chain([old]).collect::<Vec<Uuid>>() {
            kept.set_superseded(id, Some((remembered.id, valid_from)), now);
        }
        added.into_iter().for_each(|added| kept.insert(added));
        Ok(remembered)
    }

    async fn reinstate(&self, tenant: &TenantId, old: Uuid) -> Result<()> {
        let now = self.clock.now();
        let mut tenants = self.tenants();
        let kept = tenants.get_mut(tenant).ok_or_else(|| entry::unknown(old))?;
        let found = kept.entries.get(&old).filter(|kept| !kept.state.forgotten).ok_or_else(|| entry::unknown(old))?;
        let Some((by, _)) = found.state.superseded else { return Err(entry::not_superseded(old)) };
        if let Some(holder) = kept.key_holder(old) {
            return Err(entry::key_taken(old, holder));
        }
        let with_it = |id: &Uuid| {
            let state = kept.entries.get(id).map(|kept| kept.state);
            state.and_then(|state| state.superseded).is_some_and(|(other, _)| other == by)
        };
        for id in kept.taken_from(old).filter(with_it).chain([old]).collect::<Vec<Uuid>>() {
            kept.set_superseded(id, None, now);
        }
        Ok(())
    }

    async fn forget(&self, tenant: &TenantId, id: Uuid) -> Result<bool> {
        let now = self.clock.now();
        Ok(self.tenants().get_mut(tenant).is_some_and(|kept| kept.forget(&[id], now) > 0))
    }

    async fn forget_source(&self, tenant: &TenantId, source: &str) -> Result<u64> {
        let now = self.clock.now();
        let mut tenants = self.tenants();
        let Some(kept) = tenants.get_mut(tenant) else { return Ok(0) };
        let ids: Vec<Uuid> = kept.of_source(source).map(|kept| kept.entry.id).collect();
        Ok(kept.forget(&ids, now))
    }

    fn subject(&self, tenant: &TenantId, name: &str) -> Digest {
        // What never leaves this process needs no key.
        sha256(&[b"l9.memory.subject.1\0", tenant.as_str().as_bytes(), b"\0", name.as_bytes()])
    }

    async fn erase(&self, tenant: &TenantId, subject: &Digest, also: &[Uuid], dry: bool) -> Result<BTreeSet<Uuid>> {
        let mut tenants = self.tenants();
        let Some(kept) = tenants.get_mut(tenant) else { return Ok(BTreeSet::new()) };
        let ids = kept.reached(subject, also);
        let there = ids.iter().copied().filter(|id| kept.entries.contains_key(id)).collect();
        if !dry {
            kept.erase(&ids);
        }
        Ok(there)
    }

    async fn stored(&self, tenant: &TenantId, after: Option<Uuid>, limit: usize) -> Result<Vec<Stored>> {
        let tenants = self.tenants();
        let Some(kept) = tenants.get(tenant) else { return Ok(Vec::new()) };
        let mut ids: Vec<Uuid> =
            kept.entries.keys().copied().filter(|id| after.is_none_or(|after| *id > after)).collect();
        ids.sort_unstable();
        ids.truncate(limit);
        let stored = |id| Stored { id, entry: Ok(kept.entries.get(&id).map(Kept::shown)) };
        Ok(ids.into_iter().map(stored).collect())
    }

    async fn of_source(&self, tenant: &TenantId, source: &str) -> Result<Vec<Entry>> {
        let tenants = self.tenants();
        let of_source = |kept: &Tenant| kept.of_source(source).map(Kept::shown).collect();
        Ok(tenants.get(tenant).map_or_else(Vec::new, of_source))
    }

    async fn sources(&self, tenant: &TenantId) -> Result<Vec<Source>> {
        let tenants = self.tenants();
        let Some(kept) = tenants.get(tenant) else { return Ok(Vec::new()) };
        let source = |ids: &Vec<Uuid>| {
            let newest = kept.kept_of(ids).next_back()?.shown();
            Some(Source { entries: kept.kept_of(ids).count() as u64, newest })
        };
        Ok(kept.sources.values().filter_map(source).collect())
    }

    async fn usage(&self, tenant: Option<&TenantId>, agent: Option<&AgentId>) -> Result<Used> {
        let tenants = self.tenants();
        let used = |(_, kept): (&TenantId, &Tenant)| kept.used(agent);
        let asked = tenants.iter().filter(|(name, _)| tenant.is_none_or(|tenant| tenant == *name));
        Ok(asked.map(used).fold(Used::default(), Used::and))
    }

    async fn count(&self, scope: &Scope) -> Result<u64> {
        Ok(self.tenants().get(&scope.tenant).map_or(0, |kept| kept.index.count(&kept.filter(scope, None)) as u64))
    }

    async fn list(&self, scope: &Scope, listing: &Listing) -> Result<Page<Entry>> {
        Ok(Page::cut(self.listed(scope, listing, 0), listing.limit))
    }

    async fn sessions(&self, scope: &Scope, after: Option<Cursor>, limit: usize) -> Result<Page<Session>> {
        Ok(Page::cut(self.conversations(scope, after, 0), limit))
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries: usize = self.tenants().values().map(|kept| kept.entries.len()).sum();
        f.debug_struct("Memory").field("entries", &entries).finish_non_exhaustive()
    }
}
