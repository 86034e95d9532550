//! The rows of memories in the database.
//!
//! Numbers of an identity column are given out before their rows are committed, so that
//! a later one may be seen first. Whoever writes a tenant's memories therefore holds the
//! tenant's advisory lock until the commit: of one tenant's rows, whoever sees a position
//! sees all before it, and no two writers keep the same entry.

use async_trait::async_trait;
use l9_core::Result;
use l9_core::digest::{Digest, sha256};
use l9_core::id::TenantId;
use l9_core::memory::Remembered;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgTransaction, Row};
use uuid::Uuid;

use super::database::Database;
use super::rows::{self, decode};
use crate::kept::{Addition, Kept, Loaded, LoadedEntry, Marks, Plan, Prepared, Removal, Rows, SealedEntry, layer};

const INSERT: &str = "INSERT INTO entries \
    (tenant, id, layer, at, recorded_at, agent, session, source, key, content, terms, entry) \
    SELECT $1, e.* FROM unnest($2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bytea[], $7::bytea[], \
    $8::bytea[], $9::bytea[], $10::bytea[], $11::bytea[], $12::bytea[]) AS e";

#[async_trait]
impl Rows for Database {
    async fn newest(&self, tenant: &TenantId) -> Result<(i64, i64)> {
        let look = sqlx::query_as(
            "SELECT coalesce((SELECT max(position) FROM entries WHERE tenant = $1), 0), \
             coalesce((SELECT max(position) FROM forgotten WHERE tenant = $1), 0)",
        )
        .bind(tenant.as_str())
        .fetch_one(self.pool());
        self.within(look).await
    }

    async fn load(&self, tenant: &TenantId, entries: i64, forgotten: i64, limit: i64) -> Result<Vec<Loaded>> {
        let load = sqlx::query(
            "SELECT position, id, NULL::bigint, NULL::bigint, NULL::bigint, NULL::bytea, NULL::bytea, NULL::bytea \
             FROM forgotten WHERE tenant = $1 AND position > $2 \
             UNION ALL SELECT * FROM (SELECT position, id, layer, at, recorded_at, agent, session, terms \
             FROM entries WHERE tenant = $1 AND position > $3 ORDER BY position LIMIT $4) AS added",
        )
        .bind(tenant.as_str())
        .bind(forgotten)
        .bind(entries)
        .bind(limit)
        .fetch_all(self.pool());
        let found = self.within(load).await?;
        found.iter().map(loaded).collect::<Result<_, _>>().map_err(|error| self.fault(error))
    }

    async fn fetch(&self, tenant: &TenantId, ids: &[Uuid]) -> Result<Vec<SealedEntry>> {
        let fetch = sqlx::query("SELECT id, recorded_at, entry FROM entries WHERE tenant = $1 AND id = ANY ($2)")
            .bind(tenant.as_str())
            .bind(ids.iter().map(|id| id.as_bytes().as_slice()).collect::<Vec<_>>())
            .fetch_all(self.pool());
        let found = self.within(fetch).await?;
        found.iter().map(sealed).collect::<Result<_, _>>().map_err(|error| self.fault(error))
    }

    async fn find(&self, tenant: &TenantId, marks: &[Marks]) -> Result<Kept> {
        let find = Box::pin(async {
            let mut connection = self.pool().acquire().await?;
            find(&mut connection, tenant, marks).await
        });
        self.within(find).await
    }

    async fn keep(&self, plan: Plan) -> Result<Option<Vec<Remembered>>> {
        let tenant = plan.tenant().clone();
        let keep = Box::pin(async {
            let mut transaction = self.write_memories(&tenant).await?;
            let kept = find(&mut transaction, &tenant, &plan.marks()).await?;
            let decided = match plan.decide(kept) {
                Ok(Some(decided)) => decided,
                // Nothing was written.
                undecided => return Ok(undecided.map(|_| None)),
            };
            insert(&mut transaction, &tenant, &decided.added).await?;
            transaction.commit().await?;
            Ok(Ok(Some(decided.remembered)))
        });
        self.within(keep).await?
    }

