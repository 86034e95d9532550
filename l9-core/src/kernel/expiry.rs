//! Expiry: the bodies of old runs go, their chain and their last state stay.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use super::archive::Archive;
use super::engine::Engine;
use crate::digest::Digest;
use crate::id::{RunId, TenantId};
use crate::journal::{RunFilter, RunRow};
use crate::run::{RunLog, Stand};
use crate::time::Timestamp;
use crate::{ErrorKind, Result};

/// How many runs are looked at at a time.
const PAGE: usize = 256;

/// What expiry did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Expired {
    /// Runs whose bodies went.
    pub runs: u64,
    /// How many bodies went.
    pub records: u64,
    /// Runs that could not be reduced, and why.
    pub kept: Vec<(RunId, String)>,
}

impl Engine {
    /// Empties the bodies of runs that ended longer ago than `age`, and keeps their last
    /// state. With `dry`, only tells which. With an archive, the records are kept there
    /// first. A run whose records others share stays whole for as long as they do.
    ///
    /// # Errors
    /// When the list of runs cannot be read; a run that does not verify is reported and kept.
    pub async fn expire(
        &self,
        tenant: &TenantId,
        age: Duration,
        dry: bool,
        archive: Option<&dyn Archive>,
    ) -> Result<Expired> {
        self.expire_before(tenant, self.inner.parts.clock.now().before(age), dry, archive).await
    }

    /// As [`Engine::expire`], for runs that ended before a time.
    ///
    /// # Errors
    /// As [`Engine::expire`].
    pub async fn expire_before(
        &self,
        tenant: &TenantId,
        before: Timestamp,
        dry: bool,
        archive: Option<&dyn Archive>,
    ) -> Result<Expired> {
        let parts = &self.inner.parts;
        let shared = self.parents(tenant).await?;
        let mut filter = RunFilter { closed_before: Some(before), ..RunFilter::default() };
        let mut done = Expired::default();
        loop {
            let rows = parts.store.runs(tenant, &filter, PAGE).await?;
            for row in &rows {
                if shared.contains(&row.run) {
                    done.kept.push((row.run, "a fork shares its records".to_owned()));
                    continue;
                }
                let own = row.own();
                let first = parts.store.read(tenant, row.run, own, 1).await?;
                if first.first().is_none_or(crate::run::Record::is_expired) {
                    continue;
                }
                let records = row.head.next - own;
                if !dry {
                    if let Some(archive) = archive {
                        self.archive(row, archive).await?;
                    }
                    match self.reduce(tenant, row, archive.is_some()).await {
                        Ok(()) => {}
                        Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
                        Err(error) => {
                            done.kept.push((row.run, error.to_string()));
                            continue;
                        }
                    }
                }
                done.runs += 1;
                done.records += records;
            }
            match rows.last() {
                Some(last) if rows.len() == PAGE => filter.before = Some(last.run),
                _ => return Ok(done),
            }
        }
    }

    async fn reduce(&self, tenant: &TenantId, row: &RunRow, archived: bool) -> Result<()> {
        let log = RunLog::load(self.inner.backing.clone(), tenant.clone(), row.run, Stand::from(row)).await?;
        // What only the bodies refer to goes with them, unless they stand in an archive.
        let mut gone = if archived { BTreeSet::new() } else { self.referred(tenant, row).await? };
        for id in log.state.artifacts() {
            gone.remove(&id);
        }
        let gone: Vec<Digest> = gone.into_iter().collect();
        // The store has the last word: somebody may fork the run just now.
        self.inner.parts.store.expire(tenant, row.run, log.terminal()?, &gone).await.map(drop)
    }

    /// The runs that others were forked from.
    async fn parents(&self, tenant: &TenantId) -> Result<BTreeSet<RunId>> {
        let mut filter = RunFilter::default();
        let mut parents = BTreeSet::new();
        loop {
            let rows = self.inner.parts.store.runs(tenant, &filter, PAGE).await?;
            parents.extend(rows.iter().filter_map(|row| row.fork.map(|fork| fork.parent)));
            match rows.last() {
                Some(last) if rows.len() == PAGE => filter.before = Some(last.run),
                _ => return Ok(parents),
            }
        }
    }
}
