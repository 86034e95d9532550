//! A run in the hands of its lease's owner: its folded state, and the events that are
//! not durable yet. State and buffer are changed together or not at all.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::event::Event;
use super::record::{Sealer, open_artifact};
use super::state::RunState;
use super::stored::Stored;
use crate::digest::Digest;
use crate::entropy::Entropy;
use crate::id::{CommandId, RunId, TenantId};
use crate::journal::{Append, Appended, Artifact, Head, RunStore};
use crate::json;
use crate::run::Hints;
use crate::time::{Clock, Timestamp};
use crate::vault::Vault;
use crate::{Error, Result};

/// How many records are read at a time.
const PAGE: usize = 512;

/// Values whose canonical form is larger are kept as artifacts.
const INLINE_BYTES: usize = 64 << 10;

/// What a log needs of the system.
#[derive(Debug, Clone)]
pub(crate) struct Backing {
    pub(crate) store: Arc<dyn RunStore>,
    pub(crate) vault: Arc<dyn Vault>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) hints: Hints,
}

/// A run in its owner's hands.
#[derive(Debug)]
pub(crate) struct RunLog {
    backing: Backing,
    pub(crate) tenant: TenantId,
    pub(crate) run: RunId,
    pub(crate) state: RunState,
    epoch: u64,
    durable: Head,
    head: Head,
    records: Vec<crate::run::Record>,
    artifacts: Vec<Artifact>,
    consumed: Vec<CommandId>,
}

impl RunLog {
    /// Begins a run that is not stored yet.
    pub(crate) fn begin(backing: Backing, tenant: TenantId, run: RunId) -> Self {
        Self {
            backing,
            tenant,
            run,
            state: RunState::default(),
            epoch: 0,
            durable: Head::START,
            head: Head::START,
            records: Vec::new(),
            artifacts: Vec::new(),
            consumed: Vec::new(),
        }
    }

    /// Reads, verifies and folds a stored run, which must reach `head`.
    ///
    /// # Errors
    /// `Corrupt` when a record is missing, does not verify, open or fold; `Newer` for
    /// unknown events.
    pub(crate) async fn load(
        backing: Backing,
        tenant: TenantId,
        run: RunId,
        (epoch, head): (u64, Head),
    ) -> Result<Self> {
        let mut log = Self::begin(backing, tenant, run);
        loop {
            let page = log.backing.store.read(&log.tenant, run, log.head.next, PAGE).await?;
            for record in &page {
                record.verify_after(&log.head)?;
                let payload = record.open(&*log.backing.vault)?.payload;
                let event = Event::decode(&record.kind, record.version, &payload)?;
                for id in event.artifacts() {
                    log.fetch(id).await?;
                }
                log.state.apply(record.epoch, record.at, event).map_err(|error| {
                    Error::corrupt(format!("record {} of run {run} does not fold", record.seq)).caused_by(error)
                })?;
                log.head = record.head();
                if log.head.next == head.next && log.head.hash != head.hash {
                    return Err(Error::corrupt(format!("run {run} does not end in the record that its row names")));
                }
            }
            if page.len() < PAGE {
                break;
            }
        }
        if log.head.next < head.next {
            let (next, wanted) = (log.head.next, head.next);
            return Err(Error::corrupt(format!("run {run} has {next} records where its row names {wanted}")));
        }
        log.durable = log.head;
        log.epoch = epoch;
        Ok(log)
    }

    async fn fetch(&mut self, id: Digest) -> Result<()> {
        let sealed = self.backing.store.artifact(&self.tenant, id).await?;
        let sealed = sealed.ok_or_else(|| Error::corrupt(format!("artifact {id} of run {} is missing", self.run)))?;
        let plain = open_artifact(&*self.backing.vault, &self.tenant, id, &sealed)?;
        let value = serde_json::from_slice(&plain)
            .map_err(|error| Error::corrupt(format!("artifact {id} does not parse: {error}")))?;
        self.state.provide(id, value);
        Ok(())
    }

