//! The tools of a running system: what arrives is recorded and offered, what others decided
//! is learned, and the folder of manifests is looked at again and again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use l9_core::time::Clock;
use l9_core::tool::{
    Cause, Manifest, Order, Runtime as ToolRuntime, Standings, Tool, ToolChange, ToolLedger, ToolName, ToolSandbox,
    ToolState,
};
use l9_core::vault::Vault;
use l9_core::{Error, ErrorKind, Result};
use l9_tools::registry::{Registry, Source, TrustedKeys, in_file};
use tokio_util::sync::CancellationToken;

use super::kinds::Kinds;
use super::scan::{Declared, Mark, scan};
use super::settings::Settings;
use crate::audit::Audit;
use crate::servers::Servers;

/// How often the store is asked what was decided.
const EVERY: Duration = Duration::from_millis(500);
/// Changes read at a time.
const PAGE: usize = 256;
/// How often a decision is made again because somebody else decided meanwhile.
const TRIES: u32 = 32;

/// A tool that is there now.
#[derive(Debug)]
pub struct Arrival {
    /// What it says of itself.
    pub manifest: Manifest,
    /// What runs it.
    pub sandbox: Arc<dyn ToolSandbox>,
    /// Where it comes from.
    pub source: Source,
    /// The name of the trusted key that signed it, if one did.
    pub signer: Option<String>,
    /// Where exactly, in words for people.
    pub from: String,
}

/// The tools of a running system.
#[derive(Debug)]
pub struct Tools {
    pub(super) registry: Arc<Registry>,
    ledger: Arc<dyn ToolLedger>,
    vault: Arc<dyn Vault>,
    pub(super) clock: Arc<dyn Clock>,
    kinds: Kinds,
    pub(super) servers: Servers,
    settings: Settings,
    keys: TrustedKeys,
    folder: Option<PathBuf>,
    /// What was read before a change must not be learned after it.
    learning: tokio::sync::Mutex<()>,
    looked: tokio::sync::Mutex<BTreeMap<PathBuf, Seen>>,
    faults: Mutex<BTreeMap<String, String>>,
}

/// A file of the folder as it was last seen.
#[derive(Debug, Clone)]
struct Seen {
    mark: Mark,
    /// What came of it so far: versions of one tool.
    gave: Vec<ToolName>,
}

impl Tools {
    pub(crate) fn new(
        registry: Arc<Registry>,
        (ledger, vault): (Arc<dyn ToolLedger>, Arc<dyn Vault>),
        clock: Arc<dyn Clock>,
        kinds: Kinds,
        settings: &crate::Settings,
    ) -> Result<Arc<Self>> {
        let keys = TrustedKeys::parse(&settings.tools.trusted_keys)?;
        Ok(Arc::new_cyclic(|tools| Self {
            registry,
            ledger,
            vault,
            servers: Servers::new(settings, &kinds, tools),
            clock,
            kinds,
            settings: settings.tools.clone(),
            keys,
            folder: settings.tools_dir.clone(),
            learning: tokio::sync::Mutex::default(),
            looked: tokio::sync::Mutex::default(),
            faults: Mutex::default(),
        }))
    }

    /// The MCP servers.
    pub(crate) fn servers(&self) -> &Servers {
        &self.servers
    }

    /// Connects to the MCP servers of which no tool is known yet, or not every one as the
    /// settings have it by now.
    pub(crate) async fn meet_servers(&self) {
        if self.servers.names().next().is_none() {
            return;
        }
        let in_use = self.registry.shelved().into_iter().filter(|shelved| shelved.in_use);
        let in_use: Vec<Arc<Tool>> = in_use.map(|shelved| shelved.tool).collect();
        self.servers.meet(&in_use).await;
    }

