//! Data subjects on the governed path: whom a call's arguments name, and how many a run may be
//! about.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::path::{Governor, Refusal};
use crate::digest::Digest;
use crate::id::{TenantId, ToolId};
use crate::label::Label;
use crate::memory::MemoryStore;
use crate::model::ToolRequest;
use crate::run::{RunLog, Stage};
use crate::tool::{ContractHash, Manifest};

/// The code of an output, or of a call's arguments, about too many data subjects.
pub(super) const CROWDED: &str = "limit.subjects";

impl Governor {
    /// Has what names a data subject in arguments make the run about it, under the name that
    /// this memory's labels have for it.
    #[must_use]
    pub fn with_memory(mut self, memory: Arc<dyn MemoryStore>) -> Self {
        self.memory = Some(memory);
        self
    }

    /// Whom the arguments of a call that a model wants, as it wrote them, name where the manifest
    /// says that they do: that of the contract which the run has the tool under.
    pub(super) fn named(
        &self,
        tenant: &TenantId,
        contracts: &BTreeMap<ToolId, ContractHash>,
        call: &ToolRequest,
    ) -> BTreeSet<Digest> {
        let Ok(id) = ToolId::new(call.name.as_str()) else { return BTreeSet::new() };
        let tool = match contracts.get(&id) {
            Some(contract) => self.registry.known(tenant, &id, contract),
            None => self.registry.resolve(tenant, &id),
        };
        tool.map_or_else(BTreeSet::new, |tool| self.named_as_written(tenant, &tool.manifest, &call.arguments))
    }

    /// Whom arguments name, as they are written.
    pub fn named_as_written(&self, tenant: &TenantId, manifest: &Manifest, arguments: &str) -> BTreeSet<Digest> {
        let arguments = serde_json::from_str(arguments);
        arguments.map_or_else(|_| BTreeSet::new(), |arguments| self.named_in(tenant, manifest, &arguments))
    }

    pub(super) fn named_in(&self, tenant: &TenantId, manifest: &Manifest, arguments: &Value) -> BTreeSet<Digest> {
        let Some(memory) = &self.memory else { return BTreeSet::new() };
        manifest.subjects_in(arguments).map(|name| memory.subject(tenant, name)).collect()
    }

    /// Checks that a call, whose arguments a person may have edited, does not make a run about more
    /// data subjects than a label names: no result could be given to it any more.
    pub(super) fn not_crowded(own: &Label, wanted: &Label) -> Result<(), Refusal> {
        match wanted.check_subjects() {
            Err(error) if !wanted.subjects.is_subset(&own.subjects) => {
                let why = format!("its arguments name other data subjects than the run's: {}", error.message());
                Err(Refusal::of(Stage::Bounds, CROWDED, vec![why]))
            }
            _ => Ok(()),
        }
    }

    /// Why a run may not be given what is about that many more data subjects; its label says
    /// no more then than the run's own does. What adds none may always be given.
    pub(super) fn crowded(log: &RunLog, label: &mut Label) -> Option<String> {
        let own = &log.state.label;
        if label.subjects.is_subset(&own.subjects) {
            return None;
        }
        let mut joined = own.clone();
        joined.join(label);
        let error = joined.check_subjects().err()?;
        label.subjects.clone_from(&own.subjects);
        Some(format!("what it gave is kept from the run: {}", error.message()))
    }
}
