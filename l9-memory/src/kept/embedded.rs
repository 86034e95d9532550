//! Vectors in a database: kept after the entries, sealed, and taken into the index before a
//! search.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError};

use async_trait::async_trait;
use l9_core::Result;
use l9_core::id::TenantId;
use l9_core::time::Timestamp;
use uuid::Uuid;

use super::connection::{Row, Value};
use super::curation::unreadable;
use super::indexed::Slot;
use super::memory::{Memory, blocking};
use super::{sealing, subjects};
use crate::embed::{Claimable, Embeddable, Unembedded};
use crate::rounds::CLAIM;
use crate::vault::subject_keys;
use crate::vectors::Code;

/// How many vectors are read at once while an index is built.
const LOAD: i64 = 4096;

/// That the row `{of}` is of what was taken from another entry as a relation: no search gives it, so
/// it has no vector.
fn taken(of: &str) -> String {
    format!(
        "EXISTS (SELECT 1 FROM readings r WHERE r.tenant = {of}.tenant AND r.id = {of}.id AND r.origin IS NOT NULL)"
    )
}

/// Keeps a sealed vector. An entry may be gone meanwhile, and another process may have been quicker.
const INSERT: &str = "INSERT INTO vectors (tenant, id, embedder, sealed) SELECT e.tenant, e.id, $3, $4 \
    FROM entries e WHERE e.tenant = $1 AND e.id = $2 ON CONFLICT DO NOTHING";

impl Memory {
    /// Brings the tenant's index up with the vectors of the embedder that is asked.
    pub(super) async fn sync_vectors(&self, tenant: &TenantId, slot: &Arc<Slot>) -> Result<()> {
        let Some(asking) = &self.asking else { return Ok(()) };
        let space = asking.embedder().space().name();
        if self.newer_vectors(tenant, slot, space, 1).await?.1.is_empty() {
            return Ok(());
        }
        let _loading = slot.loading.lock().await;
        loop {
            let (after, rows) = self.newer_vectors(tenant, slot, space, LOAD).await?;
            if rows.is_empty() {
                return Ok(());
            }
            let keys = self.keys_of(tenant, rows.iter().filter_map(|row| row.bytes(2).ok())).await?;
            let (memory, whose, space, slot) = (self.clone(), tenant.clone(), space.to_owned(), Arc::clone(slot));
            blocking(move || {
                let open = |row: &Row| {
                    let read = || Ok((row.number(0)?, row.id(1)?, row.bytes(2)?));
                    let (position, id, bytes) = read().map_err(unreadable)?;
                    Ok((position, id, sealing::open_vector(memory.vault(), &keys, &whose, (id, &space), bytes)?))
                };
                let opened = rows.iter().map(open).collect::<Result<Vec<(i64, Uuid, Option<Code>)>>>()?;
                let mut indexed = slot.indexed.write().unwrap_or_else(PoisonError::into_inner);
                if indexed.vectors != after {
                    return Ok(());
                }
                for (position, id, code) in opened {
                    if let Some(code) = code {
                        indexed.index.embed(id, code)?;
                    }
                    indexed.vectors = position;
                }
                Ok(())
            })
            .await?;
        }
    }

    /// Where vectors of entries are.
    fn tables(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once("vectors").chain(self.unsealed.as_ref().map(|_| "unsealed_vectors"))
    }

    /// The next vectors, and after which they come.
    async fn newer_vectors(&self, tenant: &TenantId, slot: &Slot, space: &str, limit: i64) -> Result<(i64, Vec<Row>)> {
        let after = slot.indexed.read().unwrap_or_else(PoisonError::into_inner).vectors;
        let sql = "SELECT position, id, sealed FROM vectors WHERE tenant = $1 AND embedder = $2 AND position > $3 \
                   ORDER BY position LIMIT $4";
        let rows = self.rows.read(sql, &[tenant.into(), space.into(), after.into(), limit.into()]).await?;
        Ok((after, rows))
    }
}

#[async_trait]
impl Claimable for Memory {
    async fn newest_entry(&self) -> Result<i64> {
        self.number("SELECT coalesce(max(position), 0) FROM entries", &[]).await
    }

    async fn remembering_after(&self, position: i64) -> Result<Vec<(TenantId, i64)>> {
        let sql = "SELECT DISTINCT tenant FROM entries WHERE position > $1";
        let found = self.rows.read(sql, &[position.into()]).await?;
        let tenant = |row: &Row| Ok((TenantId::new(row.text(0).map_err(unreadable)?)?, position));
        found.iter().map(tenant).collect()
    }

    async fn claim(&self, work: &str, owner: &str, now: Timestamp) -> Result<bool> {
        let until = now.after(CLAIM).as_millis();
        let values = [work.into(), owner.into(), Value::from(until), now.as_millis().into()];
        self.write(&TenantId::default_tenant(), 1, move |c| {
            Box::pin(async move {
                let sql = "INSERT INTO embedders (embedder, owner, until) VALUES ($1, $2, $3) ON CONFLICT (embedder) \
                           DO UPDATE SET owner = excluded.owner, until = excluded.until \
                           WHERE embedders.owner = excluded.owner OR embedders.until < $4";
                Ok(Ok(c.execute(sql, &values).await? > 0))
            })
        })
        .await
    }
}

