//! The work of reading memories for what they state, behind everything else.
//!
//! An entry that the reader has not read is to be read, so a reader of a new version begins anew.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use l9_core::Result;
use l9_core::id::TenantId;
use l9_core::label::Label;
use l9_core::memory::Entry;
use l9_core::time::Clock;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::kept::{Progress, Read, Readable, Reading};
use super::rules::{self, RULES};
use crate::rounds::{CLAIM, Rounds};

/// The name that the work is claimed under, whoever reads.
const WORK: &str = "relations";

/// Tells what entries state.
#[async_trait]
pub trait Reader: fmt::Debug + Send + Sync {
    /// What reads, and its version: what another has read is read again.
    fn name(&self) -> &str;

    /// How many entries are kept together, and how many of them are read at a time.
    fn batch(&self) -> (usize, usize);

    /// What an entry states.
    ///
    /// # Errors
    /// What concerns not the entry alone and may pass: it is asked again later.
    async fn read(&self, tenant: &TenantId, entry: &Entry) -> Result<Read>;
}

/// Reads by rules, without a model.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules;

#[async_trait]
impl Reader for Rules {
    fn name(&self) -> &str {
        RULES
    }

    fn batch(&self) -> (usize, usize) {
        (64, 1)
    }

    async fn read(&self, _: &TenantId, entry: &Entry) -> Result<Read> {
        let speaker = entry.entry.metadata.get("speaker").and_then(Value::as_str);
        Ok(Read::Relations(rules::read(&entry.entry.text, speaker), Label::default()))
    }
}

/// Reads memories.
#[derive(Debug)]
pub struct Worker {
    memory: Arc<dyn Readable>,
    reader: Arc<dyn Reader>,
    clock: Arc<dyn Clock>,
    owner: String,
    failing: Mutex<Option<String>>,
}

impl Worker {
    /// A worker over memories, under a name that no other process has.
    #[must_use]
    pub fn new(memory: Arc<dyn Readable>, reader: Arc<dyn Reader>, clock: Arc<dyn Clock>, owner: &str) -> Self {
        Self { memory, reader, clock, owner: owner.to_owned(), failing: Mutex::default() }
    }

    /// How far memories are read, counted now.
    ///
    /// # Errors
    /// `Unavailable` from the backend.
    pub async fn status(&self) -> Result<Progress> {
        let progress = self.memory.readings(self.reader.name()).await?;
        metrics::gauge!("l9_relations_pending").set(progress.pending as f64);
        let failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(Progress { reader: self.reader.name().to_owned(), failing, ..progress })
    }

    fn rounds(&self) -> Rounds<'_> {
        Rounds::new(&*self.memory, &*self.clock, WORK, &self.owner)
    }

    /// Works until it is told to stop, and leaves the work to others then. What fails is tried
    /// again, later and later.
    pub async fn run(&self, stop: CancellationToken) {
        self.work(stop).await;
        // A claim of long ago is over at once; another's stays as it is.
        let past = self.clock.now().before(CLAIM * 2);
        if let Err(error) = self.memory.claim(WORK, &self.owner, past).await {
            tracing::debug!(%error, "the reading of memories is left to others in a while");
        }
    }

    async fn work(&self, stop: CancellationToken) {
        let mut rounds = self.rounds();
        while !stop.is_cancelled() {
            let done = tokio::select! {
                done = self.round(&mut rounds) => done,
                () = stop.cancelled() => return,
            };
            let again_in_ms = rounds.wait(done.is_err()).as_millis() as u64;
            if let Err(error) = &done {
                tracing::warn!(%error, again_in_ms, "memories are not read for now");
            }
            let failing = done.err().map(|error| error.to_string());
            *self.failing.lock().unwrap_or_else(PoisonError::into_inner) = failing;
            rounds.pause(&stop).await;
        }
    }

    /// Reads everything that is not read yet, if nobody else does.
    ///
    /// # Errors
    /// From the reader or the backend; what was done before is kept.
    pub async fn finish(&self) -> Result<()> {
        self.round(&mut self.rounds()).await
    }

    async fn round(&self, rounds: &mut Rounds<'_>) -> Result<()> {
        let Some(round) = rounds.next().await? else { return Ok(()) };
        for (tenant, after) in &round.tenants {
            if !self.read_tenant(tenant, *after, rounds).await? {
                return Ok(());
            }
        }
        rounds.end(&round);
        Ok(())
    }

    /// Tells whether it got to the end: not if another process took the work over.
    async fn read_tenant(&self, tenant: &TenantId, mut after: i64, rounds: &mut Rounds<'_>) -> Result<bool> {
        let reader = self.reader.name();
        let (together, at_once) = self.reader.batch();
        loop {
            let unread = self.memory.unread(tenant, reader, after, together).await?;
            let Some(last) = unread.last() else { return Ok(true) };
            after = last.position;
            if !rounds.claims().await? {
                return Ok(false);
            }
            let entries = unread.len();
            let read: Vec<_> = unread.into_iter().map(|one| self.read(tenant, one.entry).boxed()).collect();
            let readings = stream::iter(read).buffered(at_once).try_collect().await?;
            let taken = self.memory.keep_readings(tenant, reader, readings).await?;
            metrics::counter!("l9_relations_taken_total").increment(taken);
            tracing::debug!(reader, entries, relations = taken, "memories were read");
        }
    }

    async fn read(&self, tenant: &TenantId, entry: Entry) -> Result<Reading> {
        let read = match entry.entry.relation {
            // What states something of itself says so already.
            Some(_) => Read::Relations(Vec::new(), Label::default()),
            None => self.reader.read(tenant, &entry).await?,
        };
        if let Read::Failed(why) = &read {
            metrics::counter!("l9_relations_failed_total").increment(1);
            tracing::warn!(memory = %entry.id, why, "what a memory states could not be told");
        }
        Ok(Reading::of(&entry, self.reader.name(), read))
    }
}