    /// Adds an event: applied to the state now, durable with the next commit. What is
    /// applied is what a reader will decode from the bytes that are committed to.
    ///
    /// # Errors
    /// `Corrupt` when the event cannot follow the state: a defect of the caller.
    pub(crate) fn push(&mut self, event: &Event) -> Result<()> {
        let at = self.now();
        let sealer = Sealer { vault: &*self.backing.vault, entropy: &*self.backing.entropy };
        let (kind, version, payload) = (event.kind(), event.version(), event.payload()?);
        let read = Event::decode(kind, version, &payload)?;
        let record = sealer.record_of(&self.tenant, self.run, self.epoch, &self.head, at, (kind, version, &payload))?;
        self.state.apply(self.epoch, at, read)?;
        self.head = record.head();
        self.records.push(record);
        Ok(())
    }

    /// The time the next record gets: the clock's, but never before the last record.
    pub(crate) fn now(&self) -> Timestamp {
        let now = self.backing.clock.now();
        self.state.updated_at.map_or(now, |last| last.max(now))
    }

    /// Keeps a value inline, or as an artifact that the next commit stores.
    pub(crate) fn keep(&mut self, value: Value) -> Result<Stored> {
        if json::fits(&value, INLINE_BYTES) {
            return Ok(Stored::Inline(value));
        }
        let plain = json::canonical(&value)?;
        let sealer = Sealer { vault: &*self.backing.vault, entropy: &*self.backing.entropy };
        let label = format!("run/{}/artifact/{}/{}", self.run, self.head.next, self.artifacts.len());
        let artifact = sealer.artifact(&self.tenant, &label, &plain)?;
        let id = artifact.id;
        self.artifacts.push(artifact);
        self.state.provide(id, value);
        Ok(Stored::Artifact { id, bytes: plain.len() as u64 })
    }

    /// Marks a command as carried out by what the next commit stores.
    pub(crate) fn consume(&mut self, command: CommandId) {
        self.consumed.push(command);
    }

    /// Makes everything added so far durable, in one append. While the store is away it
    /// tries again until `give_up` on the monotonic clock: what is in hand is not lost to
    /// a passing fault.
    ///
    /// # Errors
    /// `Fenced` or `Conflict` when the run has another owner: this log is void then.
    pub(crate) async fn commit(&mut self, give_up: Duration) -> Result<Option<Appended>> {
        if self.records.is_empty() {
            return Ok(None);
        }
        let append = Append {
            tenant: self.tenant.clone(),
            run: self.run,
            epoch: self.epoch,
            expected: self.durable,
            records: std::mem::take(&mut self.records),
            artifacts: std::mem::take(&mut self.artifacts),
            consumed: std::mem::take(&mut self.consumed),
            snapshot: None,
            status: self.state.status(),
        };
        let mut wait = Duration::from_millis(20);
        let appended = loop {
            let error = match self.backing.store.append(append.clone()).await {
                Ok(appended) => break appended,
                Err(error) => error,
            };
            if !error.is_retryable() || self.backing.clock.monotonic() + wait >= give_up {
                return Err(error);
            }
            tracing::warn!(run = %self.run, %error, "an append is tried again");
            self.backing.clock.sleep(wait).await;
            wait = (wait * 2).min(Duration::from_secs(1));
            // The acknowledgement may be what was lost.
            match self.backing.store.run(&self.tenant, self.run).await {
                Ok(Some(row)) if row.head == self.head => break Appended { head: self.head, commands: true },
                _ => {}
            }
        };
        self.durable = self.head;
        self.backing.hints.appended(self.run, self.head.next);
        Ok(Some(appended))
    }

    /// Takes the records of a run that is not stored yet, to create it with.
    pub(crate) fn into_first(mut self) -> Option<(crate::run::Record, Vec<Artifact>)> {
        let record = self.records.pop()?;
        Some((record, self.artifacts))
    }
}
