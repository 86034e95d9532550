//! What MCP servers list, recorded like any other tool. Whether a change needs a person is
//! what the changes of tools say; here is only who made it.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use l9_core::id::{TenantId, ToolId};
use l9_core::tool::{Cause, Entry, Manifest, Order, Standings, ToolChange, ToolRegistry as _, ToolState};
use l9_core::{Error, ErrorKind, Result};
use l9_tools::mcp::{Intake, Offer};
use l9_tools::registry::{Source, difference};
use semver::Version;

use super::live::Tools;

/// The most versions of one tool that wait for a person: a server that never says the same twice
/// fills no store.
const WAITING: usize = 8;
/// The most tools of one server that are ever recorded: one that always lists new ones does not
/// fill it either.
const NAMES: usize = 500;

#[async_trait]
impl Intake for Tools {
    async fn take(&self, server: &str, offers: Vec<Offer>) -> Result<BTreeMap<ToolId, Result<Version>>> {
        let from = format!("the MCP server {server}");
        let arrived = self.record(None, |standings| {
            let (mut standings, mut arrivals) = (Standings::clone(standings), Vec::new());
            for offer in &offers {
                if let Ok((_, Some(arrival))) = self.place_of(&standings, offer, &from) {
                    standings.apply(standings.position() + 1, arrival.clone())?;
                    arrivals.push(arrival);
                }
            }
            Ok(arrivals)
        });
        for (change, _) in arrived.await? {
            self.tell_waiting(&change);
        }
        let standings = self.registry.standings();
        let taken: BTreeMap<ToolId, Result<Version>> =
            offers.iter().map(|offer| (offer.id().clone(), self.admit(&standings, offer, &from))).collect();
        let listed = taken.iter().filter_map(|(id, version)| Some((id.clone(), version.as_ref().ok()?.clone())));
        self.registry.listed(server, listed.collect());
        Ok(taken)
    }
}

impl Tools {
    /// The manifest under which a listed tool is or shall be recorded, and the change that
    /// records it if nothing did yet.
    fn place_of(&self, standings: &Standings, offer: &Offer, from: &str) -> Result<(Manifest, Option<ToolChange>)> {
        let id = offer.id();
        let changed = match standings.in_use(id).and_then(Entry::manifest) {
            Some(known) => offer.changed(known)?,
            None => vec!["tool altogether"],
        };
        let head = standings.head(id);
        for (version, entry) in standings.versions(id) {
            let manifest = offer.at(version.clone());
            // Back to what it was before the one in use: of the operator's doing it becomes
            // a new version, of the server's it waits to be accepted again.
            let outdated = changed.is_empty() && head.is_some_and(|head| version < head);
            if !outdated && manifest.contract_hash()? == entry.contract {
                self.registry.may_offer(&manifest, Source::Remote)?;
                return Ok((manifest, None));
            }
        }
        if standings.versions(id).filter(|(_, entry)| entry.state == ToolState::Offered).count() >= WAITING {
            let message = format!("{WAITING} versions of {id} wait already: accept or revoke some of them");
            return Err(Error::new(ErrorKind::Exhausted, message));
        }
        if standings.versions(id).next().is_none() && names(standings, id) >= NAMES {
            let message = format!("{NAMES} tools of its server are recorded already: give the server another name");
            return Err(Error::new(ErrorKind::Exhausted, message));
        }
        let newest = standings.versions(id).map(|(version, _)| version.major).max().unwrap_or_default();
        let manifest = offer.at(Version::new(newest + 1, 0, 0));
        self.registry.may_offer(&manifest, Source::Remote)?;
        let contract = manifest.contract_hash()?;
        let arrival = standings.arrival(id, &manifest.version, &contract, !changed.is_empty())?;
        let change = arrival.map(|(state, why)| {
            let reason = match state {
                ToolState::Offered if !changed.is_empty() => {
                    format!("its server changed its {}", changed.join(", its "))
                }
                _ => why,
            };
            let kept = Some(Box::new(manifest.clone()));
            let order = Order { cause: Cause::Arrival, by: from.to_owned(), reason, signer: None, manifest: kept };
            let (tool, version) = (id.clone(), manifest.version.clone());
            ToolChange { tool, version, contract, state, at: self.clock.now(), order }
        });
        Ok((manifest, change))
    }

    /// Offers a tool that is recorded, and tells under which version.
    fn admit(&self, standings: &Standings, offer: &Offer, from: &str) -> Result<Version> {
        let (manifest, unrecorded) = self.place_of(standings, offer, from)?;
        if unrecorded.is_some() {
            return Err(Error::unavailable("others decide about it right now: it is looked at again"));
        }
        let (version, contract) = (manifest.version.clone(), manifest.contract_hash()?);
        if self.registry.known(&TenantId::default_tenant(), &manifest.id, &contract).is_none() {
            let sandbox = self.servers.sandbox(&manifest);
            let sandbox = sandbox.ok_or_else(|| Error::internal("a tool was listed by a server that there is not"))?;
            self.registry.offer(manifest, sandbox, Source::Remote)?;
        }
        Ok(version)
    }

    /// Logs what changed of a tool that waits now, line by line.
    fn tell_waiting(&self, change: &ToolChange) {
        let ToolChange { tool, version, state, order, .. } = change;
        if *state != ToolState::Offered {
            return;
        }
        let standings = self.registry.standings();
        let before = standings.in_use(tool).and_then(Entry::manifest);
        let changes = before.zip(order.manifest.as_deref()).map(|(before, after)| difference(before, after));
        let changes = changes.unwrap_or_default();
        tracing::warn!(%tool, %version, why = order.reason, changes, "a tool waits for an admin's `tools accept`");
    }
}

/// How many tools of the same server were ever recorded.
fn names(standings: &Standings, id: &ToolId) -> usize {
    let ids: BTreeSet<&ToolId> =
        standings.all().map(|(other, ..)| other).filter(|other| other.namespace() == id.namespace()).collect();
    ids.len()
}
