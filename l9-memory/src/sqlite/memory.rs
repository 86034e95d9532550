//! The rows of memories in the file.

use async_trait::async_trait;
use l9_core::Result;
use l9_core::digest::Digest;
use l9_core::id::TenantId;
use l9_core::memory::Remembered;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Row, SqliteConnection};
use uuid::Uuid;

use super::database::Database;
use super::entries;
use super::rows::decode;
use super::writer::Answer;
use crate::kept::{Kept, Loaded, LoadedEntry, Marks, Plan, Removal, Rows, SealedEntry, layer};

/// How many entries are fetched at once.
const FETCH: usize = 32;

const NOTE_ID: &str = "INSERT INTO forgotten (tenant, id) SELECT tenant, id FROM entries WHERE tenant = ? AND id = ?";
const DELETE_ID: &str = "DELETE FROM entries WHERE tenant = ? AND id = ?";
const NOTE_SOURCE: &str =
    "INSERT INTO forgotten (tenant, id) SELECT tenant, id FROM entries WHERE tenant = ? AND source = ?";
const DELETE_SOURCE: &str = "DELETE FROM entries WHERE tenant = ? AND source = ?";

#[async_trait]
impl Rows for Database {
    async fn newest(&self, tenant: &TenantId) -> Result<(i64, i64)> {
        let row = sqlx::query(
            "SELECT (SELECT max(position) FROM entries WHERE tenant = $1), (SELECT max(position) FROM forgotten WHERE tenant = $1)",
        )
        .bind(tenant.as_str())
        .fetch_one(self.readers())
        .await;
        let newest = |row: SqliteRow| Ok((row.try_get::<Option<i64>, _>(0)?, row.try_get::<Option<i64>, _>(1)?));
        let (entries, forgotten) = row.and_then(newest).map_err(|error| self.fault(error))?;
        Ok((entries.unwrap_or(0), forgotten.unwrap_or(0)))
    }

    async fn load(&self, tenant: &TenantId, entries: i64, forgotten: i64, limit: i64) -> Result<Vec<Loaded>> {
        let found = sqlx::query(
            "SELECT position, id, NULL, NULL, NULL, NULL, NULL, NULL FROM forgotten WHERE tenant = $1 AND position > $2 \
             UNION ALL SELECT * FROM (SELECT position, id, layer, at, recorded_at, agent, session, terms \
             FROM entries WHERE tenant = $1 AND position > $3 ORDER BY position LIMIT $4)",
        )
        .bind(tenant.as_str())
        .bind(forgotten)
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
                "SELECT id, recorded_at, entry FROM entries WHERE tenant = ? AND id IN ({})",
                vec!["?"; size].join(",")
            );
            let rows = sqlx::query_with(AssertSqlSafe(sql), arguments).fetch_all(self.readers()).await;
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

    async fn keep(&self, plan: Plan) -> Result<Option<Vec<Remembered>>> {
        self.writer().grouped(None, plan.len(), move |connection| Box::pin(keep(connection, plan))).await
    }

    async fn remove(&self, tenant: &TenantId, what: Removal) -> Result<u64> {
        let tenant = tenant.clone();
        let (note, delete, token) = match what {
            Removal::Id(id) => (NOTE_ID, DELETE_ID, id.as_bytes().to_vec()),
            Removal::Source(token) => (NOTE_SOURCE, DELETE_SOURCE, token.as_bytes().to_vec()),
        };
        let remove = self.writer().grouped(None, 2, move |connection| {
            Box::pin(async move {
                let mut removed = 0;
                for sql in [note, delete] {
                    let done =
                        sqlx::query(sql).bind(tenant.as_str()).bind(token.as_slice()).execute(&mut *connection).await?;
                    removed = done.rows_affected();
                }
                Ok(Ok(removed))
            })
        });
        remove.await
    }

    async fn of_source(&self, tenant: &TenantId, source: Digest) -> Result<Vec<SealedEntry>> {
        let found = sqlx::query(
            "SELECT id, recorded_at, entry FROM entries WHERE tenant = $1 AND source = $2 ORDER BY position",
        )
        .bind(tenant.as_str())
        .bind(source.as_bytes().as_slice())
        .fetch_all(self.readers())
        .await;
        let read = |rows: Vec<_>| rows.iter().map(sealed).collect::<Result<_, _>>();
        found.and_then(read).map_err(|error| self.fault(error))
    }

    async fn sources(&self, tenant: &TenantId) -> Result<Vec<(u64, SealedEntry)>> {
        let found = sqlx::query(
            "SELECT id, recorded_at, entry, counted FROM (SELECT max(position) AS newest, count(*) AS counted \
             FROM entries WHERE tenant = $1 AND source IS NOT NULL GROUP BY source) CROSS JOIN entries \
             ON position = newest",
        )
        .bind(tenant.as_str())
        .fetch_all(self.readers())
        .await;
        let counted = |row: &SqliteRow| Ok((row.try_get::<i64, _>(3)?.unsigned_abs(), sealed(row)?));
        let read = |rows: Vec<_>| rows.iter().map(counted).collect::<Result<_, _>>();
        found.and_then(read).map_err(|error| self.fault(error))
    }

    async fn count(&self, tenant: &TenantId, agent: Option<Digest>, session: Option<Digest>) -> Result<u64> {
        let count: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM entries WHERE tenant = $1 AND ($2 IS NULL OR agent IS NULL OR agent = $2) \
             AND ($3 IS NULL OR session = $3)",
        )
        .bind(tenant.as_str())
        .bind(agent.map(|token| token.as_bytes().to_vec()))
        .bind(session.map(|token| token.as_bytes().to_vec()))
        .fetch_one(self.readers())
        .await
        .map_err(|error| self.fault(error))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }
}

async fn keep(connection: &mut SqliteConnection, plan: Plan) -> Answer<Option<Vec<Remembered>>> {
    let tenant = plan.tenant().clone();
    let kept = entries::find(connection, &tenant, &plan.marks()).await?;
    let decided = match plan.decide(kept) {
        Ok(Some(decided)) => decided,
        Ok(None) => return Ok(Ok(None)),
        Err(error) => return Ok(Err(error)),
    };
    entries::insert(connection, &tenant, &decided.added).await?;
    Ok(Ok(Some(decided.remembered)))
}

fn sealed(row: &SqliteRow) -> Result<SealedEntry, sqlx::Error> {
    Ok(SealedEntry { id: entries::uuid(row, 0)?, recorded_at: row.try_get(1)?, sealed: row.try_get(2)? })
}

fn loaded(row: &SqliteRow) -> Result<Loaded, sqlx::Error> {
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
    Ok(Loaded { position: row.try_get(0)?, id: entries::uuid(row, 1)?, entry })
}
