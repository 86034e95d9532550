//! Data subjects on the governed path: whom a call's arguments name, and how many a run may be
//! about.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::path::Governor;
use crate::digest::Digest;
use crate::id::{TenantId, ToolId};
use crate::label::Label;
use crate::memory::MemoryStore;
use crate::run::RunLog;
use crate::tool::Manifest;

/// The code of an output that is about too many data subjects.
pub(super) const CROWDED: &str = "limit.subjects";

impl Governor {
    /// Has what names a data subject in arguments make the run about it, under the name that
    /// this memory's labels have for it.
    #[must_use]
    pub fn with_memory(mut self, memory: Arc<dyn MemoryStore>) -> Self {
        self.memory = Some(memory);
        self
    }

    /// Whom a call's arguments, as they are written, name where the tool's manifest says that
    /// they do.
    pub fn named(&self, tenant: &TenantId, tool: &str, arguments: &str) -> BTreeSet<Digest> {
        let tool = ToolId::new(tool).and_then(|id| self.registry.find(tenant, &id.into()));
        match (tool, serde_json::from_str(arguments)) {
            (Ok(tool), Ok(arguments)) => self.named_in(tenant, &tool.manifest, &arguments),
            _ => BTreeSet::new(),
        }
    }

    pub(super) fn named_in(&self, tenant: &TenantId, manifest: &Manifest, arguments: &Value) -> BTreeSet<Digest> {
        let Some(memory) = &self.memory else { return BTreeSet::new() };
        manifest.subjects_in(arguments).map(|name| memory.subject(tenant, name)).collect()
    }

    /// Why a run may not be given what is about that many more data subjects; its label says
    /// no more then than the run's own does.
    pub(super) fn crowded(log: &RunLog, label: &mut Label) -> Option<String> {
        let mut joined = log.state.label.clone();
        joined.join(label);
        let error = joined.check_subjects().err()?;
        label.subjects.clone_from(&log.state.label.subjects);
        Some(format!("what it gave is kept from the run: {}", error.message()))
    }
}
