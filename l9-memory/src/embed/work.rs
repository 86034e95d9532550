//! The work of giving memories their vectors, behind everything else.
//!
//! What is to be done follows from what is there: an entry without a vector of the embedder is
//! to be embedded. So nothing is queued, a process that is killed goes on where it was, and an
//! embedder that is changed begins anew. Of several processes on one database one works at a
//! time, and another takes over when it is silent.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use l9_core::id::TenantId;
use l9_core::memory::{Embedder, Embedding};
use l9_core::time::{Clock, Timestamp};
use l9_core::{Error, ErrorKind, Result};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::query::check;
use crate::vectors::{Code, Index};

/// How often it is looked whether something is new.
const POLL: Duration = Duration::from_secs(1);
/// The longest wait after a failure; it begins with [`POLL`] and doubles.
const LONGEST: Duration = Duration::from_mins(5);
/// How long the work is one process's without a sign of it.
pub(crate) const CLAIM: Duration = Duration::from_mins(1);
/// How often everything is looked over, not only what is new.
const SWEEP: Duration = Duration::from_mins(10);
/// How often progress is logged.
const TOLD: Duration = Duration::from_secs(30);
/// Positions may become visible in another order than they were given: so many are looked at
/// again.
const OVERLAP: i64 = 1024;
/// How much of a text is embedded, in bytes: models take no more of it than some thousand tokens.
const MOST: usize = 8 << 10;

/// Memories that can be given vectors. A space is named by its whole name.
#[async_trait]
pub trait Embeddable: fmt::Debug + Send + Sync {
    /// The position of the newest entry; zero before the first.
    async fn newest_entry(&self) -> Result<i64>;

    /// The tenants with entries after a position, and after which position of theirs to look.
    async fn remembering_after(&self, position: i64) -> Result<Vec<(TenantId, i64)>>;

    /// Takes the work for an owner until a minute after `now`; tells whether nobody else has it.
    async fn claim(&self, space: &str, owner: &str, now: Timestamp) -> Result<bool>;

    /// Entries after a position without a vector, in the order of their positions.
    async fn unembedded(&self, tenant: &TenantId, space: &str, after: i64, limit: usize) -> Result<Vec<Unembedded>>;

    /// Keeps vectors of entries that are still there.
    async fn keep_vectors(&self, tenant: &TenantId, space: &str, vectors: Vec<(Uuid, Code)>) -> Result<()>;

    /// How many entries have a vector, and how many have none.
    async fn embedded(&self, space: &str) -> Result<(u64, u64)>;

    /// Removes the vectors of every other space that nobody worked on since a time.
    async fn drop_others(&self, space: &str, since: Timestamp) -> Result<u64>;
}

/// An entry without a vector.
#[derive(Debug, Clone)]
pub struct Unembedded {
    pub(crate) position: i64,
    pub(crate) id: Uuid,
    pub(crate) text: String,
}

/// Gives memories their vectors.
#[derive(Debug)]
pub struct Worker {
    memory: Arc<dyn Embeddable>,
    embedder: Arc<dyn Embedder>,
    clock: Arc<dyn Clock>,
    owner: String,
    codes: Index,
    status: Mutex<Embedding>,
}

/// How far a worker has got.
#[derive(Debug, Default)]
struct Progress {
    /// Everything up to there has been looked at.
    seen: i64,
    swept: Option<Duration>,
    claimed: Option<Duration>,
    told: Option<Duration>,
}

impl Worker {
    /// A worker over memories, under a name that no other process has.
    ///
    /// # Errors
    /// `Invalid` for an embedder of more dimensions than an index takes.
    pub fn new(
        memory: Arc<dyn Embeddable>,
        embedder: Arc<dyn Embedder>,
        clock: Arc<dyn Clock>,
        owner: &str,
    ) -> Result<Self> {
        let codes = Index::new(embedder.space().dimensions())?;
        let status = Embedding { embedder: embedder.space().name().to_owned(), ..Embedding::default() };
        Ok(Self { memory, embedder, clock, owner: owner.to_owned(), codes, status: Mutex::new(status) })
    }

    /// How far memories have vectors, counted now.
    ///
    /// # Errors
    /// `Unavailable` from the backend.
    pub async fn status(&self) -> Result<Embedding> {
        let (embedded, pending) = self.memory.embedded(self.embedder.space().name()).await?;
        Ok(self.said(|status| {
            (status.embedded, status.pending) = (embedded, pending);
            status.clone()
        }))
    }