    async fn remove(&self, tenant: &TenantId, what: Removal) -> Result<u64> {
        let (sql, token) = match &what {
            Removal::Id(id) => (REMOVE_ID, id.as_bytes().as_slice()),
            Removal::Source(token) => (REMOVE_SOURCE, token.as_bytes().as_slice()),
        };
        let remove = Box::pin(async {
            let mut transaction = self.write_memories(tenant).await?;
            let removed =
                sqlx::query(sql).bind(tenant.as_str()).bind(token).execute(&mut *transaction).await?.rows_affected();
            transaction.commit().await?;
            Ok(removed)
        });
        self.within(remove).await
    }

    async fn of_source(&self, tenant: &TenantId, source: Digest) -> Result<Vec<SealedEntry>> {
        let fetch = sqlx::query(
            "SELECT id, recorded_at, entry FROM entries WHERE tenant = $1 AND source = $2 ORDER BY position",
        )
        .bind(tenant.as_str())
        .bind(source.as_bytes().as_slice())
        .fetch_all(self.pool());
        let found = self.within(fetch).await?;
        found.iter().map(sealed).collect::<Result<_, _>>().map_err(|error| self.fault(error))
    }

    async fn sources(&self, tenant: &TenantId) -> Result<Vec<(u64, SealedEntry)>> {
        let fetch = sqlx::query(
            "SELECT e.id, e.recorded_at, e.entry, counted FROM (SELECT max(position) AS newest, count(*) AS counted \
             FROM entries WHERE tenant = $1 AND source IS NOT NULL GROUP BY source) AS s \
             JOIN entries AS e ON e.tenant = $1 AND e.position = s.newest",
        )
        .bind(tenant.as_str())
        .fetch_all(self.pool());
        let found = self.within(fetch).await?;
        let counted = |row: &PgRow| Ok((row.try_get::<i64, _>(3)?.unsigned_abs(), sealed(row)?));
        found.iter().map(counted).collect::<Result<_, _>>().map_err(|error| self.fault(error))
    }

    async fn count(&self, tenant: &TenantId, agent: Option<Digest>, session: Option<Digest>) -> Result<u64> {
        let count = sqlx::query_scalar(
            "SELECT count(*) FROM entries WHERE tenant = $1 AND ($2::bytea IS NULL OR agent IS NULL OR agent = $2) \
             AND ($3::bytea IS NULL OR session = $3)",
        )
        .bind(tenant.as_str())
        .bind(agent.as_ref().map(|token| token.as_bytes().as_slice()))
        .bind(session.as_ref().map(|token| token.as_bytes().as_slice()))
        .fetch_one(self.pool());
        let count: i64 = self.within(count).await?;
        Ok(u64::try_from(count).unwrap_or(0))
    }
}

const REMOVE_ID: &str = "WITH gone AS (DELETE FROM entries WHERE tenant = $1 AND id = $2 RETURNING tenant, id) \
    INSERT INTO forgotten (tenant, id) SELECT tenant, id FROM gone";
const REMOVE_SOURCE: &str = "WITH gone AS (DELETE FROM entries WHERE tenant = $1 AND source = $2 RETURNING tenant, id) \
    INSERT INTO forgotten (tenant, id) SELECT tenant, id FROM gone";

impl Database {
    /// A transaction that alone writes the tenant's memories.
    async fn write_memories(&self, tenant: &TenantId) -> Result<PgTransaction<'static>, sqlx::Error> {
        let mut transaction = self.pool().begin().await?;
        lock(&mut transaction, tenant).await?;
        Ok(transaction)
    }
}

/// Holds the tenant's memories for writing until the transaction ends.
async fn lock(connection: &mut PgConnection, tenant: &TenantId) -> Result<(), sqlx::Error> {
    let mark = sha256(&[b"l9 memories of ", tenant.as_str().as_bytes()]);
    let number = mark.as_bytes().iter().take(8).fold(0_i64, |number, byte| number << 8 | i64::from(*byte));
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(number).execute(connection).await.map(drop)
}

