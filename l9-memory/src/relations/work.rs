//! The work of reading memories for what they state, behind everything else.
//!
//! An entry that the reader has not read is to be read, so a reader of a new version begins anew. What
//! keeps one tenant from being read keeps no other.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use l9_core::id::TenantId;
use l9_core::label::Label;
use l9_core::memory::Entry;
use l9_core::time::{Clock, Timestamp};
use l9_core::{Error, Result};
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
    failing: Mutex<Failing>,
    /// What was counted last, and when.
    counted: Mutex<Option<(Progress, Timestamp)>>,
    /// Who counts: one at a time, since it may take long.
    counting: Arc<tokio::sync::Mutex<()>>,
}

/// What keeps memories from being read.
#[derive(Debug, Default)]
struct Failing {
    /// Those of some tenants.
    of: BTreeMap<TenantId, String>,
    /// All of them.
    all: Option<String>,
}

impl Worker {
    /// A worker over memories, under a name that no other process has.
    #[must_use]
    pub fn new(memory: Arc<dyn Readable>, reader: Arc<dyn Reader>, clock: Arc<dyn Clock>, owner: &str) -> Self {
        Self {
            memory,
            reader,
            clock,
            owner: owner.to_owned(),
            failing: Mutex::default(),
            counted: Mutex::default(),
            counting: Arc::default(),
        }
    }

    /// How far memories are read, as a viewer of one tenant may know it: figures of all, and words of
    /// that tenant only. Counted now, or as it was known last if that takes longer than `within` or
    /// fails; the count goes on then. `None` if it was never counted.
    pub async fn status(self: &Arc<Self>, viewer: &TenantId, within: Duration) -> Option<Progress> {
        if let Ok(alone) = Arc::clone(&self.counting).try_lock_owned() {
            let (this, whose) = (Arc::clone(self), viewer.clone());
            let counted = tokio::spawn(async move {
                let counted = this.count(&whose).await;
                drop(alone);
                counted
            });
            tokio::select! {
                biased;
                Ok(counted) = counted => match counted {
                    Ok(progress) => return Some(self.told(viewer, progress)),
                    Err(error) => tracing::warn!(%error, "how far memories are read was not counted"),
                },
                () = self.clock.sleep(within) => {}
            }
        }
        let (progress, at) = locked(&self.counted).clone()?;
        Some(self.told(viewer, Progress { counted_at: Some(at), ..progress }))
    }

    async fn count(&self, viewer: &TenantId) -> Result<Progress> {
        let progress = self.memory.readings(self.reader.name(), viewer).await?;
        metrics::gauge!("l9_relations_pending").set(progress.pending as f64);
        // What is kept for others names nothing of the viewer's.
        let figures = Progress { such_as: None, ..progress.clone() };
        *locked(&self.counted) = Some((figures, self.clock.now()));
        Ok(progress)
    }

    fn told(&self, viewer: &TenantId, progress: Progress) -> Progress {
        let failing = locked(&self.failing);
        let own = failing.of.get(viewer).or(failing.all.as_ref()).cloned();
        let others = || (!failing.of.is_empty()).then(|| "memories of other tenants cannot be read for now".to_owned());
        Progress { reader: self.reader.name().to_owned(), failing: own.or_else(others), ..progress }
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
            locked(&self.failing).all = done.err().map(|error| error.to_string());
            rounds.pause(&stop).await;
        }
    }

    /// Reads everything that is not read yet, if nobody else does.
    ///
    /// # Errors
    /// The first from the reader or the backend, after all tenants were tried; what was done is kept.
    pub async fn finish(&self) -> Result<()> {
        self.round(&mut self.rounds()).await?.map_or(Ok(()), Err)
    }

    /// Tells the first error of a tenant; those after it are read all the same.
    async fn round(&self, rounds: &mut Rounds<'_>) -> Result<Option<Error>> {
        let Some(round) = rounds.next().await? else {
            if !rounds.is_ours() {
                // What fails is another process's to tell.
                locked(&self.failing).of.clear();
            }
            return Ok(None);
        };
        let mut first = None;
        for one in &round.tenants {
            let (tenant, after) = one;
            let done = self.read_tenant(tenant, *after, rounds).await;
            if matches!(done, Ok(false)) {
                return Ok(first);
            }
            rounds.note(one, done.is_err());
            match done {
                Ok(_) => drop(locked(&self.failing).of.remove(tenant)),
                Err(error) => {
                    tracing::warn!(%tenant, %error, "memories of a tenant are not read for now");
                    locked(&self.failing).of.insert(tenant.clone(), error.to_string());
                    first = first.or(Some(error));
                }
            }
        }
        rounds.end(&round);
        Ok(first)
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

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
