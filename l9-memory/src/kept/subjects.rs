//! The keys of data subjects, as rows keep them, and the end of everything about one.

use std::collections::{BTreeSet, HashMap};

use l9_core::digest::Digest;
use l9_core::id::TenantId;
use l9_core::time::Timestamp;
use l9_core::vault::Vault;
use l9_core::{Error, Result};
use uuid::Uuid;

use super::connection::{Answer, Connection, Row, Value};
use super::curation::unreadable;
use super::memory::Memory;
use super::rows::SealedEntry;
use super::sealing::Prepared;
use crate::vault::{SubjectKeys, subject_keys};

/// How many rows a statement names at once.
pub(super) const NAMED: usize = 64;

/// Keys to seal with, by the subjects that they are of.
#[derive(Default)]
pub(super) struct Subjects {
    ids: HashMap<Digest, Uuid>,
    pub(super) keys: SubjectKeys,
}

impl Subjects {
    /// The keys of some subjects.
    pub(super) fn of<'s>(&self, subjects: impl IntoIterator<Item = &'s Digest>) -> Result<Vec<Uuid>> {
        let id = |subject| self.ids.get(subject).copied();
        let ids =
            subjects.into_iter().map(|subject| id(subject).ok_or_else(|| Error::internal("a subject without key")));
        ids.collect()
    }
}

impl Memory {
    /// The keys of the subjects that sealed bytes are about, as far as they are there.
    pub(super) async fn keys_of<'b>(
        &self,
        tenant: &TenantId,
        sealed: impl IntoIterator<Item = &'b [u8]>,
    ) -> Result<SubjectKeys> {
        let mut keys = SubjectKeys::default();
        for (sql, values) in named(tenant, "id, sealed", "id", &wanted(sealed)) {
            add(&mut keys, self.vault(), tenant, &self.rows.read(&sql, &values).await?)?;
        }
        Ok(keys)
    }

    /// The keys of some subjects; who has none gets one.
    pub(super) async fn keys_for(&self, tenant: &TenantId, subjects: &BTreeSet<Digest>) -> Result<Subjects> {
        let mut found = self.kept_keys(tenant, subjects).await?;
        let new: Vec<Digest> = subjects.iter().filter(|subject| !found.ids.contains_key(subject)).copied().collect();
        if !new.is_empty() {
            let (whose, now) = (tenant.clone(), self.keeper.clock.now().as_millis());
            let made = new.iter().map(|subject| Ok((*subject, SubjectKeys::make(self.vault(), tenant)?)));
            let made = made.collect::<Result<Vec<_>>>()?;
            let insert = "INSERT INTO subject_keys (tenant, subject, id, made_at, sealed) VALUES ($1, $2, $3, $4, $5) \
                          ON CONFLICT DO NOTHING";
            self.write(tenant, made.len(), move |c| {
                Box::pin(async move {
                    for (subject, (id, sealed)) in made {
                        let values = [Value::from(&whose), (&subject).into(), id.into(), now.into(), sealed.into()];
                        c.execute(insert, &values).await?;
                    }
                    Ok(Ok(()))
                })
            })
            .await?;
            found = self.kept_keys(tenant, subjects).await?;
        }
        Ok(found)
    }

    async fn kept_keys(&self, tenant: &TenantId, subjects: &BTreeSet<Digest>) -> Result<Subjects> {
        let mut found = Subjects::default();
        let wanted: Vec<Value> = subjects.iter().map(Value::from).collect();
        for (sql, values) in named(tenant, "id, sealed, subject", "subject", &wanted) {
            let rows = self.rows.read(&sql, &values).await?;
            add(&mut found.keys, self.vault(), tenant, &rows)?;
            for row in &rows {
                let read = || Ok((row.bytes(2)?, row.id(0)?));
                let (subject, id) = read().map_err(unreadable)?;
                found.ids.insert(Digest::from_slice(subject)?, id);
            }
        }
        Ok(found)
    }

    /// Removes what is about a subject, and its key; tells how many entries there were.
    pub(super) async fn erased(&self, tenant: &TenantId, subject: &Digest, dry: bool) -> Result<u64> {
        if dry {
            let sql =
                format!("{REACHED} SELECT count(*) FROM entries WHERE tenant = $1 AND id IN (SELECT id FROM reached)");
            return Ok(self.number(&sql, &[tenant.into(), subject.into()]).await?.unsigned_abs());
        }
        let (whose, subject, now) = (tenant.clone(), *subject, self.keeper.clock.now());
        let erased =
            self.write(tenant, 64, move |c| Box::pin(async move { erase(c, &whose, subject, now).await })).await?;
        // The index of this process forgets the words, and the files the bytes.
        self.synced(tenant).await?;
        if !self.rows.scrub().await? {
            tracing::warn!("others hold on to the database: erased bytes stay in its files for now");
        }
        Ok(erased)
    }
}

