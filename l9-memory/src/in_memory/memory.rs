//! Memories in this process.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use l9_core::digest::Digest;
use l9_core::entropy::Entropy;
use l9_core::id::TenantId;
use l9_core::journal::Write;
use l9_core::memory::{Entry, Hit, MemoryStore, NewEntry, Query, Remembered, Scope, Source};
use l9_core::time::Clock;
use l9_core::{Error, Result};
use uuid::Uuid;

use crate::entry;
use crate::retrieval::{self, Document, Filter, Index, Terms};

/// Keeps memories in this process.
pub struct Memory {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    tenants: Tenants,
}

/// What entries would be, and those of them that are new, with the marks of their contents.
type Looked = (Vec<Remembered>, Vec<(Entry, Digest)>);
type Tenants = Arc<Mutex<HashMap<TenantId, Tenant>>>;

/// New entries that are written with an append to the journal beside.
pub(super) struct Addition {
    tenants: Tenants,
    tenant: TenantId,
    added: Vec<(Entry, Digest)>,
}

impl Addition {
    /// Keeps them, all or none; tells whether they were all still new.
    pub(super) fn keep(&self) -> bool {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = tenants.entry(self.tenant.clone()).or_default();
        let fits = self.added.iter().all(|(entry, content)| kept.known(&entry.entry, content).is_none());
        if fits {
            self.added.iter().for_each(|(entry, content)| kept.insert(entry.clone(), *content));
        }
        fits
    }
}

#[derive(Default)]
pub(super) struct Tenant {
    pub(super) entries: HashMap<Uuid, Entry>,
    /// The entries of one content, oldest first: those with keys of their own may be several.
    contents: HashMap<Digest, Vec<Uuid>>,
    keys: HashMap<Vec<u8>, Uuid>,
    /// The entries of each source, oldest first.
    sources: HashMap<String, Vec<Uuid>>,
    index: Index,
}

impl Memory {
    /// An empty one.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self { clock, entropy, tenants: Arc::default() }
    }

    pub(super) fn tenants(&self) -> MutexGuard<'_, HashMap<TenantId, Tenant>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What entries would be, and those of them that are new, with the marks of their contents.
    pub(super) fn look(&self, tenant: &TenantId, entries: Vec<NewEntry>) -> Result<Looked> {
        let mut tenants = self.tenants();
        let kept = tenants.entry(tenant.clone()).or_default();
        let mut out = Vec::with_capacity(entries.len());
        let mut added: Vec<(Entry, Digest)> = Vec::new();
        for (at, new) in entries.into_iter().enumerate() {
            let content = entry::content(&new);
            let own = added.iter().find(|(other, mark)| match entry::key(&new) {
                Some(key) => entry::key(&other.entry) == Some(key),
                None => *mark == content,
            });
            let known = kept
                .known(&new, &content)
                .or_else(|| own.map(|(other, _)| if other.entry.text == new.text { Ok(other.id) } else { Err(()) }));
            match known {
                Some(Ok(id)) => out.push(Remembered { id, duplicate: true }),
                Some(Err(())) => return Err(entry::key_conflict(at, &new)),
                None => {
                    let now = self.clock.now();
                    let id = entry::id(tenant, &new, &content, now, &*self.entropy);
                    let entry = NewEntry { at: new.at.or(Some(now)), ..new };
                    added.push((Entry { id, entry, recorded_at: now }, content));
                    out.push(Remembered { id, duplicate: false });
                }
            }
        }
        Ok((out, added))
    }
}

#[async_trait]
impl MemoryStore for Memory {
    async fn remember(&self, tenant: &TenantId, entries: Vec<NewEntry>) -> Result<Vec<Remembered>> {
        entry::check(&entries)?;
        let mut tenants = self.tenants();
        let kept = tenants.entry(tenant.clone()).or_default();
        let mut out = Vec::with_capacity(entries.len());
        let mut added = Vec::new();
        for (at, new) in entries.into_iter().enumerate() {
            let content = entry::content(&new);
            match kept.known(&new, &content) {
                Some(Ok(id)) => out.push(Remembered { id, duplicate: true }),
                Some(Err(())) => {
                    added.into_iter().for_each(|id| drop(kept.remove(id)));
                    return Err(entry::key_conflict(at, &new));
                }
                None => {
                    let now = self.clock.now();
                    let id = entry::id(tenant, &new, &content, now, &*self.entropy);
                    let entry = Entry { id, entry: NewEntry { at: new.at.or(Some(now)), ..new }, recorded_at: now };
                    kept.insert(entry, content);
                    added.push(id);
                    out.push(Remembered { id, duplicate: false });
                }
            }
        }
        Ok(out)
    }

    async fn prepare(&self, tenant: &TenantId, entries: Vec<NewEntry>) -> Result<(Vec<Remembered>, Write)> {
        entry::check(&entries)?;
        let (out, added) = self.look(tenant, entries)?;
        let addition = Addition { tenants: Arc::clone(&self.tenants), tenant: tenant.clone(), added };
        Ok((out, Write::new(addition)))
    }

