//! A Redis server for short-term memories and for hints between nodes.

use std::sync::Arc;
use std::time::Duration;

use l9_core::Result;
use l9_core::entropy::Entropy;
use l9_core::memory::MemoryStore;
use l9_core::run::HintWire;
use l9_core::time::Clock;
use l9_core::vault::Vault;
use l9_memory::embed::{Asking, Embeddable};
use l9_memory::redis::{HintChannel, Layers, Memory, Server};
use secrecy::SecretString;

use crate::settings::Settings;

/// The server, if there is one.
#[derive(Debug, Clone)]
pub(crate) struct ShortTerm {
    server: Option<Server>,
    embeddable: Option<Arc<dyn Embeddable>>,
}

impl ShortTerm {
    /// What is to be masked of its settings.
    pub(crate) fn passwords(settings: &Settings) -> Vec<SecretString> {
        settings.redis.passwords()
    }

    /// The memory with short-term entries in the server. It is not connected to before it is
    /// needed, so that a system starts while it is away.
    pub(crate) fn open(
        settings: &Settings,
        memory: Arc<dyn MemoryStore>,
        clock: &Arc<dyn Clock>,
        entropy: &Arc<dyn Entropy>,
        vault: &Arc<dyn Vault>,
        asking: Option<&Arc<Asking>>,
    ) -> Result<(Arc<dyn MemoryStore>, Self)> {
        if settings.redis.url.is_none() {
            return Ok((memory, Self { server: None, embeddable: None }));
        }
        let server = Server::new(&settings.redis)?;
        let ttl = Duration::from_millis(settings.short_term_ttl_ms);
        let short = Memory::new(server.clone(), ttl, Arc::clone(clock), Arc::clone(entropy), Arc::clone(vault))
            .with_quota(settings.memory_quota);
        let short = match asking {
            Some(asking) => short.with_embedder(Arc::clone(asking)),
            None => short,
        };
        let embeddable = Some(short.embeddable());
        Ok((Arc::new(Layers::new(memory, short)), Self { server: Some(server), embeddable }))
    }

    /// What of short-term memories gets vectors.
    pub(crate) fn embeddable(&self) -> Option<&Arc<dyn Embeddable>> {
        self.embeddable.as_ref()
    }

    /// What carries hints to other nodes.
    pub(crate) fn wire(&self, vault: &dyn Vault) -> Option<Arc<dyn HintWire>> {
        Some(Arc::new(HintChannel::new(self.server.clone()?, vault)))
    }

    /// How the server stands, in words; `None` without one.
    pub(crate) async fn health(&self) -> Option<Result<String>> {
        let server = self.server.as_ref()?;
        let said = |used: u64| format!("{} answers and uses {} KiB", server.shown(), used >> 10);
        Some(server.ping().await.map(said))
    }
}
