//! Quarantine and snapshots of memories in a database.

use std::time::Duration;

use async_trait::async_trait;
use l9_core::Result;
use l9_core::id::{AgentId, TenantId};
use l9_core::memory::{
    Curation, Expired, NewQuarantine, Over, Quarantine, Quarantined, Released, Restored, Snapshot, Suspect,
};
use l9_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::changing;
use super::connection::{Answer, Connection, Row, Value};
use super::memory::Memory;
use super::restoring::{self, NewMark, Place};
use super::rows::FORGOTTEN;
use super::sealing;
use crate::entry;

const QUARANTINE: &str = "quarantine";
const SNAPSHOT: &str = "memory_snapshot";

/// What is sealed of a quarantine.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct QuarantineDetail {
    suspect: Suspect,
    reason: String,
    by: String,
    released_by: Option<String>,
}

/// What is sealed of a snapshot.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct SnapshotDetail {
    name: String,
    agent: Option<AgentId>,
    by: String,
}

#[async_trait]
impl Curation for Memory {
    async fn quarantine(&self, tenant: &TenantId, new: NewQuarantine) -> Result<Quarantined> {
        entry::check_quarantine(&new)?;
        let now = self.keeper.clock.now();
        let number = self.how_many(tenant, "quarantines").await?;
        let id = entry::curation_id(tenant, &format!("quarantine/{number}"), now, &*self.keeper.entropy);
        let NewQuarantine { suspect, reason, by } = new;
        let detail = QuarantineDetail { suspect, reason, by, released_by: None };
        let sealed = sealing::seal_detail(self.vault(), tenant, (QUARANTINE, id), &detail)?;
        let (entry, origin) = match &detail.suspect {
            Suspect::Entry(entry) => (Some(*entry), Value::from(*entry)),
            Suspect::Source(source) => (None, Value::from(&sealing::source_token(self.vault(), tenant, source))),
        };
        let whose = tenant.clone();
        let entries =
            self.write(tenant, 64, move |c| Box::pin(impose(c, whose, (id, entry, origin), now, sealed))).await?;
        Ok(Quarantined { quarantine: quarantine(id, now, None, detail), entries })
    }

    async fn release(&self, tenant: &TenantId, quarantine_id: Uuid, by: &str) -> Result<Released> {
        let now = self.keeper.clock.now();
        let sql = "SELECT id, at, released_at, sealed FROM quarantines WHERE tenant = $1 AND id = $2";
        let found = self.rows.read(sql, &[tenant.into(), quarantine_id.into()]).await?;
        let found = found.first().ok_or_else(|| entry::unknown_quarantine(quarantine_id))?;
        let Quarantine { suspect, reason, by: imposed_by, at, .. } = self.quarantine_of(tenant, found)?;
        let detail = QuarantineDetail { suspect, reason, by: imposed_by, released_by: Some(by.to_owned()) };
        let sealed = sealing::seal_detail(self.vault(), tenant, (QUARANTINE, quarantine_id), &detail)?;
        let whose = tenant.clone();
        let entries = self.write(tenant, 64, move |c| Box::pin(lift(c, whose, quarantine_id, now, sealed))).await?;
        Ok(Released { quarantine: quarantine(quarantine_id, at, Some(now), detail), entries })
    }

    async fn quarantines(&self, tenant: &TenantId) -> Result<Vec<Quarantine>> {
        let sql = "SELECT id, at, released_at, sealed FROM quarantines WHERE tenant = $1 ORDER BY at DESC, id DESC";
        let found = self.rows.read(sql, &[tenant.into()]).await?;
        found.iter().map(|row| self.quarantine_of(tenant, row)).collect()
    }

    async fn snapshot(&self, tenant: &TenantId, agent: Option<AgentId>, name: &str, by: &str) -> Result<Snapshot> {
        entry::check_words("name", name)?;
        let (snapshot, mark) = self.new_snapshot(tenant, agent, name, by).await?;
        let whose = tenant.clone();
        self.write(tenant, 1, move |c| Box::pin(async move { restoring::mark(c, &whose, mark).await.map(Ok) })).await?;
        Ok(snapshot)
    }

    async fn snapshots(&self, tenant: &TenantId) -> Result<Vec<Snapshot>> {
        let sql = "SELECT id, agent, entries, changes, at, sealed FROM memory_snapshots WHERE tenant = $1 ORDER BY at DESC, id DESC";
        let found = self.rows.read(sql, &[tenant.into()]).await?;
        found.iter().map(|row| self.snapshot_of(tenant, row)).collect()
    }

