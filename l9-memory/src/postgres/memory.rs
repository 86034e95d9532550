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
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Arguments, AssertSqlSafe, PgConnection, PgExecutor, PgTransaction, Row, TypeInfo, ValueRef};
use uuid::Uuid;

use super::database::Database;
use super::rows::{self, decode};
use crate::kept::{
    Changed, Connection, Job, Kept, Known, Loaded, LoadedEntry, Marks, Prepared, Row as Found, Rows, SealedEntry,
    Value, layer,
};

const INSERT: &str = "INSERT INTO entries \
    (tenant, id, layer, at, recorded_at, valid_from, valid_to, agent, session, source, key, content, terms, entry) \
    SELECT $1, e.* FROM unnest($2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], \
    $8::bytea[], $9::bytea[], $10::bytea[], $11::bytea[], $12::bytea[], $13::bytea[], $14::bytea[]) AS e";

#[async_trait]
impl Rows for Database {
    async fn newest(&self, tenant: &TenantId) -> Result<(i64, i64)> {
        let look = sqlx::query_as(
            "SELECT coalesce((SELECT max(position) FROM entries WHERE tenant = $1), 0), \
             coalesce((SELECT max(position) FROM memory_changes WHERE tenant = $1), 0)",
        )
        .bind(tenant.as_str())
        .fetch_one(self.pool());
        self.within(look).await
    }

    async fn load(&self, tenant: &TenantId, entries: i64, changes: i64, limit: i64) -> Result<Vec<Loaded>> {
        let load = sqlx::query(
            "SELECT position, id, at, valid_from, NULL::bigint, change, NULL::bigint, cause, NULL::bytea, NULL::bytea \
             FROM memory_changes WHERE tenant = $1 AND position > $2 \
             UNION ALL SELECT * FROM (SELECT position, id, at, valid_from, valid_to, layer, recorded_at, agent, session, terms \
             FROM entries WHERE tenant = $1 AND position > $3 ORDER BY position LIMIT $4) AS added",
        )
        .bind(tenant.as_str())
        .bind(changes)
        .bind(entries)
        .bind(limit)
        .fetch_all(self.pool());
        let found = self.within(load).await?;
        found.iter().map(loaded).collect::<Result<_, _>>().map_err(|error| self.fault(error))
    }

    async fn fetch(&self, tenant: &TenantId, ids: &[Uuid]) -> Result<Vec<SealedEntry>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let fetch = sqlx::query(
            "SELECT id, recorded_at, standing, superseded_by, entry FROM entries WHERE tenant = $1 AND id = ANY ($2)",
        )
        .bind(tenant.as_str())
        .bind(ids.iter().map(|id| id.as_bytes().as_slice()).collect::<Vec<_>>())
        .fetch_all(self.pool());
        let found = self.within(fetch).await?;
        let sealed = |row: &PgRow| {
            Ok(SealedEntry {
                id: uuid(row, 0)?,
                recorded_at: row.try_get(1)?,
                standing: row.try_get(2)?,
                superseded_by: optional_uuid(row, 3)?,
                sealed: row.try_get(4)?,
            })
        };
        found.iter().map(sealed).collect::<Result<_, _>>().map_err(|error| self.fault(error))
    }

    async fn find(&self, tenant: &TenantId, marks: &[Marks]) -> Result<Kept> {
        let find = Box::pin(async {
            let mut connection = self.pool().acquire().await?;
            find(&mut connection, tenant, marks).await
        });
        self.within(find).await
    }

    async fn read(&self, sql: &str, values: &[Value]) -> Result<Vec<Found>> {
        self.within(Box::pin(read(self.pool(), sql, values))).await
    }

    async fn write(&self, tenant: &TenantId, _: usize, job: Job) -> Result<()> {
        let write = Box::pin(async {
            let mut transaction = self.write_memories(tenant).await?;
            let done = job(&mut *transaction).await?;
            match done {
                Ok(()) => transaction.commit().await?,
                Err(_) => transaction.rollback().await?,
            }
            Ok(done)
        });
        self.within(write).await?
    }
}

impl Database {
    /// A transaction that alone writes the tenant's memories.
    async fn write_memories(&self, tenant: &TenantId) -> Result<PgTransaction<'static>, sqlx::Error> {
        let mut transaction = self.pool().begin().await?;
        lock(&mut transaction, tenant).await?;
        Ok(transaction)
    }
}

/// Holds the tenant's memories for writing until the transaction ends.
pub(super) async fn lock(connection: &mut PgConnection, tenant: &TenantId) -> Result<(), sqlx::Error> {
    let mark = sha256(&[b"l9 memories of ", tenant.as_str().as_bytes()]);
    let number = mark.as_bytes().iter().take(8).fold(0_i64, |number, byte| number << 8 | i64::from(*byte));
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(number).execute(connection).await.map(drop)
}

/// Entries of equal content.
const EQUAL: &str = "SELECT id, content FROM entries WHERE tenant = $1 AND content = ANY ($2) AND standing & 1 = 0 \
     AND (standing & 2 = 0 OR source IS NOT NULL) ORDER BY position";
