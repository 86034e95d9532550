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
const NAMED: usize = 64;

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
        for (sql, values) in named(tenant, "id, sealed FROM subject_keys", "id", &wanted(sealed)) {
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
        for (sql, values) in named(tenant, "id, sealed, subject FROM subject_keys", "subject", &wanted) {
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

    /// Removes what is about a subject, with its key, and some entries also; tells which there were.
    pub(super) async fn erased(
        &self,
        tenant: &TenantId,
        subject: &Digest,
        also: &[Uuid],
        dry: bool,
    ) -> Result<BTreeSet<Uuid>> {
        if dry {
            let mut there = BTreeSet::new();
            for (sql, values) in reaching(tenant, subject, also) {
                let rows = self.rows.read(&sql, &values).await?;
                let ids = rows.iter().map(|row| row.optional_id(1)).collect::<Result<Vec<_>, _>>();
                there.extend(ids.map_err(unreadable)?.into_iter().flatten());
            }
            return Ok(there);
        }
        let (whose, subject, also, now) = (tenant.clone(), *subject, also.to_vec(), self.keeper.clock.now());
        let erased = self
            .write(tenant, 64, move |c| Box::pin(async move { erase(c, &whose, (subject, also), now).await }))
            .await?;
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
    for (sql, values) in named(tenant, "id, sealed FROM subject_keys", "id", &wanted(sealed)) {
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
    for (sql, values) in
        named(tenant, "id FROM subject_keys", "id", &wanted(added.iter().map(|new| new.sealed.as_slice())))
    {
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

/// Statements that reach what is about a subject, some entries also, and what derives from them:
/// each id, and again if it is there.
fn reaching(tenant: &TenantId, subject: &Digest, also: &[Uuid]) -> Vec<(String, Vec<Value>)> {
    let statement = |origins: &str, values: Vec<Value>| {
        let sql = format!(
            "WITH RECURSIVE reached (id) AS ({origins} UNION SELECT d.id FROM derivations d JOIN reached r \
             ON d.origin = r.id WHERE d.tenant = $1) \
             SELECT a.id, e.id FROM reached a LEFT JOIN entries e ON e.tenant = $1 AND e.id = a.id"
        );
        (sql, values)
    };
    let about = "SELECT s.id FROM entry_subjects s WHERE s.tenant = $1 AND s.subject = $2";
    let mut statements = vec![statement(about, vec![tenant.into(), subject.into()])];
    for part in also.chunks(NAMED) {
        let origins = format!("SELECT o.id FROM entries o WHERE o.tenant = $1 AND o.id IN ({})", places(part.len()));
        statements.push(statement(&origins, with_ids(tenant, part)));
    }
    statements
}

fn with_ids(tenant: &TenantId, ids: &[Uuid]) -> Vec<Value> {
    std::iter::once(Value::from(tenant)).chain(ids.iter().map(|id| Value::from(*id))).collect()
}

async fn erase(
    c: &mut dyn Connection,
    tenant: &TenantId,
    (subject, also): (Digest, Vec<Uuid>),
    now: Timestamp,
) -> Answer<BTreeSet<Uuid>> {
    let (mut reached, mut there) = (BTreeSet::new(), BTreeSet::new());
    for (sql, values) in reaching(tenant, &subject, &also) {
        for row in c.rows(&sql, &values).await? {
            reached.insert(row.id(0)?);
            there.extend(row.optional_id(1)?);
        }
    }
    let reached: Vec<Uuid> = reached.into_iter().collect();
    for part in reached.chunks(NAMED) {
        let (places, values) = (places(part.len()), with_ids(tenant, part));
        let removed = format!(
            "INSERT INTO memory_changes (tenant, id, change, at) SELECT tenant, id, 1, {} FROM entries \
             WHERE tenant = $1 AND id IN ({places})",
            now.as_millis()
        );
        c.execute(&removed, &values).await?;
        for (table, column) in [
            ("entries", "id"),
            ("quarantined", "id"),
            ("derivations", "id"),
            ("derivations", "origin"),
            ("entry_subjects", "id"),
        ] {
            c.execute(&format!("DELETE FROM {table} WHERE tenant = $1 AND {column} IN ({places})"), &values).await?;
        }
    }
    let named = [Value::from(tenant), (&subject).into()];
    c.execute("DELETE FROM subject_keys WHERE tenant = $1 AND subject = $2", &named).await?;
    Ok(Ok(there))
}

/// The ids of the keys that sealed bytes need.
fn wanted<'b>(sealed: impl IntoIterator<Item = &'b [u8]>) -> Vec<Value> {
    let ids: BTreeSet<Uuid> = sealed.into_iter().flat_map(subject_keys).collect();
    ids.into_iter().map(Value::from).collect()
}

/// Statements that read rows by some column.
pub(super) fn named(tenant: &TenantId, what: &str, by: &str, wanted: &[Value]) -> Vec<(String, Vec<Value>)> {
    let statement = |part: &[Value]| {
        let values: Vec<Value> = std::iter::once(Value::from(tenant)).chain(part.iter().cloned()).collect();
        let places = places(part.len());
        (format!("SELECT {what} WHERE tenant = $1 AND {by} IN ({places})"), values)
    };
    wanted.chunks(NAMED).map(statement).collect()
}

/// So many parameters, after the tenant's.
fn places(count: usize) -> String {
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
