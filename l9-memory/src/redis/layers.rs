//! Two memories as one: short-term entries in Redis, all others where they last.
//!
//! A Redis that is away takes nothing else with it: what asks for short-term entries fails,
//! what asks for both is answered without them and logged.

use std::sync::Arc;

use async_trait::async_trait;
use l9_core::id::TenantId;
use l9_core::journal::Write;
use l9_core::memory::{Entry, Hit, Layer, MemoryStore, NewEntry, Query, Remembered, Scope, Source};
use l9_core::{Error, ErrorKind, Result};
use uuid::Uuid;

use super::memory::Memory;
use crate::entry;

/// Keeps entries by their layer. Short-term entries that were kept before there was a Redis are
/// found where they are.
#[derive(Debug)]
pub struct Layers {
    long: Arc<dyn MemoryStore>,
    short: Memory,
}

impl Layers {
    /// Short-term entries in `short`, all others in `long`.
    #[must_use]
    pub fn new(long: Arc<dyn MemoryStore>, short: Memory) -> Self {
        Self { long, short }
    }
}

/// What was found, or nothing where Redis is away.
fn unless_away<T: Default>(found: Result<T>) -> Result<T> {
    match found {
        Err(error) if error.kind() == ErrorKind::Unavailable => {
            tracing::warn!(%error, "an answer is without short-term memories");
            Ok(T::default())
        }
        found => found,
    }
}

#[async_trait]
impl MemoryStore for Layers {
    async fn remember(&self, tenant: &TenantId, entries: Vec<NewEntry>) -> Result<Vec<Remembered>> {
        entry::check(&entries)?;
        let is_short: Vec<bool> = entries.iter().map(|entry| entry.layer == Layer::ShortTerm).collect();
        let (short, long): (Vec<NewEntry>, Vec<NewEntry>) =
            entries.into_iter().partition(|entry| entry.layer == Layer::ShortTerm);
        // What passes comes first: if the rest is refused, it is taken back.
        let short = self.short.remember(tenant, short).await?;
        let long = match self.long.remember(tenant, long).await {
            Ok(long) => long,
            Err(error) => {
                for one in short.iter().filter(|one| !one.duplicate) {
                    if let Err(error) = self.short.forget(tenant, one.id).await {
                        tracing::warn!(%error, "a short-term memory of a refused call stays until its time is over");
                    }
                }
                return Err(error);
            }
        };
        let (mut short, mut long) = (short.into_iter(), long.into_iter());
        let next = |is_short: bool| if is_short { short.next() } else { long.next() };
        let kept: Option<Vec<Remembered>> = is_short.into_iter().map(next).collect();
        kept.ok_or_else(|| Error::internal("a memory has no answer"))
    }

    async fn prepare(&self, tenant: &TenantId, entries: Vec<NewEntry>) -> Result<(Vec<Remembered>, Write)> {
        if entries.iter().any(|entry| entry.layer == Layer::ShortTerm) {
            return self.short.prepare(tenant, entries).await;
        }
        self.long.prepare(tenant, entries).await
    }

    async fn search(&self, scope: &Scope, query: &Query) -> Result<Vec<Hit>> {
        let mut hits = self.long.search(scope, query).await?;
        match query.layer {
            Some(Layer::ShortTerm) => hits.extend(self.short.search(scope, query).await?),
            Some(_) => return Ok(hits),
            None => hits.extend(unless_away(self.short.search(scope, query).await)?),
        }
        let newest = |hit: &Hit| std::cmp::Reverse((hit.entry.entry.at, hit.entry.id));
        hits.sort_by(|one, other| other.score.total_cmp(&one.score).then_with(|| newest(one).cmp(&newest(other))));
        hits.truncate(query.k);
        Ok(hits)
    }

    async fn get(&self, tenant: &TenantId, id: Uuid) -> Result<Option<Entry>> {
        match self.long.get(tenant, id).await? {
            None => self.short.get(tenant, id).await,
            found => Ok(found),
        }
    }

    async fn forget(&self, tenant: &TenantId, id: Uuid) -> Result<bool> {
        Ok(self.long.forget(tenant, id).await? || self.short.forget(tenant, id).await?)
    }

    async fn forget_source(&self, tenant: &TenantId, source: &str) -> Result<u64> {
        // What may fail comes first, so that it can be asked for again.
        let short = self.short.forget_source(tenant, source).await?;
        Ok(short + self.long.forget_source(tenant, source).await?)
    }

    async fn of_source(&self, tenant: &TenantId, source: &str) -> Result<Vec<Entry>> {
        let mut entries = self.long.of_source(tenant, source).await?;
        entries.extend(unless_away(self.short.of_source(tenant, source).await)?);
        Ok(entries)
    }

    async fn sources(&self, tenant: &TenantId) -> Result<Vec<Source>> {
        let mut sources = self.long.sources(tenant).await?;
        for source in unless_away(self.short.sources(tenant).await)? {
            match sources.iter_mut().find(|known| known.newest.entry.source == source.newest.entry.source) {
                Some(known) => known.entries += source.entries,
                None => sources.push(source),
            }
        }
        Ok(sources)
    }

    async fn count(&self, scope: &Scope) -> Result<u64> {
        Ok(self.long.count(scope).await? + unless_away(self.short.count(scope).await)?)
    }
}