    fn said<T>(&self, say: impl FnOnce(&mut Embedding) -> T) -> T {
        say(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Works until it is told to stop. What fails is tried again, later and later.
    pub async fn run(&self, stop: CancellationToken) {
        let mut progress = Progress::default();
        let mut wait = POLL;
        while !stop.is_cancelled() {
            let done = tokio::select! {
                done = self.round(&mut progress) => done,
                () = stop.cancelled() => return,
            };
            match done {
                Ok(()) => {
                    self.said(|status| status.failing = None);
                    wait = POLL;
                }
                Err(error) => {
                    metrics::counter!("l9_embedding_failures_total").increment(1);
                    tracing::warn!(%error, again_in_ms = wait.as_millis() as u64, "memories get no vectors for now");
                    self.said(|status| status.failing = Some(error.to_string()));
                    wait = (wait * 2).min(LONGEST);
                }
            }
            tokio::select! {
                () = self.clock.sleep(wait) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Embeds everything that has no vector yet, if nobody else does.
    ///
    /// # Errors
    /// From the embedder or the backend; what was done before is kept.
    pub async fn finish(&self) -> Result<()> {
        self.round(&mut Progress::default()).await
    }

    async fn round(&self, progress: &mut Progress) -> Result<()> {
        let newest = self.memory.newest_entry().await?;
        let now = self.clock.monotonic();
        let sweeps = progress.swept.is_none_or(|swept| now.saturating_sub(swept) >= SWEEP);
        if newest <= progress.seen && !sweeps || !self.claims(progress).await? {
            return Ok(());
        }
        let after = if sweeps { 0 } else { (progress.seen - OVERLAP).max(0) };
        for (tenant, after) in self.memory.remembering_after(after).await? {
            if !self.embed_tenant(&tenant, after, progress).await? {
                return Ok(());
            }
        }
        progress.seen = newest;
        if sweeps {
            progress.swept = Some(now);
            let since = self.clock.now().before(SWEEP);
            self.memory.drop_others(self.embedder.space().name(), since).await?;
        }
        if progress.told.take().is_some() {
            let Embedding { embedder, embedded, .. } = self.status().await?;
            tracing::info!(%embedder, embedded, "every memory has its vector");
        }
        Ok(())
    }

    /// Whether the work is this process's, for a while.
    async fn claims(&self, progress: &mut Progress) -> Result<bool> {
        let now = self.clock.monotonic();
        if progress.claimed.is_some_and(|claimed| now.saturating_sub(claimed) < CLAIM / 3) {
            return Ok(true);
        }
        let is_ours = self.memory.claim(self.embedder.space().name(), &self.owner, self.clock.now()).await?;
        progress.claimed = is_ours.then_some(now);
        Ok(is_ours)
    }

    /// Tells whether it got to the end: not if another process took the work over.
    async fn embed_tenant(&self, tenant: &TenantId, mut after: i64, progress: &mut Progress) -> Result<bool> {
        let space = self.embedder.space().name();
        loop {
            let entries = self.memory.unembedded(tenant, space, after, self.embedder.batch().max(1)).await?;
            let Some(last) = entries.last() else { return Ok(true) };
            after = last.position;
            if !self.claims(progress).await? {
                return Ok(false);
            }
            let vectors = self.embed(&entries).await?;
            metrics::counter!("l9_embedding_vectors_total").increment(vectors.len() as u64);
            self.memory.keep_vectors(tenant, space, vectors).await?;
            self.tell(progress).await?;
        }
    }

    async fn tell(&self, progress: &mut Progress) -> Result<()> {
        let now = self.clock.monotonic();
        if progress.told.is_none_or(|told| now.saturating_sub(told) >= TOLD) {
            progress.told = Some(now);
            let Embedding { embedder, embedded, pending, .. } = self.status().await?;
            tracing::info!(%embedder, embedded, pending, "memories get vectors");
        }
        Ok(())
    }

    /// The vectors of a batch. If a batch is refused, its texts are given one by one, and those
    /// that are refused alone are left without; if all are, it is not the texts that are wrong.
    async fn embed(&self, entries: &[Unembedded]) -> Result<Vec<(Uuid, Code)>> {
        let texts: Vec<&str> = entries.iter().map(|entry| cut(&entry.text)).collect();
        match self.vectors(&texts).await {
            Ok(codes) => return Ok(entries.iter().map(|entry| entry.id).zip(codes).collect()),
            Err(error) if error.kind() != ErrorKind::Invalid => return Err(error),
            Err(_) => {}
        }
        let (mut embedded, mut refusal) = (Vec::new(), None);
        for (entry, text) in entries.iter().zip(texts) {
            match self.vectors(&[text]).await {
                Ok(codes) => embedded.extend(codes.into_iter().map(|code| (entry.id, code))),
                Err(error) if error.kind() == ErrorKind::Invalid => {
                    tracing::warn!(memory = %entry.id, %error, "a memory is left without a vector");
                    refusal = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        match refusal {
            Some(refusal) if embedded.is_empty() && entries.len() > 1 => Err(refusal),
            _ => Ok(embedded),
        }
    }

    async fn vectors(&self, texts: &[&str]) -> Result<Vec<Code>> {
        let vectors = self.embedder.embed(texts).await?;
        if vectors.len() != texts.len() {
            let (given, asked) = (vectors.len(), texts.len());
            return Err(Error::unavailable(format!("the embedder gave {given} vectors for {asked} texts")));
        }
        let code = |vector: &Vec<f32>| {
            check(vector, self.embedder.space().dimensions())?;
            self.codes.encode(vector)
        };
        vectors.iter().map(code).collect()
    }
}

/// As much of a text as is embedded.
pub(super) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MOST)]
}