/// Writes prepared entries in a transaction that is open; tells whether they were all still
/// new, and writes none otherwise.
pub(super) async fn add(connection: &mut PgConnection, addition: &Addition) -> Result<bool, sqlx::Error> {
    lock(connection, &addition.tenant).await?;
    let kept = find(connection, &addition.tenant, &addition.marks()).await?;
    let fits = addition.fits(&kept);
    if fits {
        insert(connection, &addition.tenant, &addition.added).await?;
    }
    Ok(fits)
}

/// Finds equal entries.
async fn find(connection: &mut PgConnection, tenant: &TenantId, marks: &[Marks]) -> Result<Kept, sqlx::Error> {
    let mut kept = Kept::default();
    let contents: Vec<&[u8]> = marks.iter().map(|marks| marks.content.as_bytes().as_slice()).collect();
    let found =
        sqlx::query("SELECT id, content FROM entries WHERE tenant = $1 AND content = ANY ($2) ORDER BY position DESC")
            .bind(tenant.as_str())
            .bind(contents)
            .fetch_all(&mut *connection)
            .await?;
    for row in &found {
        kept.contents.insert(rows::digest(row, 1)?, uuid(row, 0)?);
    }
    let keys: Vec<&[u8]> =
        marks.iter().filter_map(|marks| marks.key.as_ref()).map(|key| key.as_bytes().as_slice()).collect();
    if keys.is_empty() {
        return Ok(kept);
    }
    let found = sqlx::query("SELECT id, key, entry FROM entries WHERE tenant = $1 AND key = ANY ($2)")
        .bind(tenant.as_str())
        .bind(keys)
        .fetch_all(connection)
        .await?;
    for row in &found {
        kept.keys.insert(rows::digest(row, 1)?, (uuid(row, 0)?, row.try_get(2)?));
    }
    Ok(kept)
}

async fn insert(connection: &mut PgConnection, tenant: &TenantId, entries: &[Prepared]) -> Result<(), sqlx::Error> {
    let token = |token: fn(&Prepared) -> Option<&Digest>| -> Vec<Option<&[u8]>> {
        entries.iter().map(|entry| token(entry).map(|token| token.as_bytes().as_slice())).collect()
    };
    sqlx::query(INSERT)
        .bind(tenant.as_str())
        .bind(entries.iter().map(|entry| entry.id.as_bytes().as_slice()).collect::<Vec<_>>())
        .bind(entries.iter().map(|entry| entry.layer).collect::<Vec<_>>())
        .bind(entries.iter().map(|entry| entry.at).collect::<Vec<_>>())
        .bind(entries.iter().map(|entry| entry.recorded_at).collect::<Vec<_>>())
        .bind(token(|entry| entry.agent.as_ref()))
        .bind(token(|entry| entry.session.as_ref()))
        .bind(token(|entry| entry.source.as_ref()))
        .bind(token(|entry| entry.key.as_ref()))
        .bind(token(|entry| Some(&entry.content)))
        .bind(entries.iter().map(|entry| entry.terms.as_slice()).collect::<Vec<_>>())
        .bind(entries.iter().map(|entry| entry.sealed.as_slice()).collect::<Vec<_>>())
        .execute(connection)
        .await
        .map(drop)
}

fn sealed(row: &PgRow) -> Result<SealedEntry, sqlx::Error> {
    Ok(SealedEntry { id: uuid(row, 0)?, recorded_at: row.try_get(1)?, sealed: row.try_get(2)? })
}

fn loaded(row: &PgRow) -> Result<Loaded, sqlx::Error> {
    let entry = match row.try_get::<Option<i64>, _>(2)? {
        None => None,
        Some(number) => Some(LoadedEntry {
            layer: layer(number).map_err(|error| decode(2, error))?,
            at: row.try_get(3)?,
            recorded_at: row.try_get(4)?,
            agent: row.try_get(5)?,
            session: row.try_get(6)?,
            terms: row.try_get(7)?,
        }),
    };
    Ok(Loaded { position: row.try_get(0)?, id: uuid(row, 1)?, entry })
}

fn uuid(row: &PgRow, at: usize) -> Result<Uuid, sqlx::Error> {
    Uuid::from_slice(row.try_get(at)?).map_err(|error| decode(at, error))
}
