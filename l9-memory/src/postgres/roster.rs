//! What the processes that serve the database say of themselves, by the server's clock.

use async_trait::async_trait;
use l9_core::Result;
use l9_core::node::{FORGOTTEN, Node, Presence, Roster};
use l9_core::time::Timestamp;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::rows::{self, integer, millis};
use super::store::Store;

/// The server's time in milliseconds.
macro_rules! now {
    () => {
        "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
    };
}

const SAY: &str = concat!(
    "WITH forgotten AS (DELETE FROM nodes WHERE owner <> $1 AND seen_at < ",
    now!(),
    " - $7) INSERT INTO nodes (owner, name, roles, version, address, runs, started_at, seen_at) \
     VALUES ($1, $2, $3, $4, $5, $6, ",
    now!(),
    ", ",
    now!(),
    ") ON CONFLICT (owner) DO UPDATE SET name = excluded.name, roles = excluded.roles, version = excluded.version, \
     address = excluded.address, runs = excluded.runs, seen_at = greatest(nodes.seen_at, excluded.seen_at)"
);

const LOOK: &str = concat!(
    "SELECT name, owner, roles, version, address, runs, started_at, seen_at, greatest(0, ",
    now!(),
    " - seen_at) FROM nodes ORDER BY name, started_at, owner"
);

#[async_trait]
impl Roster for Store {
    async fn say(&self, presence: &Presence) -> Result<()> {
        let say = sqlx::query(SAY)
            .bind(presence.owner.as_str())
            .bind(presence.name.as_str())
            .bind(presence.roles.to_string())
            .bind(presence.version.as_str())
            .bind(presence.address.as_deref())
            .bind(integer(presence.runs))
            .bind(millis(FORGOTTEN))
            .execute(self.database.pool());
        self.database.within(say).await.map(drop)
    }

    async fn leave(&self, owner: &str) -> Result<()> {
        let leave = sqlx::query("DELETE FROM nodes WHERE owner = $1").bind(owner).execute(self.database.pool());
        self.database.within(leave).await.map(drop)
    }

    async fn nodes(&self) -> Result<Vec<Node>> {
        let found = self.database.within(sqlx::query(LOOK).fetch_all(self.database.pool())).await?;
        found.iter().map(node).collect::<Result<_, _>>().map_err(|error| self.database.fault(error))
    }
}

fn node(row: &PgRow) -> Result<Node, sqlx::Error> {
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
