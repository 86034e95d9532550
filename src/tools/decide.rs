//! What people decide about tools: to accept, disable or revoke a version, or to post one.

use std::collections::BTreeMap;

use l9_core::evidence::{AuditLog, ToolDecision, VerifyingKey};
use l9_core::tool::{Cause, ContractHash, Manifest, Order, Standings, ToolChange, ToolName, ToolState};
use l9_core::{Error, ErrorKind, Result};
use l9_tools::registry::Source;
use semver::Version;
use serde::Serialize;

use super::live::Tools;
use crate::audit::Audit;

/// The most bytes of a reason.
const REASON: usize = 4096;

/// What somebody wants of a tool.
#[derive(Debug, Clone)]
pub struct Decision {
    /// Which tool; every version of it, if none is named, where it is disabled or revoked,
    /// and the only one that waits where it is accepted.
    pub name: ToolName,
    /// The beginning of the contract's hash in hex, to name one exactly.
    pub contract: Option<String>,
    /// What it shall be.
    pub state: ToolState,
    /// Why, in words.
    pub reason: String,
}

/// What was decided of one version.
#[derive(Debug, Clone, Serialize)]
pub struct Decided {
    /// The version, by name.
    pub tool: ToolName,
    /// What it means.
    #[serde(rename = "contract_hash")]
    pub contract: ContractHash,
    /// What it is from now on.
    pub state: ToolState,
    /// The statement that says so under the log's signature.
    pub statement: String,
}

impl Tools {
    /// Decides about a tool. It holds in this process when it returns, and within a second
    /// in every other that the store is used by. Gives what changed: nothing if all of it
    /// was so already.
    ///
    /// # Errors
    /// `Invalid` without a reason, `NotFound` for an unknown version or contract, `Conflict`
    /// for one that was revoked, or if nothing waits to be accepted, or several do and none is
    /// named.
    pub(crate) async fn decide(&self, audit: &Audit, by: &str, decision: &Decision) -> Result<Vec<Decided>> {
        check(&decision.reason)?;
        let at = self.clock.now();
        let built_in = self.built_in(&decision.name);
        let made = self.record(Some(audit), |standings| {
            // What is compiled in stands nowhere yet: it arrives with the first decision.
            let (mut standings, mut changes) = (Standings::clone(standings), Vec::new());
            for (version, contract) in &built_in {
                let tool = decision.name.id.clone();
                if standings.entry(&tool, version).is_some() {
                    continue;
                }
                let Some((state, reason)) = standings.arrival(&tool, version, contract, false)? else { continue };
                let by = "this program".to_owned();
                let order = Order { cause: Cause::Arrival, by, reason, signer: None, manifest: None };
                let arrival = ToolChange { tool, version: version.clone(), contract: *contract, state, at, order };
                standings.apply(standings.position() + 1, arrival.clone())?;
                changes.push(arrival);
            }
            for (version, contract) in chosen(&standings, decision)? {
                if standings.decision(&decision.name.id, &version, decision.state)? {
                    let (by, reason) = (by.to_owned(), decision.reason.clone());
                    let order = Order { cause: Cause::Decision, by, reason, signer: None, manifest: None };
                    let tool = decision.name.id.clone();
                    changes.push(ToolChange { tool, version, contract, state: decision.state, at, order });
                }
            }
            let decides = changes.iter().any(|change| change.order.cause == Cause::Decision);
            Ok(if decides { changes } else { Vec::new() })
        });
        let decided = made.await?.into_iter().filter_map(|(change, statement)| {
            let ToolChange { tool, version, contract, state, .. } = change;
            let statement = statement?;
            tracing::warn!(%tool, %version, %contract, %state, by, "decided about a tool");
            let tool = ToolName { id: tool, version: Some(version) };
            Some(Decided { tool, contract, state, statement })
        });
        Ok(decided.collect())
    }

    /// The versions of a tool that are compiled in.
    fn built_in(&self, name: &ToolName) -> Vec<(Version, ContractHash)> {
        let shelved = self.registry.shelved().into_iter();
        let own = shelved.filter(|one| one.source == Source::Program && one.tool.manifest.id == name.id);
        let mut own: Vec<_> = own.map(|one| (one.tool.manifest.version.clone(), one.tool.contract)).collect();
        own.sort();
        own
    }

