//! Short-term entries whose time is over.

use l9_core::Result;
use l9_core::id::TenantId;
use l9_core::memory::Over;
use l9_core::time::Timestamp;

use super::changing::note;
use super::connection::{Answer, Connection, Value};
use super::curation::unreadable;
use super::memory::Memory;

/// Those of `$1` that were written until `$2`.
const OVER: &str = "e.tenant = $1 AND e.layer = 1 AND e.recorded_at <= $2";

impl Memory {
    pub(super) async fn short_term_over(&self, tenant: &TenantId, until: Timestamp, dry_run: bool) -> Result<Over> {
        let values = [Value::from(tenant), until.as_millis().into()];
        let sql = format!(
            "SELECT (SELECT count(*) FROM entries e WHERE {OVER}), (SELECT min(recorded_at) FROM entries e \
             WHERE e.tenant = $1 AND e.layer = 1 AND e.recorded_at > $2)"
        );
        let found = self.rows.read(&sql, &values).await?;
        let read = || {
            Ok(match found.first() {
                Some(row) => (row.number(0)?, row.optional_number(1)?),
                None => (0, None),
            })
        };
        let (entries, oldest) = read().map_err(unreadable)?;
        let over = Over { entries: entries.unsigned_abs(), oldest: oldest.map(Timestamp::from_millis) };
        if dry_run || entries == 0 {
            return Ok(over);
        }
        let (whose, now) = (tenant.clone(), self.keeper.clock.now());
        let rows = usize::try_from(entries).unwrap_or(usize::MAX);
        let entries = self.write(tenant, rows, move |c| Box::pin(remove(c, whose, until, now))).await?;
        Ok(Over { entries, ..over })
    }

    pub(super) async fn tenants_over(&self, until: Timestamp) -> Result<Vec<TenantId>> {
        let sql = "SELECT DISTINCT tenant FROM entries WHERE layer = 1 AND recorded_at <= $1";
        let found = self.rows.read(sql, &[until.as_millis().into()]).await?;
        found.iter().map(|row| TenantId::new(row.text(0).map_err(unreadable)?)).collect()
    }
}

/// Removes them whatever covers them: they were kept for a while.
async fn remove(c: &mut dyn Connection, tenant: TenantId, until: Timestamp, now: Timestamp) -> Answer<u64> {
    let values = [Value::from(&tenant), until.as_millis().into(), now.as_millis().into()];
    c.execute(&note(1, OVER), &values).await?;
    c.execute(&format!("DELETE FROM entries AS e WHERE {OVER}"), &values[..2]).await.map(Ok)
}