    async fn search(&self, scope: &Scope, query: &Query) -> Result<Vec<Hit>> {
        entry::check_query(query)?;
        let tenants = self.tenants();
        let Some(kept) = tenants.get(&scope.tenant) else { return Ok(Vec::new()) };
        let found = kept.index.search(&retrieval::Query::of(&query.text), &kept.filter(scope, Some(query)), query.k);
        found
            .into_iter()
            .map(|found| {
                let entry = kept.entries.get(&found.id).cloned();
                let entry = entry.ok_or_else(|| Error::internal("the index has a memory that is not kept"))?;
                Ok(Hit { entry, score: found.score })
            })
            .collect()
    }

    async fn get(&self, tenant: &TenantId, id: Uuid) -> Result<Option<Entry>> {
        Ok(self.tenants().get(tenant).and_then(|kept| kept.entries.get(&id).cloned()))
    }

    async fn forget(&self, tenant: &TenantId, id: Uuid) -> Result<bool> {
        Ok(self.tenants().get_mut(tenant).is_some_and(|kept| kept.remove(id).is_some()))
    }

    async fn forget_source(&self, tenant: &TenantId, source: &str) -> Result<u64> {
        let mut tenants = self.tenants();
        let Some(kept) = tenants.get_mut(tenant) else { return Ok(0) };
        let ids = kept.sources.get(source).cloned().unwrap_or_default();
        ids.iter().for_each(|id| drop(kept.remove(*id)));
        Ok(ids.len() as u64)
    }

    async fn of_source(&self, tenant: &TenantId, source: &str) -> Result<Vec<Entry>> {
        let tenants = self.tenants();
        let Some(kept) = tenants.get(tenant) else { return Ok(Vec::new()) };
        let ids = kept.sources.get(source).into_iter().flatten();
        Ok(ids.filter_map(|id| kept.entries.get(id).cloned()).collect())
    }

    async fn sources(&self, tenant: &TenantId) -> Result<Vec<Source>> {
        let tenants = self.tenants();
        let Some(kept) = tenants.get(tenant) else { return Ok(Vec::new()) };
        let source = |ids: &Vec<Uuid>| {
            let newest = kept.entries.get(ids.last()?)?.clone();
            Some(Source { entries: ids.len() as u64, newest })
        };
        Ok(kept.sources.values().filter_map(source).collect())
    }

    async fn count(&self, scope: &Scope) -> Result<u64> {
        Ok(self.tenants().get(&scope.tenant).map_or(0, |kept| kept.index.count(&kept.filter(scope, None)) as u64))
    }
}

impl Tenant {
    /// The equal entry that is kept, or a refusal: its key is taken by another text.
    fn known(&self, new: &NewEntry, content: &Digest) -> Option<Result<Uuid, ()>> {
        if let Some(key) = entry::key(new) {
            let id = *self.keys.get(&key)?;
            let same = self.entries.get(&id).is_some_and(|entry| entry.entry.text == new.text);
            return Some(if same { Ok(id) } else { Err(()) });
        }
        self.contents.get(content).and_then(|ids| ids.first()).copied().map(Ok)
    }

    pub(super) fn insert(&mut self, entry: Entry, content: Digest) {
        let new = &entry.entry;
        self.contents.entry(content).or_default().push(entry.id);
        if let Some(key) = entry::key(new) {
            self.keys.insert(key, entry.id);
        }
        if let Some(source) = &new.source {
            self.sources.entry(source.clone()).or_default().push(entry.id);
        }
        let document = Document {
            id: entry.id,
            agent: new.agent.as_ref().map(|agent| self.index.name(agent.as_str().as_bytes())),
            session: new.session.as_ref().map(|session| self.index.name(session.as_bytes())),
            layer: new.layer,
            at: new.at.unwrap_or(entry.recorded_at),
            recorded_at: entry.recorded_at,
        };
        self.index.add(document, &Terms::of(&new.text));
        self.entries.insert(entry.id, entry);
    }

    pub(super) fn remove(&mut self, id: Uuid) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        let content = entry::content(&entry.entry);
        if let Some(ids) = self.contents.get_mut(&content) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.contents.remove(&content);
            }
        }
        if let Some(key) = entry::key(&entry.entry) {
            self.keys.remove(&key);
        }
        if let Some(source) = &entry.entry.source
            && let Some(ids) = self.sources.get_mut(source)
        {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.sources.remove(source);
            }
        }
        self.index.remove(id);
        Some(entry)
    }

    fn filter(&self, scope: &Scope, query: Option<&Query>) -> Filter {
        Filter {
            agent: scope.agent.as_ref().map(|agent| self.index.find_name(agent.as_str().as_bytes())),
            session: scope.session.as_ref().map(|session| self.index.find_name(session.as_bytes())),
            layer: query.and_then(|query| query.layer),
            as_of: query.and_then(|query| query.as_of),
        }
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries: usize = self.tenants().values().map(|kept| kept.entries.len()).sum();
        f.debug_struct("Memory").field("entries", &entries).finish_non_exhaustive()
    }
}