#[async_trait]
impl Embeddable for Memory {
    async fn unembedded(&self, tenant: &TenantId, space: &str, after: i64, limit: usize) -> Result<Vec<Unembedded>> {
        let without = self.tables().map(|table| {
            format!(
                "AND NOT EXISTS (SELECT 1 FROM {table} v WHERE v.tenant = e.tenant AND v.id = e.id AND v.embedder = $2) "
            )
        });
        let sql = format!(
            "SELECT e.id, e.recorded_at, e.standing, e.superseded_by, e.entry, e.position FROM entries e \
             WHERE e.tenant = $1 AND e.position > $3 AND NOT {} {}ORDER BY e.position LIMIT $4",
            taken("e"),
            without.collect::<String>()
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let found = self.rows.read(&sql, &[tenant.into(), space.into(), after.into(), limit.into()]).await?;
        let entries = self.opened_with_number(tenant, &found).await?.into_iter();
        Ok(entries.map(|(entry, position)| Unembedded { position, id: entry.id, text: entry.entry.text }).collect())
    }

    async fn keep_vectors(&self, tenant: &TenantId, space: &str, vectors: Vec<(Uuid, Code)>) -> Result<()> {
        let count = vectors.len();
        let ids: Vec<Uuid> = vectors.iter().map(|(id, _)| *id).collect();
        let entries = self.rows.fetch(tenant, &ids).await?;
        let keys = self.keys_of(tenant, subjects::bytes_of(&entries)).await?;
        let about: HashMap<Uuid, Vec<Uuid>> =
            entries.iter().map(|entry| (entry.id, subject_keys(&entry.sealed))).collect();
        let open = match &self.unsealed {
            Some(unsealed) => unsealed.open_of(tenant, &ids).await?,
            None => HashSet::new(),
        };
        let (memory, whose, of) = (self.clone(), tenant.clone(), space.to_owned());
        let seal = move |(id, code): (Uuid, Code)| {
            // What is gone meanwhile, or whose subject is, gets none.
            let about = about.get(&id).filter(|about| keys.has(about))?;
            let place = [Value::from(&whose), id.into(), of.as_str().into()];
            if let Some(unsealed) = memory.unsealed.as_ref().filter(|_| about.is_empty() && open.contains(&id)) {
                return Some(Ok((unsealed.insert(), [&place[..], &[unsealed.form(&code)]].concat())));
            }
            let sealed = sealing::seal_vector(memory.vault(), (&keys, about), &whose, (id, &of), &code);
            Some(sealed.map(|sealed| (INSERT, [&place[..], &[sealed.into()]].concat())))
        };
        let rows = blocking(move || vectors.into_iter().filter_map(seal).collect::<Result<Vec<_>>>()).await?;
        self.write(tenant, count, move |c| {
            Box::pin(async move {
                for (sql, values) in &rows {
                    c.execute(sql, values).await?;
                }
                Ok(Ok(()))
            })
        })
        .await
    }

    async fn embedded(&self, space: &str) -> Result<(u64, u64)> {
        let counts = self.tables().map(|table| format!("(SELECT count(*) FROM {table} WHERE embedder = $1)"));
        let counts: Vec<String> = counts.collect();
        let wanted = "(SELECT count(*) FROM entries) - (SELECT count(*) FROM readings WHERE origin IS NOT NULL)";
        let sql = format!("SELECT {wanted}, {}", counts.join(" + "));
        let found = self.rows.read(&sql, &[space.into()]).await?;
        let read = |row: &Row| Ok((row.number(0)?.unsigned_abs(), row.number(1)?.unsigned_abs()));
        let (entries, embedded) = found.first().map_or(Ok((0, 0)), read).map_err(unreadable)?;
        Ok((embedded, entries.saturating_sub(embedded)))
    }

    async fn drop_others(&self, space: &str, since: Timestamp) -> Result<u64> {
        let values = [space.into(), Value::from(since.as_millis())];
        let tables: Vec<&str> = self.tables().collect();
        self.write(&TenantId::default_tenant(), 1, move |c| {
            Box::pin(async move {
                let idle = "embedder <> $1 AND embedder NOT IN (SELECT embedder FROM embedders WHERE until >= $2)";
                let mut dropped = 0;
                for table in tables {
                    dropped += c.execute(&format!("DELETE FROM {table} WHERE {idle}"), &values).await?;
                    // As earlier versions made them.
                    c.execute(&format!("DELETE FROM {table} WHERE {}", taken(table)), &[]).await?;
                }
                c.execute("DELETE FROM embedders WHERE embedder <> $1 AND until < $2", &values).await?;
                Ok(Ok(dropped))
            })
        })
        .await
    }
}