    async fn restore(&self, tenant: &TenantId, snapshot: Uuid, by: &str) -> Result<Restored> {
        let sql = "SELECT id, agent, entries, changes, at, sealed FROM memory_snapshots WHERE tenant = $1 AND id = $2";
        let found = self.rows.read(sql, &[tenant.into(), snapshot.into()]).await?;
        let found = found.first().ok_or_else(|| entry::unknown_snapshot(snapshot))?;
        let snapshot = self.snapshot_of(tenant, found)?;
        let place = Place::of(found).map_err(unreadable)?;
        let name = entry::before(&snapshot.name);
        let (before, mark) = self.new_snapshot(tenant, snapshot.agent.clone(), &name, by).await?;
        let restored = Restored { snapshot, before, forgotten: 0, returned: 0, superseded: 0, reinstated: 0 };
        let whose = tenant.clone();
        self.write(tenant, 64, move |c| {
            Box::pin(async move { restoring::restore(c, &whose, place, mark, restored).await })
        })
        .await
    }

    async fn expire_snapshots(&self, tenant: &TenantId, older_than: Duration, dry_run: bool) -> Result<Expired> {
        let now = self.keeper.clock.now();
        let before = now.before(older_than).as_millis();
        if dry_run {
            let sql = format!(
                "SELECT (SELECT count(*) FROM memory_snapshots WHERE tenant = $1 AND at < $2), \
                 (SELECT count(*) FROM entries e WHERE {})",
                restoring::bare()
            );
            let found = self.rows.read(&sql, &[tenant.into(), before.into()]).await?;
            let count = |at| found.first().map_or(Ok(0), |row| row.number(at)).map_err(unreadable);
            let (snapshots, entries) = (count(0)?.unsigned_abs(), count(1)?.unsigned_abs());
            return Ok(Expired { snapshots, entries, ..Expired::default() });
        }
        let whose = tenant.clone();
        self.write(tenant, 64, move |c| Box::pin(async move { restoring::expire(c, &whose, before, now).await })).await
    }

    async fn expire_short_term(&self, tenant: &TenantId, until: Timestamp, dry_run: bool) -> Result<Over> {
        self.short_term_over(tenant, until, dry_run).await
    }

    async fn overdue(&self, until: Timestamp) -> Result<Vec<TenantId>> {
        self.tenants_over(until).await
    }
}

impl Memory {
    async fn how_many(&self, tenant: &TenantId, table: &str) -> Result<i64> {
        self.number(&format!("SELECT count(*) FROM {table} WHERE tenant = $1"), &[tenant.into()]).await
    }

    /// A snapshot of the present state, and what is to be written of it.
    async fn new_snapshot(
        &self,
        tenant: &TenantId,
        agent: Option<AgentId>,
        name: &str,
        by: &str,
    ) -> Result<(Snapshot, NewMark)> {
        let at = self.keeper.clock.now();
        let number = self.how_many(tenant, "memory_snapshots").await?;
        let what = format!("snapshot/{number}/{name}");
        let id = entry::curation_id(tenant, &what, at, &*self.keeper.entropy);
        let token = agent.as_ref().map(|agent| sealing::agent_token(self.vault(), tenant, agent.as_str()));
        let detail = SnapshotDetail { name: name.to_owned(), agent, by: by.to_owned() };
        let sealed = sealing::seal_detail(self.vault(), tenant, (SNAPSHOT, id), &detail)?;
        let mark = NewMark { id, agent: token.as_ref().map_or(Value::Null, Value::from), at, sealed };
        let SnapshotDetail { name, agent, by } = detail;
        Ok((Snapshot { id, name, agent, by, at }, mark))
    }

    fn snapshot_of(&self, tenant: &TenantId, row: &Row) -> Result<Snapshot> {
        let read = || Ok((row.id(0)?, row.number(4)?, row.bytes(5)?));
        let (id, at, sealed) = read().map_err(unreadable)?;
        let SnapshotDetail { name, agent, by } = sealing::open_detail(self.vault(), tenant, (SNAPSHOT, id), sealed)?;
        Ok(Snapshot { id, name, agent, by, at: Timestamp::from_millis(at) })
    }

    fn quarantine_of(&self, tenant: &TenantId, row: &Row) -> Result<Quarantine> {
        let read = || Ok((row.id(0)?, row.number(1)?, row.optional_number(2)?, row.bytes(3)?));
        let (id, at, released_at, sealed) = read().map_err(unreadable)?;
        let detail = sealing::open_detail(self.vault(), tenant, (QUARANTINE, id), sealed)?;
        Ok(quarantine(id, Timestamp::from_millis(at), released_at.map(Timestamp::from_millis), detail))
    }
}

fn quarantine(id: Uuid, at: Timestamp, released_at: Option<Timestamp>, detail: QuarantineDetail) -> Quarantine {
    let QuarantineDetail { suspect, reason, by, released_by } = detail;
    Quarantine { id, suspect, reason, by, at, released_at, released_by }
}

/// What a row that does not have its form means.
pub(super) fn unreadable(error: sqlx::Error) -> l9_core::Error {
    l9_core::Error::corrupt("a row of the memory cannot be read: restore the database from a backup").caused_by(error)
}

