//! What is kept of each source, as rows give it.

use l9_core::Result;
use l9_core::id::TenantId;
use l9_core::memory::{Entry, Source};

use super::connection::Value;
use super::curation::unreadable;
use super::listing::sealed;
use super::memory::Memory;
use super::sealing;

impl Memory {
    pub(super) async fn all_of_source(&self, tenant: &TenantId, source: &str) -> Result<Vec<Entry>> {
        let sql = "SELECT id, recorded_at, standing, superseded_by, entry FROM entries \
             WHERE tenant = $1 AND source = $2 AND standing & 1 = 0 ORDER BY position";
        let token = sealing::source_token(self.vault(), tenant, source);
        let found = self.rows.read(sql, &[tenant.into(), Value::from(&token)]).await?;
        let rows = found.iter().map(|row| sealed(row).map_err(unreadable)).collect::<Result<_>>()?;
        self.opened(tenant, rows).await
    }

    pub(super) async fn all_sources(&self, tenant: &TenantId) -> Result<Vec<Source>> {
        let sql = "WITH kept AS (SELECT max(position) AS newest, count(*) AS counted FROM entries \
             WHERE tenant = $1 AND source IS NOT NULL AND standing & 1 = 0 GROUP BY source) \
             SELECT e.id, e.recorded_at, e.standing, e.superseded_by, e.entry, kept.counted \
             FROM kept JOIN entries e ON e.tenant = $1 AND e.position = kept.newest";
        let found = self.rows.read(sql, &[tenant.into()]).await?;
        let newest = self.opened_with_number(tenant, &found).await?;
        let source = |(newest, entries): (Entry, i64)| Source { entries: entries.unsigned_abs(), newest };
        Ok(newest.into_iter().map(source).collect())
    }
}
