//! The rows of memories in the file.

use async_trait::async_trait;
use l9_core::Result;
use l9_core::id::TenantId;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Row};
use uuid::Uuid;

use super::database::Database;
use super::entries;
use super::rows::decode;
use crate::kept::{Changed, Job, Kept, Loaded, LoadedEntry, Marks, Row as Found, Rows, SealedEntry, Value, layer};

/// How many entries are fetched at once.
const FETCH: usize = 32;

#[async_trait]
impl Rows for Database {
    async fn newest(&self, tenant: &TenantId) -> Result<(i64, i64)> {
        let row = sqlx::query(
            "SELECT (SELECT max(position) FROM entries WHERE tenant = $1), (SELECT max(position) FROM memory_changes WHERE tenant = $1)",
        )
        .bind(tenant.as_str())
        .fetch_one(self.readers())
        .await;
        let newest = |row: SqliteRow| Ok((row.try_get::<Option<i64>, _>(0)?, row.try_get::<Option<i64>, _>(1)?));
        let (entries, changes) = row.and_then(newest).map_err(|error| self.fault(error))?;
        Ok((entries.unwrap_or(0), changes.unwrap_or(0)))
    }

    async fn load(&self, tenant: &TenantId, entries: i64, changes: i64, limit: i64) -> Result<Vec<Loaded>> {
        let found = sqlx::query(
            "SELECT position, id, at, valid_from, NULL, change, NULL, cause, NULL, NULL FROM memory_changes \
             WHERE tenant = $1 AND position > $2 \
             UNION ALL SELECT * FROM (SELECT position, id, at, valid_from, valid_to, layer, recorded_at, agent, session, terms \
             FROM entries WHERE tenant = $1 AND position > $3 ORDER BY position LIMIT $4)",
        )
        .bind(tenant.as_str())
        .bind(changes)
        .bind(entries)
        .bind(limit)
        .fetch_all(self.readers())
        .await;
        let read = |found: Vec<_>| found.iter().map(loaded).collect::<Result<Vec<_>, _>>();
        found.and_then(read).map_err(|error| self.fault(error))
    }

    async fn fetch(&self, tenant: &TenantId, ids: &[Uuid]) -> Result<Vec<SealedEntry>> {
        let mut found = Vec::with_capacity(ids.len());
        for part in ids.chunks(FETCH) {
            let size = if part.len() == 1 { 1 } else { FETCH };
            let mut arguments = SqliteArguments::default();
            let mut add = || -> Result<(), sqlx::error::BoxDynError> {
                arguments.add(tenant.as_str())?;
                part.iter().try_for_each(|id| arguments.add(id.as_bytes().as_slice()))
            };
            add().map_err(|error| self.fault(sqlx::Error::Encode(error)))?;
            let sql = format!(
                "SELECT id, recorded_at, standing, superseded_by, entry FROM entries WHERE tenant = ? AND id IN ({})",
                vec!["?"; size].join(",")
            );
            let rows = sqlx::query_with(AssertSqlSafe(sql), arguments).fetch_all(self.readers()).await;
            let sealed = |row: &SqliteRow| {
                Ok(SealedEntry {
                    id: entries::uuid(row, 0)?,
                    recorded_at: row.try_get(1)?,
                    standing: row.try_get(2)?,
                    superseded_by: entries::optional_uuid(row, 3)?,
                    sealed: row.try_get(4)?,
                })
            };
            let read = |rows: Vec<_>| rows.iter().map(sealed).collect::<Result<Vec<_>, _>>();
            found.extend(rows.and_then(read).map_err(|error| self.fault(error))?);
        }
        Ok(found)
    }

    async fn find(&self, tenant: &TenantId, marks: &[Marks]) -> Result<Kept> {
        let find = async {
            let mut connection = self.readers().acquire().await?;
            entries::find(&mut connection, tenant, marks).await
        };
        find.await.map_err(|error| self.fault(error))
    }

    async fn read(&self, sql: &str, values: &[Value]) -> Result<Vec<Found>> {
        entries::read(self.readers(), sql, values).await.map_err(|error| self.fault(error))
    }

    async fn write(&self, _: &TenantId, rows: usize, job: Job) -> Result<()> {
        // One task writes everything, so nobody else writes the tenant's memories meanwhile.
        self.writer().grouped(None, rows, move |connection| Box::pin(async move { job(connection).await })).await
    }
}

fn loaded(row: &SqliteRow) -> Result<Loaded, sqlx::Error> {
    let (at, valid_from) = (row.try_get(2)?, row.try_get(3)?);
    let what = match row.try_get::<Option<i64>, _>(6)? {
        None => Changed::of(row.try_get(5)?, at, entries::optional_uuid(row, 7)?, valid_from)
            .map_err(|error| decode(5, error))?,
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
    Ok(Loaded { position: row.try_get(0)?, id: entries::uuid(row, 1)?, what })
}