/// Hides what is suspected and what derives from it; gives what is not forgotten of it.
async fn impose(
    c: &mut dyn Connection,
    tenant: TenantId,
    (id, suspect, origin): (Uuid, Option<Uuid>, Value),
    now: Timestamp,
    sealed: Vec<u8>,
) -> Answer<Vec<Uuid>> {
    if let Some(suspect) = suspect {
        let standing = changing::standing(c, &tenant, suspect).await?;
        if standing.is_none_or(|standing| standing & FORGOTTEN != 0) {
            return Ok(Err(entry::unknown(suspect)));
        }
    }
    c.execute(
        "INSERT INTO quarantines (tenant, id, origin, at, sealed) VALUES ($1, $2, $3, $4, $5)",
        &[(&tenant).into(), id.into(), origin.clone(), now.as_millis().into(), sealed.into()],
    )
    .await?;
    c.execute(
        "INSERT INTO quarantined (tenant, id, quarantine) WITH RECURSIVE reached (id) AS (\
         SELECT e.id FROM entries e WHERE e.tenant = $1 AND (e.source = $3 OR e.id = $3) \
         UNION SELECT d.id FROM derivations d WHERE d.tenant = $1 AND d.origin = $3 \
         UNION SELECT d.id FROM derivations d JOIN reached r ON d.origin = r.id WHERE d.tenant = $1) \
         SELECT e.tenant, e.id, $2 FROM reached r JOIN entries e ON e.tenant = $1 AND e.id = r.id",
        &[(&tenant).into(), id.into(), origin],
    )
    .await?;
    c.execute(
        "INSERT INTO memory_changes (tenant, id, change, at, cause) SELECT tenant, id, 6, $3, quarantine FROM quarantined \
         WHERE tenant = $1 AND quarantine = $2",
        &[(&tenant).into(), id.into(), now.as_millis().into()],
    )
    .await?;
    let named = [Value::from(&tenant), id.into()];
    c.execute(
        "UPDATE entries SET standing = standing | 4 WHERE tenant = $1 \
         AND id IN (SELECT q.id FROM quarantined q WHERE q.tenant = $1 AND q.quarantine = $2)",
        &named,
    )
    .await?;
    ids(c, "e.standing & 1 = 0", &named).await.map(Ok)
}

/// Lifts a quarantine; gives what is current again.
async fn lift(
    c: &mut dyn Connection,
    tenant: TenantId,
    id: Uuid,
    now: Timestamp,
    sealed: Vec<u8>,
) -> Answer<Vec<Uuid>> {
    let named = [Value::from(&tenant), id.into()];
    let found = c.rows("SELECT released_at FROM quarantines WHERE tenant = $1 AND id = $2", &named).await?;
    match found.first().map(|row| row.optional_number(0)).transpose()? {
        None => return Ok(Err(entry::unknown_quarantine(id))),
        Some(Some(at)) => return Ok(Err(entry::released_already(id, Timestamp::from_millis(at)))),
        Some(None) => {}
    }
    c.execute(
        "INSERT INTO memory_changes (tenant, id, change, at, cause) SELECT e.tenant, e.id, 7, $3, q.quarantine \
         FROM quarantined q JOIN entries e ON e.tenant = q.tenant AND e.id = q.id WHERE q.tenant = $1 AND q.quarantine = $2",
        &[(&tenant).into(), id.into(), now.as_millis().into()],
    )
    .await?;
    c.execute(
        "UPDATE entries AS e SET standing = standing & 3 WHERE e.tenant = $1 \
         AND e.id IN (SELECT q.id FROM quarantined q WHERE q.tenant = $1 AND q.quarantine = $2) \
         AND NOT EXISTS (SELECT 1 FROM quarantined o WHERE o.tenant = $1 AND o.id = e.id AND o.quarantine <> $2)",
        &named,
    )
    .await?;
    let current = ids(c, "e.standing = 0", &named).await?;
    c.execute("DELETE FROM quarantined WHERE tenant = $1 AND quarantine = $2", &named).await?;
    c.execute(
        "UPDATE quarantines SET released_at = $3, sealed = $4 WHERE tenant = $1 AND id = $2",
        &[(&tenant).into(), id.into(), now.as_millis().into(), sealed.into()],
    )
    .await?;
    Ok(Ok(current))
}

/// Those of a quarantine's entries of which a condition holds.
async fn ids(c: &mut dyn Connection, which: &str, named: &[Value]) -> Result<Vec<Uuid>, sqlx::Error> {
    let sql = format!(
        "SELECT e.id FROM quarantined q JOIN entries e ON e.tenant = q.tenant AND e.id = q.id \
         WHERE q.tenant = $1 AND q.quarantine = $2 AND {which} ORDER BY e.id"
    );
    c.rows(&sql, named).await?.iter().map(|row| row.id(0)).collect()
}
