//! Erasure: what runs hold of a data subject goes, and their chain stays.

use std::collections::{BTreeMap, BTreeSet};

use super::engine::Engine;
use crate::digest::Digest;
use crate::id::{RunId, TenantId};
use crate::journal::{RunFilter, RunRow};
use crate::json;
use crate::mention::Name;
use crate::run::{Command, CommandRequest, Event, open_artifact, open_snapshot, read_records, snapshot_text};
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
        let mut artifacts = BTreeSet::new();
        // The state of a fork refers to what its parent has as well.
        if row.fork.is_none()
            && let Some(snapshot) = parts.store.snapshot(tenant, row.run).await?
        {
            match open_snapshot(&*parts.vault, tenant, row.run, &snapshot) {
                Ok((state, _)) => artifacts.extend(state.artifacts()),
                Err(error) if !error.is_retryable() => {
                    tracing::warn!(run = %row.run, %error, "a state is erased unread");
                }
                Err(error) => return Err(error),
            }
        }
        artifacts.extend(self.referred(tenant, row).await?);
        let artifacts: Vec<Digest> = artifacts.into_iter().collect();
        parts.store.erase(tenant, row.run, &artifacts).await
    }

    /// What a run's own records refer to beside the journal.
    ///
    /// # Errors
    /// From the backend.
    pub(super) async fn referred(&self, tenant: &TenantId, row: &RunRow) -> Result<BTreeSet<Digest>> {
        let parts = self.parts();
        let (mut artifacts, mut next) = (BTreeSet::new(), row.own());
        loop {
            let records = parts.store.read(tenant, row.run, next, PAGE).await?;
            let Some(last) = records.last() else { return Ok(artifacts) };
            next = last.seq + 1;
            for record in records.iter().filter(|record| !record.is_expired()) {
                let opened = record.open(&*parts.vault);
                let event = opened.and_then(|opened| Event::decode(&record.kind, record.version, &opened.payload));
                match event {
                    Ok(event) => artifacts.extend(event.artifacts()),
                    // It goes all the same; what lies beside it is found by nobody any more.
                    Err(error) if !error.is_retryable() => {
                        tracing::warn!(run = %row.run, seq = record.seq, %error, "a record goes unread");
                    }
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// Adds what was forked from some runs, and from those.
    ///
    /// # Errors
    /// From the backend only.
    pub async fn add_forks(&self, tenant: &TenantId, runs: &mut BTreeMap<RunId, RunRow>) -> Result<()> {
        let mut forks = BTreeMap::new();
        let mut filter = RunFilter::default();
        loop {
            let rows = self.parts().store.runs(tenant, &filter, PAGE).await?;
            let full = rows.len() == PAGE;
            filter.before = rows.last().map(|last| last.run);
            forks.extend(rows.into_iter().filter(|row| row.fork.is_some()).map(|row| (row.run, row)));
            if !full {
                break;
            }
        }
        // What was forked is younger than what it left.
        for (run, row) in forks {
            if row.fork.is_some_and(|fork| runs.contains_key(&fork.parent)) {
                runs.insert(run, row);
            }
        }
        Ok(())
    }

    /// The runs of a tenant in whose records, last state, mail or values beside them a name
    /// stands. Everything the tenant has is opened for it.
    ///
    /// # Errors
    /// From the backend; what cannot be read is named in the answer.
    pub async fn mentions(&self, tenant: &TenantId, name: &Name) -> Result<Mentions> {
        let (mut filter, mut found) = (RunFilter::default(), Mentions::default());
        loop {
            let rows = self.parts().store.runs(tenant, &filter, PAGE).await?;
            let full = rows.len() == PAGE;
            filter.before = rows.last().map(|last| last.run);
            for row in rows {
                let mut look = Look { name, found: false, unread: false };
                self.look(&row, &mut look).await?;
                if look.unread {
                    found.unread.push(row.run);
                }
                if look.found {
                    found.runs.push(row);
                }
            }
            if !full {
                return Ok(found);
            }
        }
    }

    async fn look(&self, row: &RunRow, look: &mut Look<'_>) -> Result<()> {
        let parts = self.parts();
        let (tenant, run) = (&row.tenant, row.run);
        if let Some(snapshot) = parts.store.snapshot(tenant, run).await? {
            look.into(snapshot_text(&*parts.vault, tenant, run, &snapshot))?;
        }
        for stored in parts.store.pending(tenant, run).await? {
            if let Some(request) = look.read(CommandRequest::open(&*parts.vault, tenant, run, &stored))? {
                look.into(json::canonical(&request))?;
                let answer = match &request.command {
                    Command::Complete(completion) => completion.artifact(),
                    _ => None,
                };
                self.look_beside(row, answer.into_iter().collect(), look).await?;
            }
        }
        let mut next = 0;
        while next < row.head.next && !look.found {
            let page = read_records(&*parts.store, tenant, (run, row.fork), next, PAGE).await;
            let Some(records) = look.read(page)? else { break };
            let Some(last) = records.last() else { break };
            next = last.seq + 1;
            for record in records.iter().filter(|record| !record.is_expired()) {
                let Some(opened) = look.read(record.open(&*parts.vault))? else { continue };
                look.into(Ok(&opened.payload))?;
                let event = Event::decode(&record.kind, record.version, &opened.payload);
                if let Some(event) = look.read(event)? {
                    self.look_beside(row, event.artifacts(), look).await?;
                }
            }
        }
        Ok(())
    }

    /// Looks into values that lie beside a run's records.
    async fn look_beside(&self, row: &RunRow, artifacts: Vec<Digest>, look: &mut Look<'_>) -> Result<()> {
        let parts = self.parts();
        for id in artifacts {
            if look.found {
                break;
            }
            let Some(sealed) = parts.store.artifact(&row.tenant, id).await? else { continue };
            look.into(open_artifact(&*parts.vault, &row.tenant, id, &sealed))?;
        }
        Ok(())
    }
}

/// Where a name stands in what runs recorded.
#[derive(Debug, Default)]
pub struct Mentions {
    /// The runs that it stands in, newest first.
    pub runs: Vec<RunRow>,
    /// Those of which something could not be read.
    pub unread: Vec<RunId>,
}

/// A look for a name through one run.
struct Look<'n> {
    name: &'n Name,
    found: bool,
    unread: bool,
}

impl Look<'_> {
    /// Looks into the bytes of a JSON text, if they can be read.
    fn into(&mut self, json: Result<impl AsRef<[u8]>>) -> Result<()> {
        if let Some(json) = self.read(json)? {
            self.found = self.found || self.name.is_in_bytes(json.as_ref());
        }
        Ok(())
    }

    /// What was read; nothing, and a note of it, if it never will be.
    fn read<T>(&mut self, outcome: Result<T>) -> Result<Option<T>> {
        match outcome {
            Ok(read) => Ok(Some(read)),
            Err(error) if !error.is_retryable() => {
                self.unread = true;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}
