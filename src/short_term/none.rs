//! A build without Redis: every memory is where the runs are.

use std::sync::Arc;

use l9_core::Result;
use l9_core::entropy::Entropy;
use l9_core::memory::MemoryStore;
use l9_core::run::HintWire;
use l9_core::time::Clock;
use l9_core::vault::Vault;
use l9_memory::embed::{Asking, Embeddable};
use secrecy::SecretString;

use crate::settings::Settings;

/// No server.
#[derive(Debug, Clone)]
pub(crate) struct ShortTerm;

impl ShortTerm {
    pub(crate) fn passwords(_: &Settings) -> Vec<SecretString> {
        Vec::new()
    }

    pub(crate) fn open(
        _: &Settings,
        memory: Arc<dyn MemoryStore>,
        _: &Arc<dyn Clock>,
        _: &Arc<dyn Entropy>,
        _: &Arc<dyn Vault>,
        _: Option<&Arc<Asking>>,
    ) -> Result<(Arc<dyn MemoryStore>, Self)> {
        Ok((memory, Self))
    }

    pub(crate) fn embeddable(&self) -> Option<&Arc<dyn Embeddable>> {
        None
    }

    pub(crate) fn wire(&self, _: &dyn Vault) -> Option<Arc<dyn HintWire>> {
        None
    }

    #[expect(clippy::unused_async, reason = "the other build asks a server")]
    pub(crate) async fn health(&self) -> Option<Result<String>> {
        None
    }
}
