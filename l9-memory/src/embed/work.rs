//! The work of giving memories their vectors, behind everything else.
//!
//! An entry without a vector of the embedder is to be embedded, so an embedder that is changed
//! begins anew.

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
use crate::rounds::{Claimable, Rounds, SWEEP};
use crate::vectors::{Code, Index};

/// How often progress is logged.
const TOLD: Duration = Duration::from_secs(30);
/// How much of a text is embedded, in bytes: models take no more of it than some thousand tokens.
const MOST: usize = 8 << 10;

/// Memories that can be given vectors. A space is named by its whole name.
#[async_trait]
pub trait Embeddable: Claimable {
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

    fn rounds(&self) -> Rounds<'_> {
        Rounds::new(&*self.memory, &*self.clock, self.embedder.space().name(), &self.owner)
    }

    /// Works until it is told to stop. What fails is tried again, later and later.
    pub async fn run(&self, stop: CancellationToken) {
        let (mut rounds, mut told) = (self.rounds(), None);
        while !stop.is_cancelled() {
            let done = tokio::select! {
                done = self.round(&mut rounds, &mut told) => done,
                () = stop.cancelled() => return,
            };
            let again_in_ms = rounds.wait(done.is_err()).as_millis() as u64;
            if let Err(error) = &done {
                metrics::counter!("l9_embedding_failures_total").increment(1);
                tracing::warn!(%error, again_in_ms, "memories get no vectors for now");
            }
            self.said(|status| status.failing = done.err().map(|error| error.to_string()));
            rounds.pause(&stop).await;
        }
    }

    /// Embeds everything that has no vector yet, if nobody else does.
    ///
    /// # Errors
    /// From the embedder or the backend; what was done before is kept.
    pub async fn finish(&self) -> Result<()> {
        self.round(&mut self.rounds(), &mut None).await
    }

    async fn round(&self, rounds: &mut Rounds<'_>, told: &mut Option<Duration>) -> Result<()> {
        let Some(round) = rounds.next().await? else { return Ok(()) };
        for (tenant, after) in &round.tenants {
            if !self.embed_tenant(tenant, *after, rounds, told).await? {
                return Ok(());
            }
        }
        if rounds.end(&round) {
            let since = self.clock.now().before(SWEEP);
            self.memory.drop_others(self.embedder.space().name(), since).await?;
        }
        if told.take().is_some() {
            let Embedding { embedder, embedded, .. } = self.status().await?;
            tracing::info!(%embedder, embedded, "every memory has its vector");
        }
        Ok(())
    }

    /// Tells whether it got to the end: not if another process took the work over.
    async fn embed_tenant(
        &self,
        tenant: &TenantId,
        mut after: i64,
        rounds: &mut Rounds<'_>,
        told: &mut Option<Duration>,
    ) -> Result<bool> {
        let space = self.embedder.space().name();
        loop {
            let entries = self.memory.unembedded(tenant, space, after, self.embedder.batch().max(1)).await?;
            let Some(last) = entries.last() else { return Ok(true) };
            after = last.position;
            if !rounds.claims().await? {
                return Ok(false);
            }
            let vectors = self.embed(&entries).await?;
            metrics::counter!("l9_embedding_vectors_total").increment(vectors.len() as u64);
            self.memory.keep_vectors(tenant, space, vectors).await?;
            self.tell(told).await?;
        }
    }

    async fn tell(&self, told: &mut Option<Duration>) -> Result<()> {
        let now = self.clock.monotonic();
        if told.is_none_or(|told| now.saturating_sub(told) >= TOLD) {
            *told = Some(now);
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
