//! The registry: many readers, few writers, each reader over a whole snapshot.
//!
//! What is there is known here; whether it may be called is what the changes of tools say
//! ([`Standings`]), which this process learns and never decides.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use l9_core::id::{TenantId, ToolId};
use l9_core::tool::{
    ContractHash, Manifest, Runtime, Standings, Tool, ToolName, ToolRegistry, ToolSandbox, ToolState, Validator,
};
use l9_core::{Error, ErrorKind, Result};
use semver::Version;
use serde::{Deserialize, Serialize};

use super::check::check;
use super::input::Input;
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

/// Where a tool comes from, which says who lets a new version of it be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// It is compiled into this program, and trusted as that is.
    Program,
    /// An operator put its manifest in place.
    Operator,
    /// A server lists it, and may list another one tomorrow.
    Remote,
}

/// The tools of a process. A resolved tool stays callable while the registry changes.
pub struct Registry {
    settings: Settings,
    snapshot: RwLock<Arc<Snapshot>>,
}

#[derive(Clone, Default)]
struct Snapshot {
    shelves: BTreeMap<ToolId, Shelf>,
    /// Ids by what models see of them, where `/`, `.`, `-` and `_` look alike.
    looks: BTreeMap<String, ToolId>,
    contracts: BTreeMap<(ToolId, Version), ContractHash>,
    standings: Arc<Standings>,
    /// What each MCP server that was asked lists now.
    listed: BTreeMap<String, BTreeMap<ToolId, Version>>,
}

/// The versions of one tool.
#[derive(Clone)]
struct Shelf {
    source: Source,
    versions: BTreeMap<Version, Arc<Tool>>,
}

/// One version of a tool as it stands.
#[derive(Debug, Clone)]
pub struct Shelved {
    /// The tool.
    pub tool: Arc<Tool>,
    /// Where it comes from.
    pub source: Source,
    /// Whether the bare id means this version.
    pub in_use: bool,
    /// Whether it may be called.
    pub state: ToolState,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("tools", &self.snapshot().shelves.len()).finish_non_exhaustive()
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

    /// Registers a tool that is compiled into this program; as [`Registry::offer`].
    ///
    /// # Errors
    /// As [`Registry::offer`].
    pub fn register(&self, manifest: Manifest, sandbox: Arc<dyn ToolSandbox>) -> Result<Arc<Tool>> {
        self.offer(manifest, sandbox, Source::Program)
    }

    /// Checks a manifest whole, compiles its schemas and keeps the tool beside the other
    /// versions of its id; the same contract again changes nothing.
    ///
    /// # Errors
    /// `Invalid` with every defect of the manifest, `Conflict` for another contract under
    /// the same id and version, for an id that comes from elsewhere or looks like another
    /// tool's, `Exhausted` when the registry is full.
    pub fn offer(&self, manifest: Manifest, sandbox: Arc<dyn ToolSandbox>, source: Source) -> Result<Arc<Tool>> {
        check(&manifest)?;
        let input = Arc::new(Input::compile(&manifest)?);
        let output = match &manifest.output_schema {
            Some(schema) => Some(Arc::new(Schema::compile(schema)?) as Arc<dyn Validator>),
            None => None,
        };
        let tool = Arc::new(Tool::new(manifest, input, output, sandbox)?);
        self.change(|next| next.admit(&tool, source, &self.settings))
    }

    /// Whether a manifest could be offered from that source, as far as its names go.
    ///
    /// # Errors
    /// As [`Registry::offer`].
    pub fn may_offer(&self, manifest: &Manifest, source: Source) -> Result<()> {
        check(manifest)?;
        self.snapshot().check_names(manifest, manifest.contract_hash()?, source)
    }

    /// Registers a tool written in Rust.
    ///
    /// # Errors
    /// As [`Registry::offer`], and whatever was wrong while the tool was described.
    pub fn register_native(&self, tool: NativeTool) -> Result<Arc<Tool>> {
        let (manifest, sandbox) = tool.into_parts()?;
        self.register(manifest, sandbox)
    }

    /// Takes every version of a tool out, or only one; calls that have resolved it go on.
    /// What a version means stays known.
    pub fn remove(&self, name: &ToolName) -> bool {
        self.change(|next| Ok(next.remove(name))).unwrap_or(false)
    }

    /// Learns what an MCP server lists now: of its tools nothing else may be called.
    pub fn listed(&self, server: &str, tools: BTreeMap<ToolId, Version>) {
        let learned = self.change(|next| {
            next.listed.insert(server.to_owned(), tools);
            Ok(())
        });
        debug_assert!(learned.is_ok(), "learning refuses nothing");
    }

    /// Learns where every tool stands.
    pub fn learn(&self, standings: Standings) {
        let learned = self.change(|next| {
            next.standings = Arc::new(standings);
            Ok(())
        });
        debug_assert!(learned.is_ok(), "learning refuses nothing");
    }

