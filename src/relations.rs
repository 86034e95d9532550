//! What takes relations from the texts of memories: who reads, and the work behind it.

mod agent;

use std::sync::Arc;
use std::time::Duration;

use l9_core::id::TenantId;
use l9_core::kernel::Engine;
use l9_core::time::Clock;
use l9_core::{Error, Result};
pub use l9_memory::relations::Progress;
use l9_memory::relations::{Readable, Reader, Rules, Worker};
use serde::{Deserialize, Serialize};

/// Who reads memories for what they state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Nobody.
    #[default]
    None,
    /// Rules for English sentences, without a model.
    Rules,
    /// An agent, by runs of its own.
    Agent,
}

/// What may be set of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Who reads.
    pub relations: Kind,
    /// Which agent.
    pub agent: Option<String>,
}

/// The work of reading memories for what they state: nothing without a reader.
#[derive(Debug)]
pub struct Relations {
    worker: Option<Arc<Worker>>,
}

impl Relations {
    pub(crate) fn new(
        settings: &Settings,
        memory: &Arc<dyn Readable>,
        engine: &Engine,
        clock: &Arc<dyn Clock>,
        owner: &str,
    ) -> Result<Self> {
        let reader: Arc<dyn Reader> = match settings.relations {
            Kind::None => return Ok(Self { worker: None }),
            Kind::Rules => Arc::new(Rules),
            Kind::Agent => {
                let agent = settings.agent.as_ref().ok_or_else(|| {
                    Error::invalid("no agent reads memories for relations: name one in memory.relations_agent")
                })?;
                Arc::new(agent::Agent::new(agent, engine)?)
            }
        };
        let worker = Worker::new(Arc::clone(memory), reader, Arc::clone(clock), owner);
        Ok(Self { worker: Some(Arc::new(worker)) })
    }

    /// How far memories are read, as a viewer of one tenant may know it; `None` if nobody reads
    /// them, and `Some(None)` if it could not be counted within a time and never was before.
    pub async fn status(&self, viewer: &TenantId, within: Duration) -> Option<Option<Progress>> {
        Some(self.worker.as_ref()?.status(viewer, within).await)
    }

    /// What does the work.
    pub(crate) fn worker(&self) -> Option<Arc<Worker>> {
        self.worker.clone()
    }
}
