//! A run in the hands of its lease's owner: its folded state, and the events that are
//! not durable yet. State and buffer are changed together or not at all.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::event::Event;
use super::known::Known;
use super::lineage;
use super::record::{Record, Sealer, open_artifact};
use super::snapshot;
use super::state::RunState;
use super::stored::Stored;
use crate::digest::Digest;
use crate::entropy::Entropy;
use crate::failpoint::{self, Point};
use crate::flow::Flow;
use crate::id::{CommandId, RunId, TenantId};
use crate::journal::{Along, Append, Appended, Artifact, ForkPoint, Head, RunRow, RunStore, Snapshot};
use crate::json;
use crate::queue::{Task, TaskQueue};
use crate::run::Hints;
use crate::time::{Clock, Timestamp};
use crate::tool::AuditDetail;
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
    pub(crate) queue: Arc<dyn TaskQueue>,
}

/// Where a stored run stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stand {
    pub(crate) epoch: u64,
    pub(crate) head: Head,
    pub(crate) fork: Option<ForkPoint>,
}

impl From<&RunRow> for Stand {
    fn from(row: &RunRow) -> Self {
        Self { epoch: row.epoch, head: row.head, fork: row.fork }
    }
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
    /// Where the newest snapshot stands.
    snapshot: u64,
    records: Vec<Record>,
    artifacts: Vec<Artifact>,
    consumed: Vec<CommandId>,
    /// The latest time that was waited for.
    reached: Option<Timestamp>,
    /// What the run was told and has read, as far as it was asked for.
    known: Known,
    along: Vec<Along>,
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
            snapshot: 0,
            records: Vec::new(),
            artifacts: Vec::new(),
            consumed: Vec::new(),
            reached: None,
            known: Known::default(),
            along: Vec::new(),
        }
    }

    /// Opens a stored run at its end: its newest snapshot, and what came after it read,
    /// verified and folded.
    ///
    /// # Errors
    /// `Corrupt` when a record is missing, does not verify, open or fold; `Newer` for
    /// unknown events.
    pub(crate) async fn load(backing: Backing, tenant: TenantId, run: RunId, row: Stand) -> Result<Self> {
        let mut log = Self::begin(backing, tenant, run);
        if let Some(snapshot) = log.backing.store.snapshot(&log.tenant, run).await?
            && snapshot.head.next <= row.head.next
        {
            match snapshot::open(&*log.backing.vault, &log.tenant, run, &snapshot) {
                Ok((state, labelled)) if !labelled && state.closed.is_none() => {}
                Ok((state, _)) => {
                    (log.head, log.snapshot) = (snapshot.head, snapshot.head.next);
                    log.state = state;
                    for id in log.state.artifacts() {
                        log.fetch(id).await?;
                    }
                }
                // The journal has all of it.
                Err(error) => tracing::warn!(%run, %error, "a snapshot is left aside"),
            }
        }
        log.fold_to(&row).await?;
        log.durable = log.head;
        log.epoch = row.epoch;
        Ok(log)
    }

    /// Opens a stored run as it was before the record `at`.
    ///
    /// # Errors
    /// As [`RunLog::load`].
    pub(crate) async fn load_before(
        backing: Backing,
        tenant: TenantId,
        run: RunId,
        fork: Option<ForkPoint>,
        at: u64,
    ) -> Result<Self> {
        let mut log = Self::begin(backing, tenant, run);
        let mut records = log.page(fork, at).await?;
        while log.head.next < at {
            if records.is_empty() {
                return Err(Error::corrupt(format!("record {} of run {run} is missing", log.head.next)));
            }
            for record in &records {
                log.fold(record).await?;
            }
            records = log.page(fork, at).await?;
        }
        (log.durable, log.epoch) = (log.head, log.state.epoch);
        Ok(log)
    }

    async fn page(&self, fork: Option<ForkPoint>, end: u64) -> Result<Vec<Record>> {
        let wanted = usize::try_from(end - self.head.next).unwrap_or(PAGE).min(PAGE);
        lineage::read(&*self.backing.store, &self.tenant, (self.run, fork), self.head.next, wanted).await
    }

    async fn fold_to(&mut self, row: &Stand) -> Result<()> {
        let Stand { head, fork, .. } = row;
        let run = self.run;
        while self.head.next < head.next {
            let page = self.page(*fork, head.next).await?;
            if page.is_empty() {
                let (next, wanted) = (self.head.next, head.next);
                return Err(Error::corrupt(format!("run {run} has {next} records where its row names {wanted}")));
            }
            for record in &page {
                self.fold(record).await?;
            }
        }
        if self.head.hash != head.hash {
            return Err(Error::corrupt(format!("run {run} does not end in the record that its row names")));
        }
        Ok(())
    }

    /// Verifies, opens and applies one record.
    async fn fold(&mut self, record: &Record) -> Result<()> {
        record.verify_after(&self.head)?;
        let payload = record.open(&*self.backing.vault)?.payload;
        let event = Event::decode(&record.kind, record.version, &payload)?;
        for id in event.artifacts() {
            self.fetch(id).await?;
        }
        self.state.apply(record.epoch, record.at, event).map_err(|error| {
            Error::corrupt(format!("record {} of run {} does not fold", record.seq, self.run)).caused_by(error)
        })?;
        self.head = record.head();
        Ok(())
    }

    pub(crate) async fn fetch(&mut self, id: Digest) -> Result<()> {
        let sealed = self.backing.store.artifact(&self.tenant, id).await?;
        let sealed = sealed.ok_or_else(|| Error::corrupt(format!("artifact {id} of run {} is missing", self.run)))?;
        let plain = open_artifact(&*self.backing.vault, &self.tenant, id, &sealed)?;
        let value = serde_json::from_slice(&plain)
            .map_err(|error| Error::corrupt(format!("artifact {id} does not parse: {error}")))?;
        self.state.provide(id, value);
        Ok(())
    }

    /// Adds an event: applied to the state now, durable with the next commit. It is what a
    /// reader decodes from the bytes that are committed to: values in it have the numbers
    /// of [`json::normal`], and everything else reads as it was written.
    ///
    /// # Errors
    /// `Corrupt` when the event cannot follow the state: a defect of the caller.
    pub(crate) fn push(&mut self, event: Event) -> Result<()> {
        let at = self.now();
        let sealer = Sealer { vault: &*self.backing.vault, entropy: &*self.backing.entropy };
        let (kind, version, payload) = (event.kind(), event.version(), event.payload()?);
        debug_assert_eq!(Event::decode(kind, version, &payload)?, event, "an event reads as it was written");
        let record = sealer.record_of(&self.tenant, self.run, self.epoch, &self.head, at, (kind, version, &payload))?;
        let known = self.state.label.subjects.clone();
        self.state.apply(self.epoch, at, event)?;
        self.head = record.head();
        self.records.push(record);
        self.along.extend(self.state.label.subjects.difference(&known).map(|subject| Along::About(*subject)));
        Ok(())
    }

    /// The time the next record gets: the clock's, but never before the last record, nor before
    /// a time that was waited for.
    pub(crate) fn now(&self) -> Timestamp {
        let last = self.state.updated_at.max(self.reached);
        let now = self.backing.clock.now();
        last.map_or(now, |last| last.max(now))
    }

    /// A time that was waited for has come.
    pub(crate) fn reach(&mut self, time: Option<Timestamp>) {
        self.reached = self.reached.max(time);
    }

    /// The id of a run that this one begins for a purpose.
    pub(crate) fn fresh(&self, purpose: &str) -> RunId {
        RunId::generate(self.now(), &*self.backing.entropy, &format!("run/{}/{purpose}", self.run))
    }

    /// Begins another run of the tenant, which is not stored yet.
    pub(crate) fn sibling(&self, run: RunId) -> Self {
        Self::begin(self.backing.clone(), self.tenant.clone(), run)
    }

    /// A random number for a purpose within the run.
    pub(crate) fn jitter(&self, purpose: &str) -> u16 {
        let mut random = [0; 2];
        self.backing.entropy.fill(format_args!("run/{}/jitter/{purpose}", self.run), &mut random);
        u16::from_be_bytes(random)
    }

    /// Keeps a value inline, or as an artifact that the next commit stores.
    pub(crate) fn keep(&mut self, value: Value) -> Result<Stored> {
        let value = json::normal(value);
        if json::fits(&value, INLINE_BYTES) {
            return Ok(Stored::Inline(value));
        }
        let (id, bytes) = self.keep_beside(value)?;
        Ok(Stored::Artifact { id, bytes })
    }

    /// Keeps a value that is given as canonical JSON. One that is too large for a record stays text,
    /// which takes a fraction of the room.
    pub(crate) fn keep_document(&mut self, text: String) -> Result<Stored> {
        if text.len() <= INLINE_BYTES {
            let value = serde_json::from_str(&text).map_err(|error| Error::internal(error.to_string()))?;
            return Ok(Stored::Inline(value));
        }
        let (id, bytes) = self.keep_beside(Value::String(text))?;
        Ok(Stored::Artifact { id, bytes })
    }

    /// Keeps the arguments of a call, and shows as much of them as the tool's manifest says.
    pub(crate) fn keep_arguments(&mut self, detail: AuditDetail, arguments: Value) -> Result<Stored> {
        let shape = match detail {
            AuditDetail::Full => return self.keep(arguments),
            AuditDetail::Redacted => Some(json::shape(&arguments)),
            AuditDetail::Hash => None,
        };
        self.withhold(arguments, shape)
    }

    /// Keeps a value from whoever reads the journal; what they see in its place is given.
    pub(crate) fn withhold(&mut self, value: Value, shape: Option<Value>) -> Result<Stored> {
        let (id, bytes) = self.keep_beside(json::normal(value))?;
        // A record stays small, whatever somebody was called with.
        let shape = shape.filter(|shape| json::fits(shape, INLINE_BYTES));
        Ok(Stored::Withheld { id, bytes, shape })
    }

    fn keep_beside(&mut self, value: Value) -> Result<(Digest, u64)> {
        let plain = json::canonical(&value)?;
        let sealer = Sealer { vault: &*self.backing.vault, entropy: &*self.backing.entropy };
        let label = format!("run/{}/artifact/{}/{}", self.run, self.head.next, self.artifacts.len());
        let artifact = sealer.artifact(&self.tenant, &label, &plain)?;
        let id = artifact.id;
        self.artifacts.push(artifact);
        self.state.provide(id, value);
        Ok((id, plain.len() as u64))
    }

    /// Brings up to date what the run was told and has read.
    pub(crate) fn read(&mut self) -> (&RunState, &Flow) {
        self.known.follow(&self.state);
        (&self.state, self.known.flow())
    }

    /// Marks a command as carried out by what the next commit stores.
    pub(crate) fn consume(&mut self, command: CommandId) {
        self.consumed.push(command);
    }

    /// Has something else come about with what the next commit stores.
    pub(crate) fn bring_along(&mut self, along: Along) {
        self.along.push(along);
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
        let snapshot = self.snapshot_if_due()?;
        let touched: Vec<(RunId, bool)> = self.along.iter().filter_map(touched).collect();
        let append = Append {
            tenant: self.tenant.clone(),
            run: self.run,
            epoch: self.epoch,
            expected: self.durable,
            records: std::mem::take(&mut self.records),
            artifacts: std::mem::take(&mut self.artifacts),
            consumed: std::mem::take(&mut self.consumed),
            along: std::mem::take(&mut self.along),
            snapshot,
            status: self.state.status(),
        };
        let mut wait = Duration::from_millis(20);
        failpoint::pass(Point::AppendSent);
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
        failpoint::pass(Point::AppendAnswered);
        self.durable = self.head;
        self.backing.hints.appended(self.run, self.head.next, self.state.closed.is_some());
        for (run, commanded) in touched {
            if commanded {
                self.backing.hints.commanded(run);
            }
            let task = Task { tenant: self.tenant.clone(), run, priority: 0 };
            // A full queue is no failure: the run is due, and the reconciler finds it.
            if let Err(error) = self.backing.queue.enqueue(task, Duration::ZERO).await {
                tracing::debug!(%run, %error, "due but not queued; the reconciler will");
            }
        }
        Ok(Some(appended))
    }

    fn snapshot_if_due(&mut self) -> Result<Option<Snapshot>> {
        if !snapshot::is_due(self.snapshot, self.head.next, self.state.closed.is_some()) {
            return Ok(None);
        }
        let taken = snapshot::seal(&*self.backing.vault, &self.tenant, self.run, self.head, &self.state)?;
        self.snapshot = self.head.next;
        Ok(Some(taken))
    }

    /// Seals the state as it is, for a run that nobody advances any more.
    pub(crate) fn terminal(&self) -> Result<Snapshot> {
        snapshot::seal(&*self.backing.vault, &self.tenant, self.run, self.head, &self.state)
    }

    /// Continues another run's chain as a fork of its own: what is added from here on is
    /// the fork's.
    pub(crate) fn fork(&self, run: RunId) -> Self {
        let (state, epoch, head) = (self.state.clone(), self.epoch, self.head);
        Self { state, epoch, head, ..Self::begin(self.backing.clone(), self.tenant.clone(), run) }
    }

    /// Takes what a run that is not stored yet is created with: its first record, what that
    /// refers to and whom it is about.
    pub(crate) fn into_first(mut self) -> Option<(Record, Vec<Artifact>, Vec<Digest>)> {
        let record = self.records.pop()?;
        Some((record, self.artifacts, self.state.label.subjects.into_iter().collect()))
    }
}

/// The other run that something brought along concerns, and whether it is a command.
fn touched(along: &Along) -> Option<(RunId, bool)> {
    match along {
        Along::Begin(new) => Some((new.record.run, false)),
        Along::Post { run, .. } => Some((*run, true)),
        Along::Write(_) | Along::About(_) => None,
    }
}
