//! Dead letters: runs that were given up.

use async_trait::async_trait;
use l9_core::Result;
use l9_core::id::{RunId, TenantId};
use l9_core::journal::{DeadLetter, DeadLetters};
use l9_core::queue::Task;
use l9_core::time::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::appends::now;
use super::rows::{self, limited};
use super::store::Store;
use super::writer::Answer;
use crate::check;

#[async_trait]
impl DeadLetters for Store {
    async fn bury(&self, letter: DeadLetter) -> Result<bool> {
        let claim = Some((letter.tenant.clone(), letter.run));
        self.database.writer().grouped(claim, 1, move |connection| Box::pin(bury(connection, letter))).await
    }

    async fn dead(&self, tenant: Option<&TenantId>, limit: usize) -> Result<Vec<DeadLetter>> {
        let found = sqlx::query(
            "SELECT tenant, run, dead_at, dead_reason FROM runs WHERE dead_at IS NOT NULL \
             AND ($1 IS NULL OR tenant = $1) ORDER BY dead_at, tenant, run LIMIT $2",
        )
        .bind(tenant.map(TenantId::as_str))
        .bind(limited(limit))
        .fetch_all(self.database.readers())
        .await;
        found.and_then(|found| found.iter().map(letter).collect()).map_err(|error| self.database.fault(error))
    }

    async fn dead_count(&self, tenant: Option<&TenantId>) -> Result<u64> {
        let count = sqlx::query("SELECT count(*) FROM runs WHERE dead_at IS NOT NULL AND ($1 IS NULL OR tenant = $1)")
            .bind(tenant.map(TenantId::as_str))
            .fetch_one(self.database.readers())
            .await;
        count.and_then(|row| rows::number(&row, 0)).map_err(|error| self.database.fault(error))
    }

    async fn redrive(&self, tenant: &TenantId, run: RunId) -> Result<Option<Task>> {
        let key = (tenant.clone(), run);
        let redriven = self.database.writer().grouped(Some(key.clone()), 1, move |connection| {
            Box::pin(async move {
                let priority = sqlx::query_scalar(concat!(
                    "UPDATE runs SET dead_at = NULL, dead_reason = NULL, wake_at = ",
                    now!(),
                    " WHERE tenant = $1 AND run = $2 AND dead_at IS NOT NULL RETURNING priority"
                ))
                .bind(key.0.as_str())
                .bind(key.1.as_bytes().as_slice())
                .fetch_optional(connection)
                .await?;
                Ok(Ok(priority.map(|priority| Task { tenant: key.0, run: key.1, priority })))
            })
        });
        redriven.await
    }
}

async fn bury(connection: &mut SqliteConnection, letter: DeadLetter) -> Answer<bool> {
    let buried = sqlx::query(
        "UPDATE runs SET dead_at = $3, dead_reason = $4, wake_at = NULL WHERE tenant = $1 AND run = $2 \
         AND owner IS NULL AND status NOT IN ('succeeded', 'failed', 'cancelled') \
         AND NOT EXISTS (SELECT 1 FROM inbox WHERE inbox.tenant = $1 AND inbox.run = $2 AND sealed IS NOT NULL)",
    )
    .bind(letter.tenant.as_str())
    .bind(letter.run.as_bytes().as_slice())
    .bind(letter.at.as_millis())
    .bind(letter.sealed)
    .execute(&mut *connection)
    .await?;
    if buried.rows_affected() > 0 {
        return Ok(Ok(true));
    }
    let there = sqlx::query("SELECT 1 FROM runs WHERE tenant = $1 AND run = $2")
        .bind(letter.tenant.as_str())
        .bind(letter.run.as_bytes().as_slice())
        .fetch_optional(connection)
        .await?;
    Ok(if there.is_some() { Ok(false) } else { Err(check::unknown(letter.run)) })
}

fn letter(row: &SqliteRow) -> Result<DeadLetter, sqlx::Error> {
    let (tenant, run) = (rows::tenant(row, 0)?, rows::run_id(row, 1)?);
    Ok(DeadLetter { tenant, run, at: Timestamp::from_millis(row.try_get(2)?), sealed: row.try_get(3)? })
}
