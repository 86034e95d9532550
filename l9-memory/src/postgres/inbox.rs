//! Commands that wait for the owner of a run's lease.

use async_trait::async_trait;
use l9_core::Result;
use l9_core::id::{CommandId, RunId, TenantId};
use l9_core::journal::{Inbox, StoredCommand};
use sqlx::postgres::PgRow;
use sqlx::{PgExecutor, Row};

use super::rows::{self, closed};
use super::store::Store;
use crate::check;

/// The row of the run is locked first: then a command's position is that of its commit,
/// and a release either sees the command or is seen by it.
const POST: &str = concat!(
    "WITH target AS MATERIALIZED (SELECT status IN ",
    closed!(),
    " AS closed FROM runs WHERE tenant = $1 AND run = $2 FOR UPDATE), \
     kept AS (INSERT INTO inbox (tenant, run, id, sealed) SELECT $1, $2, $3, $4 FROM target WHERE NOT closed \
     ON CONFLICT (tenant, run, id) DO NOTHING RETURNING 1), \
     woken AS (UPDATE runs SET waiting = waiting + 1, \
     wake_at = CASE WHEN owner IS NULL THEN least(wake_at, clock_timestamp()) ELSE wake_at END \
     WHERE tenant = $1 AND run = $2 AND EXISTS (SELECT 1 FROM kept)) \
     SELECT closed, EXISTS (SELECT 1 FROM kept) FROM target"
);

#[async_trait]
impl Inbox for Store {
    async fn post(&self, tenant: &TenantId, run: RunId, command: StoredCommand) -> Result<bool> {
        let posted = self.database.within(post(self.database.pool(), tenant, run, &command)).await?;
        let (closed, kept) = posted.ok_or_else(|| check::unknown(run))?;
        if closed && !self.knows(tenant, run, &command.id).await? {
            return Err(check::closed(run));
        }
        Ok(kept)
    }

    async fn pending(&self, tenant: &TenantId, run: RunId) -> Result<Vec<StoredCommand>> {
        let read = sqlx::query(
            "SELECT id, sealed FROM inbox WHERE tenant = $1 AND run = $2 AND sealed IS NOT NULL ORDER BY position",
        )
        .bind(tenant.as_str())
        .bind(run.as_bytes().as_slice())
        .fetch_all(self.database.pool());
        let command = |row: &PgRow| {
            let id = CommandId::new(row.try_get::<&str, _>(0)?).map_err(|error| rows::decode(0, error))?;
            Ok(StoredCommand { id, sealed: row.try_get(1)? })
        };
        let found = self.database.within(read).await?;
        found.iter().map(command).collect::<Result<_, _>>().map_err(|error| self.database.fault(error).with("run", run))
    }
}

/// Puts a command into a run's inbox; tells whether the run is closed and whether the command
/// was kept, or nothing of a run that never was.
pub(super) async fn post(
    executor: impl PgExecutor<'_>,
    tenant: &TenantId,
    run: RunId,
    command: &StoredCommand,
) -> Result<Option<(bool, bool)>, sqlx::Error> {
    sqlx::query_as(POST)
        .bind(tenant.as_str())
        .bind(run.as_bytes().as_slice())
        .bind(command.id.as_str())
        .bind(command.sealed.as_slice())
        .fetch_optional(executor)
        .await
}

impl Store {
    async fn knows(&self, tenant: &TenantId, run: RunId, command: &CommandId) -> Result<bool> {
        let look = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM inbox WHERE tenant = $1 AND run = $2 AND id = $3)")
            .bind(tenant.as_str())
            .bind(run.as_bytes().as_slice())
            .bind(command.as_str())
            .fetch_one(self.database.pool());
        self.database.within(look).await
    }
}