/// The keys that entries within a transaction need.
pub(super) async fn keys_in(
    c: &mut dyn Connection,
    vault: &dyn Vault,
    tenant: &TenantId,
    sealed: impl IntoIterator<Item = &[u8]>,
) -> Answer<SubjectKeys> {
    let mut keys = SubjectKeys::default();
    for (sql, values) in named(tenant, "id, sealed", "id", &wanted(sealed)) {
        if let Err(error) = add(&mut keys, vault, tenant, &c.rows(&sql, &values).await?) {
            return Ok(Err(error));
        }
    }
    Ok(Ok(keys))
}

/// Whether the keys that new entries are sealed under are still there.
pub(super) async fn are_there(
    c: &mut dyn Connection,
    tenant: &TenantId,
    added: &[Prepared],
) -> Result<bool, sqlx::Error> {
    for (sql, values) in named(tenant, "id", "id", &wanted(added.iter().map(|new| new.sealed.as_slice()))) {
        if c.rows(&sql, &values).await?.len() + 1 < values.len() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Notes whom new entries are about.
pub(super) async fn note(c: &mut dyn Connection, tenant: &TenantId, added: &[Prepared]) -> Result<(), sqlx::Error> {
    for new in added {
        for subject in &new.subjects {
            let sql = "INSERT INTO entry_subjects (tenant, subject, id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
            c.execute(sql, &[tenant.into(), subject.into(), new.id.into()]).await?;
        }
    }
    Ok(())
}

/// What is about the subject `$2` of the tenant `$1`, and what derives from it.
const REACHED: &str = "WITH RECURSIVE reached (id) AS (SELECT id FROM entry_subjects WHERE tenant = $1 AND subject = $2 \
     UNION SELECT d.id FROM derivations d JOIN reached ON d.origin = reached.id WHERE d.tenant = $1)";

async fn erase(c: &mut dyn Connection, tenant: &TenantId, subject: Digest, now: Timestamp) -> Answer<u64> {
    let named = [Value::from(tenant), (&subject).into()];
    let reached = format!("{REACHED} SELECT id FROM reached");
    let ids = c.rows(&reached, &named).await?.iter().map(|row| row.id(0)).collect::<Result<Vec<_>, _>>()?;
    let mut erased = 0;
    for part in ids.chunks(NAMED) {
        let mut values = vec![Value::from(tenant)];
        values.extend(part.iter().map(|id| Value::from(*id)));
        let places = places(part.len());
        let removed = format!(
            "INSERT INTO memory_changes (tenant, id, change, at) SELECT tenant, id, 1, {} FROM entries \
             WHERE tenant = $1 AND id IN ({places})",
            now.as_millis()
        );
        c.execute(&removed, &values).await?;
        erased += c.execute(&format!("DELETE FROM entries WHERE tenant = $1 AND id IN ({places})"), &values).await?;
        for (table, column) in
            [("quarantined", "id"), ("derivations", "id"), ("derivations", "origin"), ("entry_subjects", "id")]
        {
            c.execute(&format!("DELETE FROM {table} WHERE tenant = $1 AND {column} IN ({places})"), &values).await?;
        }
    }
    c.execute("DELETE FROM subject_keys WHERE tenant = $1 AND subject = $2", &named).await?;
    Ok(Ok(erased))
}

/// The ids of the keys that sealed bytes need.
fn wanted<'b>(sealed: impl IntoIterator<Item = &'b [u8]>) -> Vec<Value> {
    let ids: BTreeSet<Uuid> = sealed.into_iter().flat_map(subject_keys).collect();
    ids.into_iter().map(Value::from).collect()
}

/// Statements that read keys by some column.
fn named(tenant: &TenantId, columns: &str, by: &str, wanted: &[Value]) -> Vec<(String, Vec<Value>)> {
    let statement = |part: &[Value]| {
        let values: Vec<Value> = std::iter::once(Value::from(tenant)).chain(part.iter().cloned()).collect();
        let places = places(part.len());
        (format!("SELECT {columns} FROM subject_keys WHERE tenant = $1 AND {by} IN ({places})"), values)
    };
    wanted.chunks(NAMED).map(statement).collect()
}

/// So many parameters, after the tenant's.
pub(super) fn places(count: usize) -> String {
    let places: Vec<String> = (0..count).map(|at| format!("${}", at + 2)).collect();
    places.join(", ")
}

fn add(keys: &mut SubjectKeys, vault: &dyn Vault, tenant: &TenantId, rows: &[Row]) -> Result<()> {
    rows.iter().try_for_each(|row| {
        let read = || Ok((row.id(0)?, row.bytes(1)?));
        let (id, kept) = read().map_err(unreadable)?;
        keys.add(vault, tenant, id, kept)
    })
}

/// The bytes of entries.
pub(super) fn bytes_of(rows: &[SealedEntry]) -> impl Iterator<Item = &[u8]> {
    rows.iter().map(|row| row.sealed.as_slice())
}
