//! Two memories as one: short-term entries in Redis, all others where they last.
//!
//! A Redis that is away takes nothing else with it: what asks for short-term entries fails,
//! what asks for both is answered without them and logged.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use l9_core::digest::Digest;
use l9_core::id::{AgentId, TenantId};
use l9_core::journal::Write;
use l9_core::memory::{
    Cursor, Entry, Hit, Layer, Listing, MemoryStore, NewEntry, Order, Page, Query, Remembered, Scope, Session, Source,
    Stored, Used,
};
use l9_core::{Error, ErrorKind, Result};
use uuid::Uuid;

use super::memory::Memory;
use super::merged::{Merged, Next, merged};
use crate::entry;

/// Keeps entries by their layer. Short-term entries that were kept before there was a Redis are
/// found where they are.
#[derive(Debug)]
pub struct Layers {
    pub(super) long: Arc<dyn MemoryStore>,
    pub(super) short: Memory,
}

impl Layers {
    /// Short-term entries in `short`, all others in `long`.
    #[must_use]
    pub fn new(long: Arc<dyn MemoryStore>, short: Memory) -> Self {
        Self { long, short }
    }

    /// Has the quarantines that stand now hold for short-term entries too.
    pub(super) async fn stand_under(&self, tenant: &TenantId) -> Result<()> {
        self.short.stand_under(tenant, &self.long.quarantines(tenant).await?);
        Ok(())
    }

    /// Whether an entry is in Redis.
    pub(super) async fn is_short(&self, tenant: &TenantId, id: Uuid) -> Result<bool> {
        Ok(self.long.get(tenant, id).await?.is_none() && self.short.get(tenant, id).await?.is_some())
    }

    /// Refuses what derives from an entry of the other layer: a quarantine would not reach it.
    async fn check_origins(&self, tenant: &TenantId, entries: &[NewEntry]) -> Result<()> {
        for entry in entries {
            for origin in &entry.derived_from {
                if entry.layer == Layer::ShortTerm && self.long.get(tenant, *origin).await?.is_some() {
                    return Err(Error::invalid(format!(
                        "memory {origin} is long-term: what derives from it is not kept in Redis, use the layer long_term"
                    )));
                }
                if entry.layer != Layer::ShortTerm && self.is_short(tenant, *origin).await? {
                    return Err(Error::invalid(format!(
                        "memory {origin} is short-term: what lasts cannot derive from it, keep it as long_term first"
                    )));
                }
            }
        }
        Ok(())
    }
}

/// What was found, or nothing where Redis is away, refuses, or has what this process cannot read.
pub(super) fn unless_away<T: Default>(found: Result<T>) -> Result<T> {
    use ErrorKind::{Corrupt, Denied, Exhausted, Newer, Unavailable};
    match found {
        Err(error) if matches!(error.kind(), Unavailable | Denied | Exhausted | Corrupt | Newer) => {
            tracing::warn!(%error, "an answer is without short-term memories");
            Ok(T::default())
        }
        found => found,
    }
}

#[async_trait]
impl MemoryStore for Layers {
    async fn remember(&self, tenant: &TenantId, mut entries: Vec<NewEntry>) -> Result<Vec<Remembered>> {
        entry::check(&entries)?;
        entry::about(&mut entries, |subject| self.subject(tenant, subject));
        self.check_origins(tenant, &entries).await?;
        let is_short: Vec<bool> = entries.iter().map(|entry| entry.layer == Layer::ShortTerm).collect();
        let (short, long): (Vec<NewEntry>, Vec<NewEntry>) =
            entries.into_iter().partition(|entry| entry.layer == Layer::ShortTerm);
        // What passes comes first: if the rest is refused, it is taken back.
        let short = self.short.keep(tenant, short).await?;
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
        self.check_origins(tenant, &entries).await?;
        self.long.prepare(tenant, entries).await
    }

    async fn search(&self, scope: &Scope, query: &Query) -> Result<Vec<Hit>> {
        let mut hits = self.long.search(scope, query).await?;
        if query.layer.is_none_or(|layer| layer == Layer::ShortTerm) {
            self.stand_under(&scope.tenant).await?;
        }
        match query.layer {
            Some(Layer::ShortTerm) => hits.extend(self.short.search(scope, query).await?),
            Some(_) => return Ok(hits),
            None => hits.extend(unless_away(self.short.search(scope, query).await)?),
        }
        let newest = |hit: &Hit| (std::cmp::Reverse(hit.entry.entry.at), hit.entry.id);
        hits.sort_by(|one, other| other.score.total_cmp(&one.score).then_with(|| newest(one).cmp(&newest(other))));
        hits.truncate(query.k);
        Ok(hits)
    }

