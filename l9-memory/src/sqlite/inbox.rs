//! Commands that wait for the owner of a run's lease.

use async_trait::async_trait;
use l9_core::Result;
use l9_core::id::{CommandId, RunId, TenantId};
use l9_core::journal::{Inbox, StoredCommand};
use sqlx::{Row, SqliteConnection};

use super::appends::now;
use super::rows;
use super::store::Store;
use super::writer::Answer;
use crate::check;

#[async_trait]
impl Inbox for Store {
    async fn post(&self, tenant: &TenantId, run: RunId, command: StoredCommand) -> Result<bool> {
        let tenant = tenant.clone();
        let claim = Some((tenant.clone(), run));
        self.database
            .writer()
            .grouped(claim, 1, move |connection| Box::pin(post(connection, tenant, run, command)))
            .await
    }

    async fn pending(&self, tenant: &TenantId, run: RunId) -> Result<Vec<StoredCommand>> {
        let found = sqlx::query(
            "SELECT id, sealed FROM inbox WHERE tenant = ? AND run = ? AND sealed IS NOT NULL ORDER BY position",
        )
        .bind(tenant.as_str())
        .bind(run.as_bytes().as_slice())
        .fetch_all(self.database.readers())
        .await;
        let command = |row: &sqlx::sqlite::SqliteRow| {
            let id = CommandId::new(row.try_get::<&str, _>(0)?).map_err(|error| rows::decode(0, error))?;
            Ok(StoredCommand { id, sealed: row.try_get(1)? })
        };
        found
            .and_then(|found| found.iter().map(command).collect())
            .map_err(|error| self.database.fault(error).with("run", run))
    }
}

pub(super) async fn post(
    connection: &mut SqliteConnection,
    tenant: TenantId,
    run: RunId,
    command: StoredCommand,
) -> Answer<bool> {
    let row = sqlx::query(
        "SELECT status IN ('succeeded', 'failed', 'cancelled'), \
         EXISTS (SELECT 1 FROM inbox WHERE inbox.tenant = $1 AND inbox.run = $2 AND id = $3) \
         FROM runs WHERE tenant = $1 AND run = $2",
    )
    .bind(tenant.as_str())
    .bind(run.as_bytes().as_slice())
    .bind(command.id.as_str())
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(Err(check::unknown(run))) };
    let (closed, known): (bool, bool) = (row.try_get(0)?, row.try_get(1)?);
    if known {
        return Ok(Ok(false));
    }
    if closed {
        return Ok(Err(check::closed(run)));
    }
    sqlx::query(concat!(
        "INSERT INTO inbox (tenant, run, id, sealed) VALUES ($1, $2, $3, $4); ",
        "UPDATE runs SET wake_at = min(coalesce(wake_at, ",
        now!(),
        "), ",
        now!(),
        ") WHERE tenant = $1 AND run = $2 AND owner IS NULL"
    ))
    .bind(tenant.as_str())
    .bind(run.as_bytes().as_slice())
    .bind(command.id.as_str())
    .bind(command.sealed)
    .execute(connection)
    .await?;
    Ok(Ok(true))
}