    /// What could not be used, by where it came from: what was there before stays.
    #[must_use]
    pub fn faults(&self) -> BTreeMap<String, String> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Learns what was decided since the last time, by whichever process.
    ///
    /// # Errors
    /// From the store, and `Corrupt` for changes that no process may have written.
    pub async fn learn(&self) -> Result<()> {
        let _learning = self.learning.lock().await;
        let known = self.registry.standings();
        let mut news: Option<Standings> = None;
        loop {
            let after = news.as_ref().unwrap_or(&known).position();
            let page = self.ledger.changes(after, PAGE).await?;
            if page.is_empty() {
                break;
            }
            let standings = news.get_or_insert_with(|| Standings::clone(&known));
            for stored in &page {
                let change = ToolChange::open(&*self.vault, stored)?;
                if let Some(manifest) = &change.order.manifest {
                    self.place(manifest, &change.order).await;
                }
                standings.apply(stored.position, change)?;
            }
        }
        if let Some(standings) = news {
            self.registry.learn(standings);
        }
        Ok(())
    }

    /// Offers a tool whose manifest only the changes of tools have. That it was signed when it
    /// came counts as long as its key is trusted here. One of an MCP server that is not
    /// configured any more is passed over.
    async fn place(&self, manifest: &Manifest, order: &Order) {
        let place = format!("{} {}, from {}", manifest.id, manifest.version, order.by);
        let made = match (&manifest.runtime, self.servers.sandbox(manifest)) {
            (_, Some(sandbox)) => Ok((sandbox, Source::Remote)),
            (ToolRuntime::Mcp { .. }, None) => return,
            (_, None) => match self.placeable(manifest, order) {
                Ok(()) => self.kinds.make(manifest, None).await.map(|sandbox| (sandbox, Source::Operator)),
                Err(error) => Err(error),
            },
        };
        let offer = |(sandbox, source)| self.registry.offer(manifest.clone(), sandbox, source).map(drop);
        self.tell(place, made.and_then(offer));
    }

    fn placeable(&self, manifest: &Manifest, order: &Order) -> Result<()> {
        match &order.signer {
            Some(signer) if !self.keys.has(signer) => Err(Error::invalid(format!(
                "signature: {} {} was signed by {signer}, which is not in tools.trusted_keys: list that key, or post a \
                 new version signed by another",
                manifest.id, manifest.version
            ))),
            None if self.settings.require_signature => Err(unsigned(manifest)),
            _ => Ok(()),
        }
    }

    /// Keeps or forgets a fault, and logs a new one.
    fn tell(&self, place: String, done: Result<()>) {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        match done {
            Ok(()) => drop(faults.remove(&place)),
            Err(error) => {
                let why = error.to_string();
                if faults.get(&place) != Some(&why) {
                    tracing::error!(%place, %why, "a tool cannot be used: what was there before stays");
                    faults.insert(place, why);
                }
            }
        }
    }

