//! Steps 2 to 4: the exact tool or model and its contract, the bounds of the arguments, and their
//! schema.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::path::{Governor, Refusal, Work};
use crate::ErrorKind;
use crate::agent::AgentProfile;
use crate::digest::sha256;
use crate::id::ToolId;
use crate::json::{self, Bounds};
use crate::model::{ModelName, ModelRequest};
use crate::run::{RunCreated, Stage, Subject, Wanted};
use crate::tool::{ContractHash, Tool};

impl Governor {
    /// Step 2.
    pub(super) fn resolve(&self, created: &RunCreated, wanted: &Wanted) -> Result<(Work, ContractHash), Refusal> {
        match wanted {
            Wanted::Model { model, request } => self.resolve_model(created, model, request),
            Wanted::Tool { name, .. } => {
                let tool = self.resolve_tool(created, name)?;
                let contract = tool.contract;
                Ok((Work::Tool { tool, arguments: Value::Null }, contract))
            }
        }
    }

    fn resolve_model(
        &self,
        created: &RunCreated,
        model: &ModelName,
        request: &Arc<ModelRequest>,
    ) -> Result<(Work, ContractHash), Refusal> {
        let refuse = |reason: String| Refusal::new(Stage::Resolve, "unknown_model", reason);
        let client = self
            .models
            .get(&model.provider)
            .ok_or_else(|| refuse(format!("model provider {:?} is not configured here any more", model.provider)))?;
        let digest =
            json::canonical(&**request).map(|text| sha256(&[&text])).map_err(|error| refuse(error.to_string()))?;
        let contract = ContractHash::of(model).map_err(|error| refuse(error.to_string()))?;
        let contracts = match &created.subject {
            Subject::Agent { contracts, .. } | Subject::Plan { contracts, .. } => contracts.clone(),
            Subject::Tool { .. } => BTreeMap::new(),
        };
        let (client, name, request) = (Arc::clone(client), model.clone(), Arc::clone(request));
        let work = Work::Model { client, name, request, digest, contracts };
        Ok((work, contract))
    }

    fn resolve_tool(&self, created: &RunCreated, name: &str) -> Result<Arc<Tool>, Refusal> {
        let refuse = |code, reason: String| Refusal::new(Stage::Resolve, code, reason);
        let shown: String = name.chars().take(80).collect();
        let unknown = || refuse("unknown_tool", format!("there is no tool {shown:?}: call one of those listed"));
        let id = ToolId::new(name).map_err(|_| unknown())?;
        let tenant = &created.principal.tenant;
        let found = match pinned(created, &id) {
            Some(contract) => self.registry.pinned(tenant, &id, contract),
            // A plan calls what it was checked with.
            None if created.subject.kind() == "plan" => return Err(unknown()),
            // A tool the profile does not name has no pinned contract; policy refuses it by name.
            None => self.registry.find(tenant, &id.into()),
        };
        let tool = found.map_err(|error| match error.kind() {
            ErrorKind::Denied => refuse("withheld", error.message().to_owned()),
            ErrorKind::Conflict => refuse("stale_contract", error.message().to_owned()),
            _ => unknown(),
        })?;
        let id = &tool.manifest.id;
        if tool.manifest.expires.is_some_and(|expires| expires <= self.clock.now()) {
            return Err(refuse("expired", format!("the manifest of {id} has expired: register a newer one")));
        }
        Ok(tool)
    }

    /// Step 3.
    pub(super) fn bounds(work: Work, wanted: &Wanted, amended: Option<&Value>) -> Result<Work, Refusal> {
        let (Work::Tool { tool, .. }, Wanted::Tool { arguments, .. }) = (&work, wanted) else {
            return Ok(work);
        };
        let limits = &tool.manifest.limits;
        let bounds = Bounds {
            bytes: usize::try_from(limits.input_bytes).unwrap_or(usize::MAX),
            depth: limits.depth as usize,
            ..Bounds::default()
        };
        if let Some(amended) = amended {
            return Ok(Work::Tool { tool: Arc::clone(tool), arguments: amended.clone() });
        }
        // A model that takes no arguments may write nothing at all.
        let text = if arguments.trim().is_empty() { "{}" } else { arguments };
        let arguments = json::parse(text.as_bytes(), &bounds)
            .map_err(|error| Refusal::new(Stage::Bounds, "malformed_arguments", error.to_string()))?;
        Ok(Work::Tool { tool: Arc::clone(tool), arguments })
    }

    /// Step 4.
    pub(super) fn schema(work: &Work) -> Result<(), Refusal> {
        let Work::Tool { tool, arguments } = work else { return Ok(()) };
        let reasons = tool.input.violations(arguments);
        if reasons.is_empty() { Ok(()) } else { Err(Refusal::of(Stage::Schema, "invalid_arguments", reasons)) }
    }
}

/// The contract of a tool that was pinned when the run began.
pub(super) fn pinned<'a>(created: &'a RunCreated, tool: &ToolId) -> Option<&'a ContractHash> {
    match &created.subject {
        Subject::Agent { contracts, .. } | Subject::Plan { contracts, .. } => contracts.get(tool),
        Subject::Tool { contract, .. } => Some(contract),
    }
}

pub(super) fn agent(created: &RunCreated) -> Option<&AgentProfile> {
    match &created.subject {
        Subject::Agent { profile, .. } => Some(profile),
        Subject::Tool { .. } | Subject::Plan { .. } => None,
    }
}
