//! What of the arguments of calls the journal shows: as much as the tools' manifests say in
//! `audit.args`. The arguments themselves are sealed beside it, for whoever goes on with the run.

use serde::Deserialize as _;
use serde_json::Value;

use super::path::Governor;
use super::resolve::pinned;
use crate::ErrorKind;
use crate::flow::{Flow, Judged};
use crate::id::{TenantId, ToolId};
use crate::json;
use crate::model::{ModelResponse, ToolRequest};
use crate::run::{RunCreated, Wanted};
use crate::tool::{AuditDetail, ContractHash, Manifest};

/// What stands for arguments of which nothing is shown.
const WITHHELD: &str = "[withheld]";

/// What is told of arguments that are no good and that nothing is shown of.
pub(super) const UNTOLD: &str =
    "its arguments cannot be taken; what is wrong with them is kept from the journal as they are";

/// What is known of the arguments of a call, with no more of them in it than the journal shows.
pub(super) fn judge(flow: &Flow, manifest: &Manifest, arguments: &Value) -> Judged {
    let judged = flow.judge(manifest, arguments);
    match manifest.audit.args {
        AuditDetail::Full => judged,
        AuditDetail::Redacted | AuditDetail::Hash => Judged { facts: judged.facts.without_values(), ..judged },
    }
}

impl Governor {
    /// How much of the arguments of a wanted effect is shown.
    pub(super) fn detail_of(&self, created: &RunCreated, wanted: &Wanted) -> AuditDetail {
        let Wanted::Tool { name, .. } = wanted else { return AuditDetail::Full };
        self.detail(&created.principal.tenant, name, |id| pinned(created, id))
    }

    /// How much is shown of what a tool is called with by a name. Where its manifest cannot be had
    /// any more, or for now, nobody knows what that says, and nothing is.
    fn detail<'a>(
        &self,
        tenant: &TenantId,
        name: &str,
        contract: impl FnOnce(&ToolId) -> Option<&'a ContractHash>,
    ) -> AuditDetail {
        let Ok(id) = ToolId::new(name) else { return AuditDetail::Full };
        match contract(&id) {
            Some(contract) => {
                self.registry.known(tenant, &id, contract).map_or(AuditDetail::Hash, |tool| tool.manifest.audit.args)
            }
            None => match self.registry.find(tenant, &id.into()) {
                Ok(tool) => tool.manifest.audit.args,
                Err(error) if error.kind() == ErrorKind::NotFound => AuditDetail::Full,
                Err(_) => AuditDetail::Hash,
            },
        }
    }

    /// What is shown of a model's answer, if it calls a tool of whose arguments not all is.
    pub(super) fn shown_of_answer<'a>(
        &self,
        tenant: &TenantId,
        contract: impl Fn(&ToolId) -> Option<&'a ContractHash>,
        response: &ModelResponse,
        value: &Value,
    ) -> Option<Value> {
        let detail = |call: &ToolRequest| self.detail(tenant, &call.name, &contract);
        let details: Vec<_> = response.tools.iter().map(detail).collect();
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

    /// The same of an answer that somebody gives in a model's place.
    pub(crate) fn shown_of_edit(&self, created: &RunCreated, value: &Value) -> Option<Value> {
        let response = ModelResponse::deserialize(value).ok()?;
        self.shown_of_answer(&created.principal.tenant, |id| pinned(created, id), &response, value)
    }
}
