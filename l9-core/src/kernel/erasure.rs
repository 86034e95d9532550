//! Erasure: what runs hold of a data subject goes, and their chain stays.

use std::collections::BTreeSet;

use super::engine::Engine;
use crate::digest::Digest;
use crate::id::{RunId, TenantId};
use crate::journal::{RunFilter, RunRow};
use crate::run::{Event, open_artifact, open_snapshot, read_records, snapshot_text};
use crate::{Error, ErrorKind, Result};

/// How many runs, or records of one, are read at a time.
const PAGE: usize = 256;

/// How many open runs a refusal names.
const NAMED: usize = 8;

impl Engine {
    /// Checks that runs may be erased.
    ///
    /// # Errors
    /// `Conflict`, naming them, when some have not ended: what they do next would be about the
    /// subject again.
    pub fn check_ended(&self, rows: &[RunRow]) -> Result<()> {
        let open: Vec<RunId> = rows.iter().filter(|row| !row.status.is_closed()).map(|row| row.run).collect();
        if open.is_empty() {
            return Ok(());
        }
        let named: Vec<String> = open.iter().take(NAMED).map(RunId::to_string).collect();
        let more = if open.len() > NAMED { format!(" and {} more", open.len() - NAMED) } else { String::new() };
        let message = format!(
            "what is to be erased is used by runs that have not ended: {}{more}; cancel them or let them end, then erase \
             again",
            named.join(", ")
        );
        Err(Error::new(ErrorKind::Conflict, message))
    }

    /// Empties the bodies of a run's own records, and removes what they refer to, its state and
    /// what was sent to it; tells how many bodies went.
    ///
    /// # Errors
    /// `Conflict` for a run that has not ended, `NotFound` for an unknown one; from the backend.
    pub async fn erase(&self, tenant: &TenantId, row: &RunRow) -> Result<u64> {
        let parts = self.parts();
        let own = row.own();
        let (mut artifacts, mut next) = (BTreeSet::new(), own);
        // The state of a fork refers to what its parent has as well.
        if row.fork.is_none()
            && let Some(snapshot) = parts.store.snapshot(tenant, row.run).await?
        {
            artifacts.extend(open_snapshot(&*parts.vault, tenant, row.run, &snapshot)?.0.artifacts());
        }
        loop {
            let records = parts.store.read(tenant, row.run, next, PAGE).await?;
            let Some(last) = records.last() else { break };
            next = last.seq + 1;
            for record in records.iter().filter(|record| !record.is_expired()) {
                let payload = record.open(&*parts.vault)?.payload;
                artifacts.extend(Event::decode(&record.kind, record.version, &payload)?.artifacts());
            }
        }
        let artifacts: Vec<Digest> = artifacts.into_iter().collect();
        parts.store.erase(tenant, row.run, &artifacts).await
    }

    /// The runs of a tenant in whose records, last state or values beside them some words
    /// stand, newest first. Everything the tenant has is opened for it.
    ///
    /// # Errors
    /// From the backend; what does not open is `Corrupt`.
    pub async fn mentions(&self, tenant: &TenantId, words: &str) -> Result<Vec<RunRow>> {
        let words = escaped(words)?;
        let parts = self.parts();
        let (mut filter, mut found) = (RunFilter::default(), Vec::new());
        loop {
            let rows = parts.store.runs(tenant, &filter, PAGE).await?;
            for row in &rows {
                if self.mentioned(row, &words).await? {
                    found.push(row.clone());
                }
            }
            match rows.last() {
                Some(last) if rows.len() == PAGE => filter.before = Some(last.run),
                _ => return Ok(found),
            }
        }
    }

    async fn mentioned(&self, row: &RunRow, words: &[u8]) -> Result<bool> {
        let parts = self.parts();
        let tenant = &row.tenant;
        let finder = memchr::memmem::Finder::new(words);
        if let Some(snapshot) = parts.store.snapshot(tenant, row.run).await?
            && finder.find(&snapshot_text(&*parts.vault, tenant, row.run, &snapshot)?).is_some()
        {
            return Ok(true);
        }
        let mut next = 0;
        while next < row.head.next {
            let records = read_records(&*parts.store, tenant, (row.run, row.fork), next, PAGE).await?;
            let Some(last) = records.last() else { break };
            next = last.seq + 1;
            for record in records.iter().filter(|record| !record.is_expired()) {
                let payload = record.open(&*parts.vault)?.payload;
                if finder.find(&payload).is_some() {
                    return Ok(true);
                }
                for id in Event::decode(&record.kind, record.version, &payload)?.artifacts() {
                    let Some(sealed) = parts.store.artifact(tenant, id).await? else { continue };
                    if finder.find(&open_artifact(&*parts.vault, tenant, id, &sealed)?).is_some() {
                        return Ok(true);
                    }
                }
            }
        }
        Ok(false)
    }
}

/// Words as they stand within a string of canonical JSON.
fn escaped(words: &str) -> Result<Vec<u8>> {
    let quoted =
        serde_json::to_vec(words).map_err(|error| Error::internal("words without JSON form").caused_by(error))?;
    Ok(quoted[1..quoted.len() - 1].to_vec())
}
