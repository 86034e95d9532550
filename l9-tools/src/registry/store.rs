//! The registry: many readers, few writers, each reader over a whole snapshot.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use l9_core::id::{TenantId, ToolId};
use l9_core::tool::{ContractHash, Manifest, Tool, ToolRegistry, ToolSandbox, Validator};
use l9_core::{Error, ErrorKind, Result};
use semver::Version;
use serde::{Deserialize, Serialize};

use super::check::check;
use crate::native::NativeTool;
use crate::schema::Schema;

/// How much a registry holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Tools at once.
    pub tools: usize,
    /// Contracts remembered, so that no version ever means two things.
    pub contracts: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { tools: 2_000, contracts: 20_000 }
    }
}

/// The tools of a process. A resolved tool stays callable while the registry changes.
pub struct Registry {
    settings: Settings,
    snapshot: RwLock<Arc<Snapshot>>,
}

#[derive(Clone, Default)]
struct Snapshot {
    tools: BTreeMap<ToolId, Arc<Tool>>,
    /// Ids by what models see of them, where `/`, `.`, `-` and `_` look alike.
    looks: BTreeMap<String, ToolId>,
    contracts: BTreeMap<(ToolId, Version), ContractHash>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("tools", &self.snapshot().tools.len()).finish_non_exhaustive()
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new(Settings::default())
    }
}

impl Registry {
    /// An empty registry.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, snapshot: RwLock::default() }
    }

    /// Checks a manifest whole, compiles its schemas and keeps the tool. A newer version
    /// replaces an older one of the same id; the same contract again changes nothing.
    ///
    /// # Errors
    /// `Invalid` with every defect of the manifest, `Conflict` for another contract under
    /// the same id and version, for a version older than the registered one and for an id
    /// that looks like another tool's, `Exhausted` when the registry is full.
    pub fn register(&self, manifest: Manifest, sandbox: Arc<dyn ToolSandbox>) -> Result<Arc<Tool>> {
        check(&manifest)?;
        let input = Arc::new(Schema::compile(&manifest.input_schema)?);
        let output = match &manifest.output_schema {
            Some(schema) => Some(Arc::new(Schema::compile(schema)?) as Arc<dyn Validator>),
            None => None,
        };
        let tool = Arc::new(Tool::new(manifest, input, output, sandbox)?);
        let mut current = self.snapshot.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = Snapshot::clone(&current);
        let kept = next.admit(&tool, &self.settings)?;
        *current = Arc::new(next);
        Ok(kept)
    }

    /// Registers a tool written in Rust.
    ///
    /// # Errors
    /// As [`Registry::register`], and whatever was wrong while the tool was described.
    pub fn register_native(&self, tool: NativeTool) -> Result<Arc<Tool>> {
        let (manifest, sandbox) = tool.into_parts()?;
        self.register(manifest, sandbox)
    }

    /// Takes a tool out; calls that have resolved it go on. Its contract stays known.
    pub fn remove(&self, id: &ToolId) -> Option<Arc<Tool>> {
        let mut current = self.snapshot.write().unwrap_or_else(PoisonError::into_inner);
        if !current.tools.contains_key(id) {
            return None;
        }
        let mut next = Snapshot::clone(&current);
        let removed = next.tools.remove(id);
        next.looks.remove(&look(id));
        *current = Arc::new(next);
        removed
    }

    /// The tool of that name.
    #[must_use]
    pub fn get(&self, id: &ToolId) -> Option<Arc<Tool>> {
        self.snapshot.read().unwrap_or_else(PoisonError::into_inner).tools.get(id).cloned()
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ToolRegistry for Registry {
    fn resolve(&self, _tenant: &TenantId, id: &ToolId) -> Option<Arc<Tool>> {
        self.get(id)
    }

    fn list(&self, _tenant: &TenantId) -> Vec<Arc<Tool>> {
        self.snapshot().tools.values().cloned().collect()
    }
}

impl Snapshot {
    /// Takes the tool in, or tells which one is there already under the same contract.
    fn admit(&mut self, tool: &Arc<Tool>, settings: &Settings) -> Result<Arc<Tool>> {
        let (id, version) = (&tool.manifest.id, &tool.manifest.version);
        if let Some(same) = self.tools.get(id).filter(|there| there.contract == tool.contract) {
            return Ok(Arc::clone(same));
        }
        self.check_contract(tool)?;
        if let Some(newer) = self.tools.get(id).filter(|there| there.manifest.version > *version) {
            return Err(conflict(format!(
                "{id} {version} is older than {} which is registered: remove that one first",
                newer.manifest.version
            )));
        }
        if let Some(other) = self.looks.get(&look(id)).filter(|other| *other != id) {
            return Err(conflict(format!("{id} looks like {other} to a model: choose another name")));
        }
        let full = self.tools.len() >= settings.tools && !self.tools.contains_key(id);
        if full || self.contracts.len() >= settings.contracts {
            return Err(Error::new(
                ErrorKind::Exhausted,
                format!("the registry is full with {} tools: remove one or raise its settings", self.tools.len()),
            ));
        }
        self.contracts.insert((id.clone(), version.clone()), tool.contract);
        self.looks.insert(look(id), id.clone());
        self.tools.insert(id.clone(), Arc::clone(tool));
        Ok(Arc::clone(tool))
    }

    fn check_contract(&self, tool: &Tool) -> Result<()> {
        let (id, version) = (&tool.manifest.id, &tool.manifest.version);
        match self.contracts.get(&(id.clone(), version.clone())) {
            Some(known) if *known != tool.contract => Err(conflict(format!(
                "{id} {version} was registered with another contract: a changed manifest needs a new version"
            ))
            .with("known", known)
            .with("new", tool.contract)),
            _ => Ok(()),
        }
    }
}

fn conflict(message: String) -> Error {
    Error::new(ErrorKind::Conflict, message)
}

/// Model providers allow fewer characters in a tool's name than ids have.
fn look(id: &ToolId) -> String {
    id.as_str().replace(['/', '.', '-'], "_")
}
