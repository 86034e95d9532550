//! What finds memories by their meaning: which embedder, and the work behind it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use l9_core::memory::{Embedder, Embedding, Layer};
use l9_core::time::{Clock, SystemClock};
use l9_core::{Error, Result};
use l9_memory::embed::{Asking, Embeddable, Hashing, Local, Worker};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

/// Which embedder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Memories are found by their words.
    #[default]
    None,
    /// Words and parts of words as vectors, without a model.
    Hashing,
    /// A model in a folder, in this process.
    Local,
    /// A server that speaks `OpenAI`'s embeddings wire.
    Openai,
}

/// What may be set of an embedder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Which one.
    pub embedder: Kind,
    /// The folder of the local model.
    pub model_dir: Option<PathBuf>,
    /// Everything before `/embeddings`.
    pub base_url: String,
    /// The model of the server.
    pub model: String,
    /// How many numbers its vectors have.
    pub dimensions: usize,
    /// How long a search waits for the vector of its query, in milliseconds.
    pub query_timeout_ms: u64,
    /// The layers whose vectors lie open in the database and are searched there, by pgvector.
    pub unsealed_layers: Vec<Layer>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            embedder: Kind::None,
            model_dir: None,
            base_url: "https://api.openai.com/v1".into(),
            model: "text-embedding-3-small".into(),
            dimensions: 1536,
            query_timeout_ms: 2_000,
            unsealed_layers: Vec::new(),
        }
    }
}

impl Settings {
    /// The embedder, asked in a bounded time; nothing if none is set.
    pub(crate) fn asking(
        &self,
        key: Option<&SecretString>,
        gateway: &Gateway,
        clock: &Arc<dyn Clock>,
    ) -> Result<Option<Arc<Asking>>> {
        let embedder: Arc<dyn Embedder> = match self.embedder {
            Kind::None => return Ok(None),
            Kind::Hashing => Arc::new(Hashing::default()),
            Kind::Local => {
                let folder = self.model_dir.as_ref().ok_or_else(|| {
                    Error::invalid("the local embedder has no folder: name one of a sentence-transformers model in memory.model_dir")
                })?;
                Arc::new(Local::open(folder)?)
            }
            Kind::Openai => self.openai(key, gateway, clock)?,
        };
        self.asked(embedder, clock).map(Some)
    }

    /// Which embedder there would be, in words; nothing if none is set. A server is not asked.
    ///
    /// # Errors
    /// `Invalid` or `NotFound` for one that cannot be used.
    pub fn describe(&self, key: Option<&SecretString>) -> Result<Option<String>> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let asking = self.asking(key, &Gateway::default(), &clock)?;
        let said = |asking: &Arc<Asking>| {
            let name = asking.embedder().space().name().to_owned();
            match self.embedder {
                Kind::Openai => format!("{name} at {} (not asked)", self.base_url),
                _ => format!("{name}, in this process"),
            }
        };
        Ok(asking.as_ref().map(said))
    }

    /// An embedder, asked in a bounded time.
    pub(crate) fn asked(&self, embedder: Arc<dyn Embedder>, clock: &Arc<dyn Clock>) -> Result<Arc<Asking>> {
        let within = Duration::from_millis(self.query_timeout_ms);
        Asking::new(embedder, Arc::clone(clock), within).map(Arc::new)
    }

    #[cfg(feature = "models")]
    fn openai(
        &self,
        key: Option<&SecretString>,
        gateway: &Gateway,
        clock: &Arc<dyn Clock>,
    ) -> Result<Arc<dyn Embedder>> {
        use l9_tools::models::openai::{Embeddings, EmbeddingsSettings};

        let settings = EmbeddingsSettings {
            base_url: self.base_url.clone(),
            model: self.model.clone(),
            dimensions: self.dimensions,
        };
        Ok(Arc::new(Embeddings::new(settings, key, gateway, Arc::clone(clock))?))
    }

    #[cfg(not(feature = "models"))]
    fn openai(&self, _: Option<&SecretString>, (): &Gateway, _: &Arc<dyn Clock>) -> Result<Arc<dyn Embedder>> {
        Err(Error::invalid(
            "this build asks no servers for vectors: turn the feature `models` on, or use another embedder",
        ))
    }
}

/// What requests of embedders are sent through.
#[cfg(feature = "models")]
pub(crate) type Gateway = l9_tools::egress::Gateway;
#[cfg(not(feature = "models"))]
pub(crate) type Gateway = ();

/// The work of giving memories vectors: nothing without an embedder.
#[derive(Debug)]
pub struct Embeddings {
    workers: Vec<Arc<Worker>>,
}

impl Embeddings {
    pub(crate) fn new<'a>(
        memories: impl IntoIterator<Item = &'a Arc<dyn Embeddable>>,
        asking: Option<&Arc<Asking>>,
        clock: &Arc<dyn Clock>,
        owner: &str,
    ) -> Result<Self> {
        let worker = |(memory, asking): (&Arc<dyn Embeddable>, &Arc<Asking>)| {
            Worker::new(Arc::clone(memory), Arc::clone(asking.embedder()), Arc::clone(clock), owner).map(Arc::new)
        };
        let each = memories.into_iter().filter_map(|memory| Some((memory, asking?)));
        Ok(Self { workers: each.map(worker).collect::<Result<_>>()? })
    }

    /// How far memories have vectors; `None` without an embedder.
    ///
    /// # Errors
    /// `Unavailable` from the backend.
    pub async fn status(&self) -> Result<Option<Embedding>> {
        let mut sum: Option<Embedding> = None;
        for worker in &self.workers {
            let one = worker.status().await?;
            sum = Some(match sum {
                None => one,
                Some(sum) => Embedding {
                    embedded: sum.embedded + one.embedded,
                    pending: sum.pending + one.pending,
                    failing: sum.failing.or(one.failing),
                    ..sum
                },
            });
        }
        if let Some(sum) = &sum {
            metrics::gauge!("l9_embedding_pending").set(sum.pending as f64);
        }
        Ok(sum)
    }

    /// Gives every memory its vector now, unless another process does already.
    ///
    /// # Errors
    /// From the embedder or the backend; what was done before is kept.
    pub async fn finish(&self) -> Result<()> {
        for worker in &self.workers {
            worker.finish().await?;
        }
        Ok(())
    }

    /// What does the work, each by itself.
    pub(crate) fn workers(&self) -> impl Iterator<Item = Arc<Worker>> + '_ {
        self.workers.iter().cloned()
    }
}
