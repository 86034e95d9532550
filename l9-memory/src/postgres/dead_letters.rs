//! Dead letters: runs that were given up.

use async_trait::async_trait;
use l9_core::Result;
use l9_core::id::{RunId, TenantId};
use l9_core::journal::{DeadLetter, DeadLetters};
use l9_core::queue::Task;
use l9_core::time::Timestamp;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::rows::{self, closed, limited};
use super::store::Store;

const BURY: &str = concat!(
    "UPDATE runs SET dead_at = $3, dead_reason = $4, wake_at = NULL WHERE tenant = $1 AND run = $2 \
     AND owner IS NULL AND waiting = 0 AND status NOT IN ",
    closed!()
);

#[async_trait]
impl DeadLetters for Store {
    async fn bury(&self, letter: DeadLetter) -> Result<bool> {
        let bury = sqlx::query(BURY)
            .bind(letter.tenant.as_str())
            .bind(letter.run.as_bytes().as_slice())
            .bind(letter.at.as_millis())
            .bind(letter.sealed)
            .execute(self.database.pool());
        if self.database.within(bury).await?.rows_affected() > 0 {
            return Ok(true);
        }
        self.known(&letter.tenant, letter.run).await.map(|()| false)
    }

    async fn dead(&self, tenant: Option<&TenantId>, limit: usize) -> Result<Vec<DeadLetter>> {
        let read = sqlx::query(
            "SELECT tenant, run, dead_at, dead_reason FROM runs WHERE dead_at IS NOT NULL \
             AND ($1::text IS NULL OR tenant = $1) ORDER BY dead_at, tenant, run LIMIT $2",
        )
        .bind(tenant.map(TenantId::as_str))
        .bind(limited(limit))
        .fetch_all(self.database.pool());
        let found = self.database.within(read).await?;
        found.iter().map(letter).collect::<Result<_, _>>().map_err(|error| self.database.fault(error))
    }

    async fn dead_count(&self, tenant: Option<&TenantId>) -> Result<u64> {
        let count =
            sqlx::query("SELECT count(*) FROM runs WHERE dead_at IS NOT NULL AND ($1::text IS NULL OR tenant = $1)")
                .bind(tenant.map(TenantId::as_str))
                .fetch_one(self.database.pool());
        let row = self.database.within(count).await?;
        rows::number(&row, 0).map_err(|error| self.database.fault(error))
    }

    async fn redrive(&self, tenant: &TenantId, run: RunId) -> Result<Option<Task>> {
        let redrive = sqlx::query_scalar(
            "UPDATE runs SET dead_at = NULL, dead_reason = NULL, wake_at = clock_timestamp() \
             WHERE tenant = $1 AND run = $2 AND dead_at IS NOT NULL RETURNING priority",
        )
        .bind(tenant.as_str())
        .bind(run.as_bytes().as_slice())
        .fetch_optional(self.database.pool());
        let priority = self.database.within(redrive).await?;
        Ok(priority.map(|priority| Task { tenant: tenant.clone(), run, priority }))
    }
}

fn letter(row: &PgRow) -> Result<DeadLetter, sqlx::Error> {
    let (tenant, run) = (rows::tenant(row, 0)?, rows::run_id(row, 1)?);
    Ok(DeadLetter { tenant, run, at: Timestamp::from_millis(row.try_get(2)?), sealed: row.try_get(3)? })
}