/// Whose a key is, then the oldest superseded one of a document. Each half says what its
/// partial index says, or neither is used.
const KEYED: &str = "SELECT id, key, entry, standing, position, standing & 2 FROM entries \
     WHERE tenant = $1 AND key = ANY ($2) AND key IS NOT NULL AND standing & 3 = 0 \
     UNION ALL SELECT id, key, entry, standing, position, standing & 2 FROM entries \
     WHERE tenant = $1 AND key = ANY ($2) AND key IS NOT NULL AND standing & 3 <> 0 \
     AND standing & 1 = 0 AND source IS NOT NULL ORDER BY 6, 5";

/// Finds equal entries.
async fn find(connection: &mut PgConnection, tenant: &TenantId, marks: &[Marks]) -> Result<Kept, sqlx::Error> {
    let mut kept = Kept::default();
    let contents: Vec<&[u8]> = marks.iter().map(|marks| marks.content.as_bytes().as_slice()).collect();
    let found = sqlx::query(EQUAL).bind(tenant.as_str()).bind(contents).fetch_all(&mut *connection).await?;
    for row in &found {
        kept.contents.entry(rows::digest(row, 1)?).or_default().push(uuid(row, 0)?);
    }
    let keys: Vec<&[u8]> =
        marks.iter().filter_map(|marks| marks.key.as_ref()).map(|key| key.as_bytes().as_slice()).collect();
    if keys.is_empty() {
        return Ok(kept);
    }
    let found = sqlx::query(KEYED).bind(tenant.as_str()).bind(keys).fetch_all(connection).await?;
    for row in &found {
        let superseded = row.try_get::<i64, _>(3)? & 2 != 0;
        let known = Known { id: uuid(row, 0)?, superseded, sealed: row.try_get(2)? };
        kept.keys.entry(rows::digest(row, 1)?).or_insert(known);
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
        .bind(entries.iter().map(|entry| entry.valid_from).collect::<Vec<_>>())
        .bind(entries.iter().map(|entry| entry.valid_to).collect::<Vec<_>>())
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

#[async_trait]
impl Connection for PgConnection {
    async fn find(&mut self, tenant: &TenantId, marks: &[Marks]) -> Result<Kept, sqlx::Error> {
        find(self, tenant, marks).await
    }

    async fn insert(&mut self, tenant: &TenantId, entries: &[Prepared]) -> Result<(), sqlx::Error> {
        insert(self, tenant, entries).await
    }

    async fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, sqlx::Error> {
        let done = sqlx::query_with(AssertSqlSafe(sql.to_owned()), arguments(values)?).execute(self).await?;
        Ok(done.rows_affected())
    }

    async fn rows(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Found>, sqlx::Error> {
        read(self, sql, values).await
    }
}

/// Reads rows of any form.
async fn read(executor: impl PgExecutor<'_>, sql: &str, values: &[Value]) -> Result<Vec<Found>, sqlx::Error> {
    let rows = sqlx::query_with(AssertSqlSafe(sql.to_owned()), arguments(values)?).fetch_all(executor).await?;
    rows.iter().map(|row| (0..row.len()).map(|at| value(row, at)).collect::<Result<_, _>>().map(Found)).collect()
}

fn arguments(values: &[Value]) -> Result<PgArguments, sqlx::Error> {
    let mut out = PgArguments::default();
    for value in values {
        let added = match value {
            Value::Null => out.add(None::<Vec<u8>>),
            Value::Number(number) => out.add(*number),
            Value::Text(text) => out.add(text.clone()),
            Value::Bytes(bytes) => out.add(bytes.clone()),
        };
        added.map_err(sqlx::Error::Encode)?;
    }
    Ok(out)
}

fn value(row: &PgRow, at: usize) -> Result<Value, sqlx::Error> {
    let raw = row.try_get_raw(at)?;
    if raw.is_null() {
        return Ok(Value::Null);
    }
    let of = raw.type_info().into_owned();
    Ok(match of.name() {
        "INT8" => Value::Number(row.try_get(at)?),
        "INT4" => Value::Number(row.try_get::<i32, _>(at)?.into()),
        "BYTEA" => Value::Bytes(row.try_get(at)?),
        _ => Value::Text(row.try_get(at)?),
    })
}

fn loaded(row: &PgRow) -> Result<Loaded, sqlx::Error> {
    let (at, valid_from) = (row.try_get(2)?, row.try_get(3)?);
    let what = match row.try_get::<Option<i64>, _>(6)? {
        None => {
            Changed::of(row.try_get(5)?, at, optional_uuid(row, 7)?, valid_from).map_err(|error| decode(5, error))?
        }
        Some(recorded_at) => Changed::Added(LoadedEntry {
            layer: layer(row.try_get(5)?).map_err(|error| decode(5, error))?,
            at,
            recorded_at,
            valid_from,
            valid_to: row.try_get(4)?,
            agent: row.try_get(7)?,
            session: row.try_get(8)?,
            terms: row.try_get(9)?,
        }),
    };
    Ok(Loaded { position: row.try_get(0)?, id: uuid(row, 1)?, what })
}

pub(super) fn uuid(row: &PgRow, at: usize) -> Result<Uuid, sqlx::Error> {
    Uuid::from_slice(row.try_get(at)?).map_err(|error| decode(at, error))
}

fn optional_uuid(row: &PgRow, at: usize) -> Result<Option<Uuid>, sqlx::Error> {
    row.try_get::<Option<&[u8]>, _>(at)?.map(|_| uuid(row, at)).transpose()
}
