//! Going back to a snapshot, and what goes with the last snapshot that covers it.
//!
//! What an entry was at a snapshot shows in the first change after it: what was forgotten
//! first was not forgotten before. So going back costs what has changed since, whatever the
//! size of the memory.

use l9_core::id::TenantId;
use l9_core::memory::{Expired, Restored};
use l9_core::time::Timestamp;
use uuid::Uuid;

use super::changing::{covered, note};
use super::connection::{Answer, Connection, Row, Value};
use super::readings::read_again;
use crate::entry;

/// Where a snapshot stands in a tenant's memory.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) id: Uuid,
    pub(super) agent: Value,
    pub(super) entries: i64,
    pub(super) changes: i64,
}

/// A snapshot to be taken.
pub(super) struct NewMark {
    pub(super) id: Uuid,
    pub(super) agent: Value,
    pub(super) at: Timestamp,
    pub(super) sealed: Vec<u8>,
}

impl Place {
    /// Of a row of its id, agent and positions.
    pub(super) fn of(row: &Row) -> Result<Self, sqlx::Error> {
        let agent = row.optional_bytes(1)?.map_or(Value::Null, |token| Value::Bytes(token.to_vec()));
        Ok(Self { id: row.id(0)?, agent, entries: row.number(2)?, changes: row.number(3)? })
    }
}

/// Takes a snapshot.
pub(super) async fn mark(c: &mut dyn Connection, tenant: &TenantId, mark: NewMark) -> Result<(), sqlx::Error> {
    let NewMark { id, agent, at, sealed } = mark;
    let sql = "INSERT INTO memory_snapshots (tenant, id, agent, entries, changes, at, sealed) VALUES ($1, $2, $5, \
               (SELECT coalesce(max(position), 0) FROM entries WHERE tenant = $1), \
               (SELECT coalesce(max(position), 0) FROM memory_changes WHERE tenant = $1), $3, $4)";
    c.execute(sql, &[tenant.into(), id.into(), at.as_millis().into(), sealed.into(), agent]).await.map(drop)
}

/// Goes back to a snapshot, after the present state was marked.
pub(super) async fn restore(
    c: &mut dyn Connection,
    tenant: &TenantId,
    place: Place,
    before: NewMark,
    mut restored: Restored,
) -> Answer<Restored> {
    let sql = "SELECT 1 FROM memory_snapshots WHERE tenant = $1 AND id = $2";
    if c.rows(sql, &[tenant.into(), place.id.into()]).await?.is_empty() {
        return Ok(Err(entry::unknown_snapshot(place.id)));
    }
    let now = before.at.as_millis();
    mark(c, tenant, before).await?;
    read_again(c, tenant, &place).await?;
    let mut back =
        Back { c, values: vec![tenant.into(), place.changes.into(), place.entries.into(), now.into()], own: "" };
    if place.agent != Value::Null {
        back.values.push(place.agent);
        back.own = "AND e.agent = $5";
    }
    // What hides comes first, so that no key has two holders at any time.
    restored.forgotten = back.forget().await?;
    restored.superseded = back.supersede().await? + back.supersede_otherwise().await?;
    restored.returned = back.bring_back().await?;
    restored.reinstated = back.reinstate().await?;
    Ok(Ok(restored))
}

/// The statements of going back. `$1` is the tenant, `$2` and `$3` the positions of the
/// snapshot's changes and entries, `$4` the time, `$5` the agent.
struct Back<'c> {
    c: &'c mut dyn Connection,
    values: Vec<Value>,
    own: &'static str,
}

const TOUCHED: &str = "e.id IN (SELECT t.id FROM memory_changes t WHERE t.tenant = $1 AND t.position > $2)";

/// A column of the first change of these kinds since the snapshot.
fn first(column: &str, kinds: &str) -> String {
    format!(
        "(SELECT c.{column} FROM memory_changes c WHERE c.tenant = e.tenant AND c.id = e.id AND c.change IN ({kinds}) \
         AND c.position > $2 ORDER BY c.position LIMIT 1)"
    )
}

/// From when on what supersedes the entry now is valid.
pub(super) const VALID_FROM: &str = "(SELECT c.valid_from FROM memory_changes c WHERE c.tenant = e.tenant AND c.id = e.id \
     AND c.change = 4 AND c.cause = e.superseded_by ORDER BY c.position DESC LIMIT 1)";