    async fn get(&self, tenant: &TenantId, id: Uuid) -> Result<Option<Entry>> {
        match self.long.get(tenant, id).await? {
            None => {
                self.stand_under(tenant).await?;
                self.short.get(tenant, id).await
            }
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

    fn subject(&self, tenant: &TenantId, name: &str) -> Digest {
        self.long.subject(tenant, name)
    }

    async fn erase(&self, tenant: &TenantId, subject: &Digest, also: &[Uuid], dry: bool) -> Result<BTreeSet<Uuid>> {
        // What may fail comes first, so that it can be asked for again.
        let mut erased = self.short.erase(tenant, subject, also, dry).await?;
        erased.extend(self.long.erase(tenant, subject, also, dry).await?);
        Ok(erased)
    }

    async fn stored(&self, tenant: &TenantId, after: Option<Uuid>, limit: usize) -> Result<Vec<Stored>> {
        let mut stored = self.long.stored(tenant, after, limit).await?;
        stored.extend(self.short.stored(tenant, after, limit).await?);
        stored.sort_by_key(|stored| stored.id);
        stored.truncate(limit);
        Ok(stored)
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

    async fn usage(&self, tenant: Option<&TenantId>, agent: Option<&AgentId>) -> Result<Used> {
        let short = unless_away(self.short.usage(tenant, agent).await)?;
        Ok(self.long.usage(tenant, agent).await?.and(short))
    }

    async fn count(&self, scope: &Scope) -> Result<u64> {
        self.stand_under(&scope.tenant).await?;
        Ok(self.long.count(scope).await? + unless_away(self.short.count(scope).await)?)
    }

    async fn supersede(&self, tenant: &TenantId, old: Uuid, new: NewEntry) -> Result<Remembered> {
        if self.is_short(tenant, old).await? {
            return self.short.supersede(tenant, old, new).await;
        }
        if new.layer == Layer::ShortTerm {
            return Err(Error::invalid(format!(
                "memory {old} is long-term: what supersedes it is not kept in Redis, use the layer long_term"
            )));
        }
        self.check_origins(tenant, std::slice::from_ref(&new)).await?;
        self.long.supersede(tenant, old, new).await
    }

    async fn reinstate(&self, tenant: &TenantId, old: Uuid) -> Result<()> {
        if self.is_short(tenant, old).await? {
            return self.short.reinstate(tenant, old).await;
        }
        self.long.reinstate(tenant, old).await
    }

    async fn list(&self, scope: &Scope, listing: &Listing) -> Result<Page<Entry>> {
        let long = self.long.list(scope, listing).await?;
        let short = match listing.layer {
            Some(Layer::LongTerm) => return Ok(long),
            layer => {
                self.stand_under(&scope.tenant).await?;
                let found = self.short.listed(scope, listing).await;
                if layer.is_none() { unless_away(found)? } else { found? }
            }
        };
        let said = |entry: &Entry| entry.entry.at.unwrap_or(entry.recorded_at).as_millis();
        let Merged { items, next } = merged(long, short, listing.order, listing.limit, said);
        let next = match next {
            Next::End => None,
            Next::At(cursor) => Some(cursor),
            Next::After { items, otherwise } => {
                let part = Listing { limit: items, ..listing.clone() };
                Some(self.long.list(scope, &part).await?.next.unwrap_or(otherwise))
            }
        };
        Ok(Page { items, next })
    }

    async fn sessions(&self, scope: &Scope, after: Option<Cursor>, limit: usize) -> Result<Page<Session>> {
        let long = self.long.sessions(scope, after, limit).await?;
        self.stand_under(&scope.tenant).await?;
        let short = unless_away(self.short.conversations(scope).await)?;
        let short_of: HashMap<String, Session> =
            short.iter().map(|(_, session)| (session.session.clone(), session.clone())).collect();
        let later = short.into_iter().filter(|(cursor, _)| after.is_none_or(|after| *cursor < after));
        let later = later.map(|(cursor, session)| (cursor, (true, session))).collect();
        let long = Page { items: long.items.into_iter().map(|session| (false, session)).collect(), next: long.next };
        let Merged { items, next } = merged(long, later, Order::Newest, limit, |(_, session)| session.last.as_millis());
        let next = match next {
            Next::End => None,
            Next::At(cursor) => Some(cursor),
            Next::After { items, otherwise } => {
                Some(self.long.sessions(scope, after, items).await?.next.unwrap_or(otherwise))
            }
        };
        // A conversation of both layers stands once, where it was said something in last.
        let mut sessions = Vec::with_capacity(items.len());
        for (is_short, session) in items {
            let other = if is_short {
                let own = Scope { session: Some(session.session.clone()), ..scope.clone() };
                self.long.sessions(&own, None, 1).await?.items.pop()
            } else {
                short_of.get(&session.session).cloned()
            };
            match other {
                Some(other) if other.last > session.last || is_short && other.last == session.last => {}
                Some(other) => sessions.push(Session {
                    first: session.first.min(other.first),
                    entries: session.entries + other.entries,
                    ..session
                }),
                None => sessions.push(session),
            }
        }
        Ok(Page { items: sessions, next })
    }
}