    /// Takes in a manifest that somebody posted, for every process of the store. Gives its
    /// contract, and its state.
    ///
    /// # Errors
    /// As [`Tools::arrive`], and `Invalid` for a tool that needs more than its manifest.
    pub async fn post(
        &self,
        by: &str,
        manifest: Manifest,
        signature: Option<&str>,
    ) -> Result<(ContractHash, ToolState)> {
        l9_tools::registry::check(&manifest)?;
        let signer = self.signer(&manifest, signature)?;
        self.makes(&manifest).await?;
        let kept = Some(Box::new(manifest.clone()));
        self.enter(&manifest, Source::Operator, (signer, by.to_owned(), kept)).await?;
        let contract = manifest.contract_hash()?;
        let standings = self.registry.standings();
        let entry = standings.entry(&manifest.id, &manifest.version);
        let entry = entry.ok_or_else(|| Error::internal("a posted tool is not recorded"))?;
        if entry.manifest().is_none() {
            let message = format!(
                "{} {} is known already by its hash alone, from a folder: post it under a new version",
                manifest.id, manifest.version
            );
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        Ok((contract, entry.state))
    }

    /// What was decided and never stated, or stated and never decided: somebody changed the
    /// store. What is decided meanwhile is neither.
    ///
    /// # Errors
    /// From the store.
    pub(crate) async fn unstated(&self, key: &VerifyingKey, log: &dyn AuditLog) -> Result<Vec<String>> {
        self.learn().await?;
        let before = self.registry.standings();
        let statements = log.statements().await?;
        self.learn().await?;
        let after = self.registry.standings();
        let mut stated: Vec<ToolDecision> =
            statements.iter().filter_map(|note| ToolDecision::open(key, note).ok()).collect();
        let mut faults = Vec::new();
        for change in decisions(&after) {
            match stated.iter().position(|decision| decision.states(change)) {
                Some(place) => drop(stated.swap_remove(place)),
                None if !decisions(&before).any(|earlier| earlier == change) => {}
                None => {
                    let ToolChange { tool, version, state, .. } = change;
                    faults.push(format!("{tool} {version} is {state}, and no statement says that it was decided"));
                }
            }
        }
        let lost = stated.iter().map(|ToolDecision { tool, version, state, .. }| {
            format!("a statement says that {tool} {version} was {state}, and the store does not have it")
        });
        faults.extend(lost);
        Ok(faults)
    }
}

fn decisions(standings: &Standings) -> impl Iterator<Item = &ToolChange> {
    let changes = standings.all().flat_map(|(.., entry)| &entry.history);
    changes.filter(|change| change.order.cause == Cause::Decision)
}

/// The versions that a decision is about.
fn chosen(standings: &Standings, decision: &Decision) -> Result<Vec<(Version, ContractHash)>> {
    let Decision { name, contract, state, .. } = decision;
    let meant = standings.meant(name, contract.as_deref())?;
    if name.version.is_some() || contract.is_some() {
        if let [_, _, ..] = meant.as_slice() {
            let message = format!("{} versions of {name} have a contract that begins so: give more of it", meant.len());
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        return Ok(meant);
    }
    let by_state: BTreeMap<&Version, ToolState> =
        standings.versions(&name.id).map(|(version, entry)| (version, entry.state)).collect();
    let is = |version: &Version, state: ToolState| by_state.get(version) == Some(&state);
    if *state != ToolState::Accepted {
        return Ok(meant.into_iter().filter(|(version, _)| !is(version, ToolState::Revoked)).collect());
    }
    // The one that waits, else the newest that somebody disabled.
    let waiting: Vec<_> = meant.iter().filter(|(version, _)| is(version, ToolState::Offered)).collect();
    let found = match waiting.as_slice() {
        [] => meant.iter().rev().find(|(version, _)| is(version, ToolState::Disabled)),
        [one] => Some(*one),
        several => return Err(unnamed(name, several)),
    };
    found.map(|one| vec![one.clone()]).ok_or_else(|| {
        let message = format!("nothing of {name} waits to be accepted: `tools inspect {name}` shows its versions");
        Error::new(ErrorKind::Conflict, message)
    })
}

/// Several wait, and who accepts has perhaps not read the one that came last.
fn unnamed(name: &ToolName, waiting: &[&(Version, ContractHash)]) -> Error {
    let shown = waiting.iter().map(|(version, contract)| {
        let contract = contract.to_string();
        format!("{version} (contract {contract:.12})")
    });
    let shown = shown.collect::<Vec<_>>().join(", ");
    let message = format!(
        "{} versions of {name} wait to be accepted, {shown}: read them with `tools inspect {name}`, and name one as \
         {name}@VERSION or by --contract",
        waiting.len()
    );
    Error::new(ErrorKind::Conflict, message)
}

fn check(reason: &str) -> Result<()> {
    if reason.trim().is_empty() {
        return Err(Error::invalid("say why: a decision about a tool needs a reason"));
    }
    if reason.chars().any(char::is_control) {
        return Err(Error::invalid("the reason has control characters: write it in one line of plain words"));
    }
    if reason.len() > REASON {
        return Err(Error::invalid(format!("the reason has {} bytes: use at most {REASON}", reason.len())));
    }
    Ok(())
}