impl Back<'_> {
    /// Notes a change of the entries of a condition.
    async fn note(&mut self, change: i64, cause: &str, valid_from: &str, which: &str) -> Result<(), sqlx::Error> {
        let own = self.own;
        let sql = format!(
            "INSERT INTO memory_changes (tenant, id, change, at, cause, valid_from) \
             SELECT e.tenant, e.id, {change}, $4, {cause}, {valid_from} FROM entries e WHERE e.tenant = $1 {own} AND {which}"
        );
        self.c.execute(&sql, &self.values).await.map(drop)
    }

    async fn set(&mut self, what: &str, which: &str) -> Result<u64, sqlx::Error> {
        let sql = format!("UPDATE entries AS e SET {what} WHERE e.tenant = $1 {} AND {which}", self.own);
        self.c.execute(&sql, &self.values).await
    }

    /// What was kept since, or was forgotten then.
    async fn forget(&mut self) -> Result<u64, sqlx::Error> {
        let first = first("change", "2, 3");
        let which = format!("e.standing & 1 = 0 AND (e.position > $3 OR ({TOUCHED} AND {first} = 3))");
        self.note(2, "NULL", "NULL", &which).await?;
        self.set("standing = standing | 1", &which).await
    }

    /// What was superseded then and is not now.
    async fn supersede(&mut self) -> Result<u64, sqlx::Error> {
        let which =
            format!("e.position <= $3 AND e.superseded_by IS NULL AND {TOUCHED} AND {} = 5", first("change", "4, 5"));
        let cause = first("cause", "4, 5");
        self.note(4, &cause, &first("valid_from", "4, 5"), &which).await?;
        self.set(&format!("standing = standing | 2, superseded_by = {cause}"), &which).await
    }

    /// What was superseded by another then.
    async fn supersede_otherwise(&mut self) -> Result<u64, sqlx::Error> {
        let cause = first("cause", "4, 5");
        let which = format!(
            "e.position <= $3 AND e.superseded_by IS NOT NULL AND {TOUCHED} AND {} = 5 AND {cause} <> e.superseded_by",
            first("change", "4, 5")
        );
        self.note(5, "e.superseded_by", VALID_FROM, &which).await?;
        self.note(4, &cause, &first("valid_from", "4, 5"), &which).await?;
        self.set(&format!("superseded_by = {cause}"), &which).await
    }

    /// What was forgotten since.
    async fn bring_back(&mut self) -> Result<u64, sqlx::Error> {
        let which =
            format!("e.position <= $3 AND e.standing & 1 = 1 AND {TOUCHED} AND {} = 2", first("change", "2, 3"));
        self.note(3, "NULL", "NULL", &which).await?;
        self.set("standing = standing & 6", &which).await
    }

    /// What was superseded since.
    async fn reinstate(&mut self) -> Result<u64, sqlx::Error> {
        let which = format!(
            "e.position <= $3 AND e.superseded_by IS NOT NULL AND {TOUCHED} AND {} = 4",
            first("change", "4, 5")
        );
        self.note(5, "e.superseded_by", VALID_FROM, &which).await?;
        self.set("standing = standing & 5, superseded_by = NULL", &which).await
    }
}

/// Forgotten entries that no snapshot of `$2` or later covers.
pub(super) fn bare() -> String {
    format!("e.tenant = $1 AND e.standing & 1 = 1 AND NOT {}", covered(3, "AND s.at >= $2"))
}

/// Drops snapshots of before `$2`, and what only they covered.
pub(super) async fn expire(c: &mut dyn Connection, tenant: &TenantId, before: i64, now: Timestamp) -> Answer<Expired> {
    let values = [Value::from(tenant), before.into(), now.as_millis().into()];
    let bare = bare();
    c.execute(&note(1, &bare), &values).await?;
    let entries = c.execute(&format!("DELETE FROM entries AS e WHERE {bare}"), &values[..2]).await?;
    let snapshots = c.execute("DELETE FROM memory_snapshots WHERE tenant = $1 AND at < $2", &values[..2]).await?;
    Ok(Ok(Expired { snapshots, entries, ..Expired::default() }))
}
