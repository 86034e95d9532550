//! What of the arguments of calls the journal shows: as much as the tools' manifests say in
//! `audit.args`. The arguments themselves are sealed beside it, for whoever goes on with the run.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::path::Governor;
use super::resolve::pinned;
use crate::id::{TenantId, ToolId};
use crate::json;
use crate::model::ModelResponse;
use crate::run::{RunCreated, Wanted};
use crate::tool::{AuditDetail, ContractHash, Tool};

/// What stands for arguments of which nothing is shown.
const WITHHELD: &str = "[withheld]";

impl Governor {
    /// The tool that a model means by a name: that of the contract which the run has it under.
    pub(super) fn meant(&self, tenant: &TenantId, contract: Option<&ContractHash>, id: &ToolId) -> Option<Arc<Tool>> {
        match contract {
            Some(contract) => self.registry.known(tenant, id, contract),
            None => self.registry.resolve(tenant, id),
        }
    }

    /// How much of the arguments of a wanted effect is shown.
    pub(super) fn detail_of(&self, created: &RunCreated, wanted: &Wanted) -> AuditDetail {
        let Wanted::Tool { name, .. } = wanted else { return AuditDetail::Full };
        let Ok(id) = ToolId::new(name.as_str()) else { return AuditDetail::Full };
        let tool = self.meant(&created.principal.tenant, pinned(created, &id), &id);
        tool.map_or(AuditDetail::Full, |tool| tool.manifest.audit.args)
    }

    /// What is shown of a model's answer, if it calls a tool of whose arguments not all is.
    pub(super) fn shown_of_answer(
        &self,
        tenant: &TenantId,
        contracts: &BTreeMap<ToolId, ContractHash>,
        response: &ModelResponse,
        value: &Value,
    ) -> Option<Value> {
        let detail = |name: &str| {
            let id = ToolId::new(name).ok()?;
            Some(self.meant(tenant, contracts.get(&id), &id)?.manifest.audit.args)
        };
        let details: Vec<_> =
            response.tools.iter().map(|call| detail(&call.name).unwrap_or(AuditDetail::Full)).collect();
        if details.iter().all(|detail| *detail == AuditDetail::Full) {
            return None;
        }
        let mut shown = value.clone();
        for (index, (detail, call)) in details.into_iter().zip(&response.tools).enumerate() {
            match detail {
                AuditDetail::Full => {}
                AuditDetail::Redacted => {
                    let arguments = Value::String(call.arguments.clone());
                    shown["tools"][index]["arguments"] = json::shape(&arguments).to_string().into();
                }
                AuditDetail::Hash => shown["tools"][index]["arguments"] = WITHHELD.into(),
            }
        }
        Some(shown)
    }
}
