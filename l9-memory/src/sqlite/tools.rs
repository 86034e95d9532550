//! The changes of tools, for every process that has the file open.

use async_trait::async_trait;
use l9_core::Result;
use l9_core::id::ToolId;
use l9_core::time::Timestamp;
use l9_core::tool::{StoredToolChange, ToolLedger};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::rows;
use super::store::Store;
use super::writer::Answer;
use crate::check;

#[async_trait]
impl ToolLedger for Store {
    async fn record(&self, changes: Vec<StoredToolChange>, statements: Vec<String>) -> Result<()> {
        let rows = changes.len() + statements.len();
        let record = self.database.writer().grouped(None, rows, move |connection| {
            Box::pin(async move { record(connection, &changes, &statements).await })
        });
        record.await
    }

    async fn changes(&self, after: u64, limit: usize) -> Result<Vec<StoredToolChange>> {
        let found = sqlx::query(
            "SELECT position, tool, version, contract, state, at, sealed FROM tool_changes WHERE position > ? \
             ORDER BY position LIMIT ?",
        )
        .bind(rows::integer(after))
        .bind(rows::limited(limit))
        .fetch_all(self.database.readers())
        .await;
        found
            .and_then(|found| found.iter().map(change).collect())
            .map_err(|error| self.database.fault(error).with("after", after))
    }
}

async fn record(connection: &mut SqliteConnection, changes: &[StoredToolChange], statements: &[String]) -> Answer<()> {
    let last: Option<i64> =
        sqlx::query_scalar("SELECT max(position) FROM tool_changes").fetch_one(&mut *connection).await?;
    if let Err(refused) = check::follows(changes, last.and_then(|last| u64::try_from(last).ok()).unwrap_or(0)) {
        return Ok(Err(refused));
    }
    for change in changes {
        sqlx::query(
            "INSERT INTO tool_changes (position, tool, version, contract, state, at, sealed) VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(rows::integer(change.position))
        .bind(change.tool.as_str())
        .bind(change.version.as_str())
        .bind(change.contract.as_bytes().as_slice())
        .bind(change.state.as_str())
        .bind(change.at.as_millis())
        .bind(change.sealed.as_slice())
        .execute(&mut *connection)
        .await?;
    }
    for note in statements {
        sqlx::query("INSERT INTO audit_statements (note) VALUES (?)").bind(note).execute(&mut *connection).await?;
    }
    Ok(Ok(()))
}

fn change(row: &SqliteRow) -> Result<StoredToolChange, sqlx::Error> {
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