    /// Where every tool stands, as this process knows it.
    #[must_use]
    pub fn standings(&self) -> Arc<Standings> {
        Arc::clone(&self.snapshot().standings)
    }

    /// The tool of that name, in the version in use.
    #[must_use]
    pub fn get(&self, id: &ToolId) -> Option<Arc<Tool>> {
        self.resolve(&TenantId::default_tenant(), id)
    }

    /// Every version of every tool that is here, as it stands.
    #[must_use]
    pub fn shelved(&self) -> Vec<Shelved> {
        let snapshot = self.snapshot();
        let shelves = snapshot.shelves.iter();
        shelves
            .flat_map(|(id, shelf)| {
                let current = snapshot.current(id, shelf).ok();
                let snapshot = &snapshot;
                shelf.versions.values().map(move |tool| Shelved {
                    tool: Arc::clone(tool),
                    source: shelf.source,
                    in_use: current == Some(&tool.manifest.version),
                    state: snapshot.state(tool, shelf.source),
                })
            })
            .collect()
    }

    fn change<T>(&self, change: impl FnOnce(&mut Snapshot) -> Result<T>) -> Result<T> {
        let mut current = self.snapshot.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = Snapshot::clone(&current);
        let changed = change(&mut next)?;
        *current = Arc::new(next);
        Ok(changed)
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ToolRegistry for Registry {
    fn find(&self, _tenant: &TenantId, name: &ToolName) -> Result<Arc<Tool>> {
        let snapshot = self.snapshot();
        let missing = || Error::not_found(format!("there is no tool {name}: `tools list` shows those there are"));
        let shelf = snapshot.shelves.get(&name.id).ok_or_else(missing)?;
        let version = match &name.version {
            Some(version) => version,
            None => snapshot.current(&name.id, shelf)?,
        };
        let tool = shelf.versions.get(version).ok_or_else(missing)?;
        snapshot.allow(tool, shelf.source)
    }

    fn pinned(&self, _tenant: &TenantId, id: &ToolId, contract: &ContractHash) -> Result<Arc<Tool>> {
        let snapshot = self.snapshot();
        let missing = || Error::not_found(format!("there is no tool {id}: `tools list` shows those there are"));
        let shelf = snapshot.shelves.get(id).ok_or_else(missing)?;
        let tool = shelf.of(contract).ok_or_else(|| {
            conflict(format!("the contract of {id} changed since the run began: start a new run under the new one"))
        })?;
        snapshot.allow(tool, shelf.source)
    }

    fn known(&self, _tenant: &TenantId, id: &ToolId, contract: &ContractHash) -> Option<Arc<Tool>> {
        self.snapshot().shelves.get(id)?.of(contract).cloned()
    }

    fn list(&self, tenant: &TenantId) -> Vec<Arc<Tool>> {
        self.snapshot().shelves.keys().filter_map(|id| self.resolve(tenant, id)).collect()
    }
}

impl Shelf {
    fn of(&self, contract: &ContractHash) -> Option<&Arc<Tool>> {
        self.versions.values().find(|tool| tool.contract == *contract)
    }
}

impl Snapshot {
    /// The version that the bare id means. What is compiled in is what the program was
    /// built with; of everything else the changes of tools say which version is in use, and
    /// if that one is not here nothing takes its place.
    fn current<'a>(&'a self, id: &ToolId, shelf: &'a Shelf) -> Result<&'a Version> {
        let newest = || shelf.versions.keys().next_back();
        let current = match self.standings.head(id) {
            Some(head) if shelf.source != Source::Program => shelf.versions.get_key_value(head).map(|(head, _)| head),
            _ => newest(),
        };
        current.ok_or_else(|| {
            let head = self.standings.head(id).map(ToString::to_string).unwrap_or_default();
            let here: Vec<String> = shelf
                .versions
                .values()
                .map(|tool| self.withheld(tool, shelf.source).unwrap_or_else(|| format!("{id}@{} is accepted", tool.manifest.version)))
                .collect();
            denied(format!(
                "{id} {head} is in use and not here any more; {}: put {head} back, or let an admin `tools accept` another",
                here.join("; ")
            ))
        })
    }

    /// Why a tool may not be called; `None` if it may.
    fn withheld(&self, tool: &Tool, source: Source) -> Option<String> {
        let (id, version) = (&tool.manifest.id, &tool.manifest.version);
        if let Some(why) = self.standings.withheld(id, version, &tool.contract) {
            return Some(why);
        }
        let recorded = self.standings.entry(id, version).is_some_and(|entry| entry.contract == tool.contract);
        if source != Source::Program && !recorded {
            return Some(format!("{id} {version} was never recorded: look at the log"));
        }
        self.unlisted(&tool.manifest)
    }

    /// That a server lists another tool by now, or none, under the name of the one that was
    /// recorded. What it says there is not told: a model would read it.
    fn unlisted(&self, manifest: &Manifest) -> Option<String> {
        let (id, version) = (&manifest.id, &manifest.version);
        let Runtime::Mcp { server, .. } = &manifest.runtime else { return None };
        match self.listed.get(server)?.get(id) {
            Some(listed) if listed == version => None,
            None => Some(format!("the MCP server {server} does not list {id} any more")),
            Some(listed) => {
                let entry = self.standings.entry(id, listed);
                let why = entry.and_then(|entry| self.standings.withheld(id, listed, &entry.contract));
                let why = why.unwrap_or_else(|| format!("`tools accept {id}@{listed}` takes it again"));
                Some(format!(
                    "the MCP server {server} lists {id} otherwise than {version} is recorded: {why}; `tools inspect \
                     {id}` shows what changed"
                ))
            }
        }
    }

    fn state(&self, tool: &Tool, source: Source) -> ToolState {
        let own = self.standings.entry(&tool.manifest.id, &tool.manifest.version);
        match own.filter(|entry| entry.contract == tool.contract) {
            Some(entry) => entry.state,
            None if self.withheld(tool, source).is_some() => ToolState::Offered,
            None => ToolState::Accepted,
        }
    }

    fn allow(&self, tool: &Arc<Tool>, source: Source) -> Result<Arc<Tool>> {
        match self.withheld(tool, source) {
            None => Ok(Arc::clone(tool)),
            Some(why) => Err(denied(why)),
        }
    }

    /// Takes the tool in, or tells which one is there already under the same contract.
    fn admit(&mut self, tool: &Arc<Tool>, source: Source, settings: &Settings) -> Result<Arc<Tool>> {
        let (id, version) = (&tool.manifest.id, &tool.manifest.version);
        self.check_names(&tool.manifest, tool.contract, source)?;
        if let Some(same) = self.shelves.get(id).and_then(|shelf| shelf.versions.get(version)) {
            return Ok(Arc::clone(same));
        }
        let is_new = !self.shelves.contains_key(id);
        let full = self.contracts.len() >= settings.contracts || (is_new && self.shelves.len() >= settings.tools);
        // What servers list leaves half of the room to what operators put in place.
        let remote = || self.shelves.values().filter(|shelf| shelf.source == Source::Remote);
        let crowded = || {
            remote().map(|shelf| shelf.versions.len()).sum::<usize>() >= settings.contracts / 2
                || (is_new && remote().count() >= settings.tools / 2)
        };
        if full || (source == Source::Remote && crowded()) {
            return Err(Error::new(
                ErrorKind::Exhausted,
                format!("the registry is full with {} tools: remove one or raise its settings", self.shelves.len()),
            ));
        }
        self.contracts.insert((id.clone(), version.clone()), tool.contract);
        self.looks.insert(look(id), id.clone());
        let shelf = self.shelves.entry(id.clone()).or_insert_with(|| Shelf { source, versions: BTreeMap::new() });
        shelf.versions.insert(version.clone(), Arc::clone(tool));
        Ok(Arc::clone(tool))
    }

    fn check_names(&self, manifest: &Manifest, contract: ContractHash, source: Source) -> Result<()> {
        let (id, version) = (&manifest.id, &manifest.version);
        if let Some(known) = self.contracts.get(&(id.clone(), version.clone())).filter(|known| **known != contract) {
            return Err(conflict(format!(
                "{id} {version} was registered with another contract: a changed manifest needs a new version"
            ))
            .with("known", known)
            .with("new", contract));
        }
        if let Some(there) = self.shelves.get(id).filter(|there| there.source != source) {
            let from = match there.source {
                Source::Program => "is built into this program",
                Source::Operator => "has a manifest of its own",
                Source::Remote => "comes from a server",
            };
            return Err(conflict(format!("id: {id} {from}, and nothing takes its place: choose another id")));
        }
        match self.looks.get(&look(id)).filter(|other| *other != id) {
            Some(other) => Err(conflict(format!("id: {id} looks like {other} to a model: choose another name"))),
            None => Ok(()),
        }
    }

    fn remove(&mut self, name: &ToolName) -> bool {
        let Some(shelf) = self.shelves.get_mut(&name.id) else { return false };
        let before = shelf.versions.len();
        shelf.versions.retain(|version, _| name.version.as_ref().is_some_and(|one| one != version));
        let removed = shelf.versions.len() < before;
        if shelf.versions.is_empty() {
            self.shelves.remove(&name.id);
            self.looks.remove(&look(&name.id));
        }
        removed
    }
}

fn conflict(message: String) -> Error {
    Error::new(ErrorKind::Conflict, message)
}

fn denied(message: String) -> Error {
    Error::new(ErrorKind::Denied, message)
}

/// Model providers allow fewer characters in a tool's name than ids have.
fn look(id: &ToolId) -> String {
    id.as_str().replace(['/', '.', '-'], "_")
}