    /// Appends what `decide` wants, given where everything stands; anew if somebody else was
    /// faster. Decisions are stated under the log's signature.
    pub(super) async fn record(
        &self,
        audit: Option<&Audit>,
        decide: impl Fn(&Standings) -> Result<Vec<ToolChange>>,
    ) -> Result<Vec<(ToolChange, Option<String>)>> {
        for _ in 0..TRIES {
            self.learn().await?;
            let standings = self.registry.standings();
            let changes = decide(&standings)?;
            if changes.is_empty() {
                return Ok(Vec::new());
            }
            let mut stated = Vec::with_capacity(changes.len());
            for change in changes {
                let statement = match (audit, change.order.cause) {
                    (Some(audit), Cause::Decision) => Some(audit.state_tool(&change).await?),
                    _ => None,
                };
                stated.push((change, statement));
            }
            let sealed = (standings.position() + 1..).zip(&stated);
            let sealed = sealed.map(|(position, (change, _))| change.seal(&*self.vault, position));
            let statements = stated.iter().filter_map(|(_, statement)| statement.clone()).collect();
            match self.ledger.record(sealed.collect::<Result<_>>()?, statements).await {
                Ok(()) => {
                    self.learn().await?;
                    return Ok(stated);
                }
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::unavailable("others decide about tools all the time: try again"))
    }

    /// Takes in a tool that is there now. What it means is recorded before it can be called.
    ///
    /// # Errors
    /// As [`Registry::offer`], and `Conflict` for another contract under a version that any
    /// process ever saw.
    pub async fn arrive(&self, arrival: Arrival) -> Result<()> {
        let Arrival { manifest, sandbox, source, signer, from } = arrival;
        self.enter(&manifest, source, (signer, from, None)).await?;
        self.registry.offer(manifest, sandbox, source).map(drop)
    }

    /// Records that a version arrived, if it is new.
    pub(super) async fn enter(
        &self,
        manifest: &Manifest,
        source: Source,
        (signer, by, kept): (Option<String>, String, Option<Box<Manifest>>),
    ) -> Result<Option<ToolChange>> {
        self.registry.may_offer(manifest, source)?;
        let (contract, at) = (manifest.contract_hash()?, self.clock.now());
        let (tool, version) = (&manifest.id, &manifest.version);
        let arrived = self.record(None, |standings| {
            let arrival = standings.arrival(tool, version, &contract, source == Source::Remote)?;
            let change = arrival.map(|(state, reason)| ToolChange {
                tool: tool.clone(),
                version: version.clone(),
                contract,
                state,
                at,
                order: Order {
                    cause: Cause::Arrival,
                    by: by.clone(),
                    reason,
                    signer: signer.clone(),
                    manifest: kept.clone(),
                },
            });
            Ok(change.into_iter().collect())
        });
        let change = arrived.await?.pop().map(|(change, _)| change);
        if let Some(ToolChange { state: ToolState::Offered, order, .. }) = &change {
            tracing::warn!(%tool, %version, why = order.reason, "a tool waits for an admin's `tools accept`");
        }
        Ok(change)
    }

    /// The name of the trusted key that signed a manifest.
    ///
    /// # Errors
    /// As [`TrustedKeys::signer`], and `Invalid` for a manifest without a signature where one
    /// is required.
    pub(super) fn signer(&self, manifest: &Manifest, signature: Option<&str>) -> Result<Option<String>> {
        match signature {
            Some(note) => Ok(Some(self.keys.signer(manifest, note)?.to_owned())),
            None if self.settings.require_signature => Err(unsigned(manifest)),
            None => Ok(None),
        }
    }

    /// What runs a manifest that somebody posted.
    pub(super) async fn makes(&self, manifest: &Manifest) -> Result<()> {
        self.kinds.make(manifest, None).await.map(drop)
    }

    /// Looks at the folder for the first time: whatever cannot be used stops the start.
    ///
    /// # Errors
    /// With the file, the field and the mend.
    pub(crate) async fn open(&self) -> Result<()> {
        self.learn().await?;
        if let Some((_, error)) = self.look().await?.into_iter().next() {
            return Err(error);
        }
        let shelved = self.registry.shelved();
        for server in self.servers.names() {
            let own = shelved.iter().filter(|one| one.source != Source::Remote).map(|one| &one.tool.manifest.id);
            let taken = own.into_iter().find(|id| id.namespace() == server);
            if let Some(taken) = taken {
                let message = format!("mcp server {server}: {taken} has that name already, choose another");
                return Err(Error::invalid(message));
            }
        }
        Ok(())
    }

    /// Looks at the folder again: new and changed manifests come in, those that went away go.
    /// Of what cannot be used the last that could stays, and of a version that another
    /// replaces, the runs that pinned it keep it while this process lives.
    async fn look(&self) -> Result<Vec<(PathBuf, Error)>> {
        let Some(folder) = self.folder.clone() else { return Ok(Vec::new()) };
        let mut looked = self.looked.lock().await;
        let before: BTreeMap<PathBuf, Mark> = looked.iter().map(|(path, seen)| (path.clone(), seen.mark)).collect();
        let component_bytes = self.kinds.component_bytes();
        let scanned = tokio::task::spawn_blocking(move || scan(&folder, &before, component_bytes)).await;
        let scanned = scanned.map_err(|error| Error::internal(format!("the tools folder was not read: {error}")))??;
        let (mut failed, mut given_up) = (Vec::new(), Vec::new());
        for (path, read) in scanned.changed {
            let taken = match read {
                Ok(declared) => self.take(&path, declared).await.map_err(|error| in_file(&path, &error)),
                Err(error) => Err(error),
            };
            let passing = |error: &Error| error.is_retryable() || error.kind() == ErrorKind::Conflict;
            // What may be gone by the next look is tried again then.
            let again = taken.as_ref().is_err_and(passing);
            let mark = scanned.present.get(&path).copied().filter(|_| !again).unwrap_or_default();
            let mut gave = looked.get(&path).map(|seen| seen.gave.clone()).unwrap_or_default();
            if let Ok(name) = &taken {
                // A file that is another tool now takes the earlier one away.
                given_up.extend(gave.extract_if(.., |earlier| earlier.id != name.id));
                if !gave.contains(name) {
                    gave.push(name.clone());
                }
            }
            looked.insert(path.clone(), Seen { mark, gave });
            if let Err(error) = taken {
                failed.push((path, error));
            } else {
                self.tell(path.display().to_string(), Ok(()));
            }
        }
        let gone: Vec<PathBuf> = looked.keys().filter(|path| !scanned.present.contains_key(*path)).cloned().collect();
        for path in gone {
            given_up.extend(looked.remove(&path).into_iter().flat_map(|seen| seen.gave));
            self.tell(path.display().to_string(), Ok(()));
        }
        let standings = self.registry.standings();
        for name in given_up {
            let elsewhere = looked.values().any(|seen| seen.gave.contains(&name));
            let version = name.version.as_ref();
            let posted = version.and_then(|version| standings.entry(&name.id, version)?.manifest());
            if !elsewhere && posted.is_none() {
                tracing::info!(tool = %name, "the tool went away with its manifest");
                self.registry.remove(&name);
            }
        }
        Ok(failed)
    }

    async fn take(&self, path: &Path, Declared { found, component }: Declared) -> Result<ToolName> {
        let manifest = found.manifest;
        l9_tools::registry::check(&manifest)?;
        let signer = self.signer(&manifest, found.signature.as_deref())?;
        let sandbox = self.kinds.make(&manifest, component).await?;
        let name = ToolName { id: manifest.id.clone(), version: Some(manifest.version.clone()) };
        let from = format!("the file {}", path.display());
        self.arrive(Arrival { manifest, sandbox, source: Source::Operator, signer, from }).await?;
        Ok(name)
    }

    /// Looks at the folder again, and keeps what cannot be used as a fault.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub async fn reload(&self) -> Result<()> {
        for (path, error) in self.look().await? {
            self.tell(path.display().to_string(), Err(error));
        }
        Ok(())
    }

    /// Learns and looks again and again, until it is told to stop.
    pub(crate) async fn watch(&self, stop: CancellationToken) {
        let reload = Duration::from_millis(self.settings.reload_ms);
        // A component that takes long to compile keeps no decision of others from being learned.
        tokio::join!(
            self.again(&stop, EVERY.min(reload), "decisions about tools", || self.learn()),
            self.again(&stop, reload, "the tools folder", || self.reload()),
        );
    }

    async fn again<F: Future<Output = Result<()>>>(
        &self,
        stop: &CancellationToken,
        every: Duration,
        place: &str,
        done: impl Fn() -> F,
    ) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.clock.sleep(every) => {}
            }
            self.tell(place.to_owned(), done().await);
        }
    }
}

fn unsigned(manifest: &Manifest) -> Error {
    Error::invalid(format!(
        "signature: {} {} is not signed and tools.require_signature is on: sign it with `tools sign FILE --key KEY` and \
         list the key in tools.trusted_keys",
        manifest.id, manifest.version
    ))
}
