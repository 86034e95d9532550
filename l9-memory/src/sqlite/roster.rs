//! What the processes that serve the file say of themselves.

use async_trait::async_trait;
use l9_core::Result;
use l9_core::node::{FORGOTTEN, Node, Presence, Roster};
use l9_core::time::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::appends::now;
use super::rows;
use super::store::Store;

const SAY: &str = concat!(
    "INSERT INTO nodes (owner, name, roles, version, address, runs, started_at, seen_at) VALUES (?, ?, ?, ?, ?, ?, ",
    now!(),
    ", ",
    now!(),
    ") ON CONFLICT (owner) DO UPDATE SET name = excluded.name, roles = excluded.roles, version = excluded.version, \
     address = excluded.address, runs = excluded.runs, seen_at = excluded.seen_at"
);

const FORGET: &str = concat!("DELETE FROM nodes WHERE seen_at < ", now!(), " - ?");

const LOOK: &str = concat!(
    "SELECT name, owner, roles, version, address, runs, started_at, seen_at, max(0, ",
    now!(),
    " - seen_at) FROM nodes ORDER BY name, started_at, owner"
);

#[async_trait]
impl Roster for Store {
    async fn say(&self, presence: &Presence) -> Result<()> {
        let presence = presence.clone();
        let say = self.database.writer().grouped(None, 1, move |connection| {
            Box::pin(async move {
                sqlx::query(FORGET).bind(rows::millis(FORGOTTEN)).execute(&mut *connection).await?;
                sqlx::query(SAY)
                    .bind(presence.owner.as_str())
                    .bind(presence.name.as_str())
                    .bind(presence.roles.to_string())
                    .bind(presence.version.as_str())
                    .bind(presence.address.as_deref())
                    .bind(rows::integer(presence.runs))
                    .execute(connection)
                    .await?;
                Ok(Ok(()))
            })
        });
        say.await
    }

    async fn leave(&self, owner: &str) -> Result<()> {
        let owner = owner.to_owned();
        let leave = self.database.writer().grouped(None, 1, move |connection| {
            Box::pin(async move {
                sqlx::query("DELETE FROM nodes WHERE owner = ?").bind(owner.as_str()).execute(connection).await?;
                Ok(Ok(()))
            })
        });
        leave.await
    }

    async fn nodes(&self) -> Result<Vec<Node>> {
        let found = sqlx::query(LOOK).fetch_all(self.database.readers()).await;
        found.and_then(|found| found.iter().map(node).collect()).map_err(|error| self.database.fault(error))
    }
}

fn node(row: &SqliteRow) -> Result<Node, sqlx::Error> {
    let presence = Presence {
        name: row.try_get(0)?,
        owner: row.try_get(1)?,
        roles: row.try_get::<&str, _>(2)?.parse().map_err(|error: l9_core::Error| rows::decode(2, error))?,
        version: row.try_get(3)?,
        address: row.try_get(4)?,
        runs: rows::number(row, 5)?,
    };
    let (started_at, seen_at) = (Timestamp::from_millis(row.try_get(6)?), Timestamp::from_millis(row.try_get(7)?));
    Ok(Node { presence, started_at, seen_at, silent: rows::wait(row, 8)?.unwrap_or_default() })
}
