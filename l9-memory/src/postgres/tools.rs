//! The changes of tools, for every node. Of two nodes that decide at once one is told to
//! read again.

use async_trait::async_trait;
use l9_core::Result;
use l9_core::id::ToolId;
use l9_core::time::Timestamp;
use l9_core::tool::{StoredToolChange, ToolLedger};
use sqlx::postgres::PgRow;
use sqlx::{Connection, PgConnection, Row};

use super::rows::{self, integer, limited};
use super::store::Store;
use crate::check;

/// Nobody else writes until this transaction ends: whoever waits then sees what it wrote.
const LOCK: &str = "LOCK TABLE tool_changes IN EXCLUSIVE MODE";

#[async_trait]
impl ToolLedger for Store {
    async fn record(&self, changes: Vec<StoredToolChange>, statements: Vec<String>) -> Result<()> {
        let record = async {
            let mut connection = self.database.pool().acquire().await?;
            record(&mut connection, &changes, &statements).await
        };
        self.database.within(record).await?
    }

    async fn changes(&self, after: u64, limit: usize) -> Result<Vec<StoredToolChange>> {
        let read = sqlx::query(
            "SELECT position, tool, version, contract, state, at, sealed FROM tool_changes WHERE position > $1 \
             ORDER BY position LIMIT $2",
        )
        .bind(integer(after))
        .bind(limited(limit))
        .fetch_all(self.database.pool());
        let found = self.database.within(read).await?;
        let read: Result<_, sqlx::Error> = found.iter().map(change).collect();
        read.map_err(|error| self.database.fault(error).with("after", after))
    }
}

async fn record(
    connection: &mut PgConnection,
    changes: &[StoredToolChange],
    statements: &[String],
) -> Result<Result<()>, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    sqlx::query(LOCK).execute(&mut *transaction).await?;
    let last: i64 =
        sqlx::query_scalar("SELECT coalesce(max(position), 0) FROM tool_changes").fetch_one(&mut *transaction).await?;
    if let Err(refused) = check::follows(changes, u64::try_from(last).unwrap_or(0)) {
        return Ok(Err(refused));
    }
    for change in changes {
        sqlx::query(
            "INSERT INTO tool_changes (position, tool, version, contract, state, at, sealed) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(integer(change.position))
        .bind(change.tool.as_str())
        .bind(change.version.as_str())
        .bind(change.contract.as_bytes().as_slice())
        .bind(change.state.as_str())
        .bind(change.at.as_millis())
        .bind(change.sealed.as_slice())
        .execute(&mut *transaction)
        .await?;
    }
    for note in statements {
        sqlx::query("INSERT INTO audit_statements (note) VALUES ($1)").bind(note).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(Ok(()))
}

fn change(row: &PgRow) -> Result<StoredToolChange, sqlx::Error> {
    Ok(StoredToolChange {
        position: rows::number(row, 0)?,
        tool: ToolId::new(row.try_get::<&str, _>(1)?).map_err(|error| rows::decode(1, error))?,
        version: row.try_get(2)?,
        contract: rows::digest(row, 3)?,
        state: row.try_get::<&str, _>(4)?.parse().map_err(|error: l9_core::Error| rows::decode(4, error))?,
        at: Timestamp::from_millis(row.try_get(5)?),
        sealed: row.try_get(6)?,
    })
}
