//! Where every version of every tool stands: the fold of all changes, and the rules by
//! which there may be another.
//!
//! A version means one contract for ever. What a person revoked stays revoked. The version
//! in use is the newest that was accepted, unless a person accepted an older one since;
//! nothing falls back to an older one by itself.

use std::collections::BTreeMap;

use semver::Version;

use super::change::{Cause, ToolChange, ToolState};
use crate::id::ToolId;
use crate::tool::{ContractHash, Manifest, ToolName};
use crate::{Error, ErrorKind, Result};

/// Every version that is known, and where it stands.
#[derive(Debug, Clone, Default)]
pub struct Standings {
    position: u64,
    tools: BTreeMap<ToolId, Known>,
}

#[derive(Debug, Clone, Default)]
struct Known {
    versions: BTreeMap<Version, Entry>,
    /// The version in use, whatever its state is now.
    head: Option<Version>,
}

/// One version of a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// What it means.
    pub contract: ContractHash,
    /// Whether it may be called.
    pub state: ToolState,
    /// The name of the trusted key that signed it, if one did.
    pub signer: Option<String>,
    /// Everything that happened to it, oldest first.
    pub history: Vec<ToolChange>,
}

impl Entry {
    /// The manifest, of a version that was recorded whole.
    #[must_use]
    pub fn manifest(&self) -> Option<&Manifest> {
        self.history.iter().find_map(|change| change.order.manifest.as_deref())
    }

    fn why(&self) -> String {
        let Some(ToolChange { order, .. }) = self.history.last() else { return "nobody said why".to_owned() };
        format!("by {}: {}", order.by, order.reason)
    }
}

impl Standings {
    /// The position of the last change.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Takes the next change in.
    ///
    /// # Errors
    /// `Corrupt` for one that no process may have written: out of order, another contract
    /// under a known version, or anything after a revocation.
    pub fn apply(&mut self, position: u64, change: ToolChange) -> Result<()> {
        let ToolChange { tool, version, contract, state, order, .. } = &change;
        let corrupt = |what: &str| Err(Error::corrupt(format!("change {position} of the tools, about {tool}, {what}")));
        if position != self.position + 1 {
            return corrupt(&format!("does not follow change {}", self.position));
        }
        let known = self.tools.get(tool).and_then(|known| known.versions.get(version));
        if known.is_some_and(|known| known.contract != *contract) {
            return corrupt(&format!("gives version {version} another contract"));
        }
        if known.is_some_and(|known| known.state == ToolState::Revoked) {
            return corrupt(&format!("comes after version {version} was revoked"));
        }
        let known = self.tools.entry(tool.clone()).or_default();
        let raises = order.cause == Cause::Decision || known.head.as_ref().is_none_or(|head| head < version);
        if *state == ToolState::Accepted && raises {
            known.head = Some(version.clone());
        }
        let new = || Entry { contract: *contract, state: *state, signer: None, history: Vec::new() };
        let entry = known.versions.entry(version.clone()).or_insert_with(new);
        entry.state = *state;
        entry.signer = order.signer.clone().or(entry.signer.take());
        entry.history.push(change);
        self.position = position;
        Ok(())
    }

    /// The version of a tool that is in use.
    #[must_use]
    pub fn head(&self, tool: &ToolId) -> Option<&Version> {
        self.tools.get(tool)?.head.as_ref()
    }

    /// The version of a tool that is in use, and where it stands.
    #[must_use]
    pub fn in_use(&self, tool: &ToolId) -> Option<&Entry> {
        self.entry(tool, self.head(tool)?)
    }

    /// One version of a tool.
    #[must_use]
    pub fn entry(&self, tool: &ToolId, version: &Version) -> Option<&Entry> {
        self.tools.get(tool)?.versions.get(version)
    }

    /// Every version of a tool, oldest first.
    pub fn versions(&self, tool: &ToolId) -> impl Iterator<Item = (&Version, &Entry)> {
        self.tools.get(tool).into_iter().flat_map(|known| &known.versions)
    }

    /// Every version of every tool.
    pub fn all(&self) -> impl Iterator<Item = (&ToolId, &Version, &Entry)> {
        self.tools.iter().flat_map(|(tool, known)| known.versions.iter().map(move |(at, entry)| (tool, at, entry)))
    }

    /// Why a contract may not be called, naming who said so; `None` if it may. Of a version
    /// that nothing was said about, the version in use decides: what somebody withheld does
    /// not come back under another number.
    #[must_use]
    pub fn withheld(&self, tool: &ToolId, version: &Version, contract: &ContractHash) -> Option<String> {
        let known = self.tools.get(tool)?;
        let own = known.versions.get(version).filter(|entry| entry.contract == *contract);
        let (version, entry) = match own {
            Some(entry) => (version, entry),
            None => known.head.as_ref().and_then(|head| Some((head, known.versions.get(head)?)))?,
        };
        let Entry { state, .. } = entry;
        match state {
            ToolState::Accepted => None,
            ToolState::Offered => {
                Some(format!("{tool} {version} waits for an admin's `tools accept`: {}", entry.why()))
            }
            ToolState::Disabled | ToolState::Revoked => Some(format!("{tool} {version} was {state} {}", entry.why())),
        }
    }

    /// What an arrival leads to: the state and why; `None` if the version is known already.
    /// A source that changes by itself is believed the first time only.
    ///
    /// # Errors
    /// `Conflict` for another contract under a known version.
    pub fn arrival(
        &self,
        tool: &ToolId,
        version: &Version,
        contract: &ContractHash,
        changes_by_itself: bool,
    ) -> Result<Option<(ToolState, String)>> {
        let Some(known) = self.tools.get(tool) else { return Ok(Some((ToolState::Accepted, "it is new".to_owned()))) };
        if let Some(entry) = known.versions.get(version) {
            if entry.contract == *contract {
                return Ok(None);
            }
            return Err(Error::new(
                ErrorKind::Conflict,
                format!(
                    "version: {tool} {version} means the contract {} for ever, and this is {contract}: give the \
                     changed manifest a new version",
                    entry.contract
                ),
            ));
        }
        let offered = |why: String| Ok(Some((ToolState::Offered, why)));
        if changes_by_itself {
            return offered("it changed where it comes from".to_owned());
        }
        let head = known.head.as_ref();
        // Whoever withheld a version meant what comes after it as well.
        let withheld = known.versions.iter().rev().find(|(newer, entry)| {
            head.is_none_or(|head| *newer > head) && matches!(entry.state, ToolState::Disabled | ToolState::Revoked)
        });
        if let Some((newer, entry)) = withheld {
            return offered(format!("{newer} was {} {}", entry.state, entry.why()));
        }
        match head.and_then(|head| Some((head, known.versions.get(head)?))) {
            Some((head, entry)) if entry.state != ToolState::Accepted => {
                offered(format!("{head} was {} {}", entry.state, entry.why()))
            }
            Some((head, _)) if version < head => offered(format!("it is older than {head}, which is in use")),
            Some(_) => Ok(Some((ToolState::Accepted, "it is newer".to_owned()))),
            None => offered("no version was ever accepted".to_owned()),
        }
    }

    /// Whether a person's decision would change anything.
    ///
    /// # Errors
    /// `NotFound` for a version that is not known, `Conflict` for one that was revoked.
    pub fn decision(&self, tool: &ToolId, version: &Version, state: ToolState) -> Result<bool> {
        let entry = self.entry(tool, version).ok_or_else(|| {
            Error::not_found(format!("no version {version} of {tool} is known: `tools list` shows those that are"))
        })?;
        if entry.state == ToolState::Revoked && state != ToolState::Revoked {
            let message =
                format!("{tool} {version} was revoked {}: that is for ever, release a new version", entry.why());
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        let takes_over = state == ToolState::Accepted && self.head(tool) != Some(version);
        Ok(entry.state != state || takes_over)
    }

    /// The versions that a name and, if given, the beginning of a contract's hash mean.
    ///
    /// # Errors
    /// `NotFound` if there is none.
    pub fn meant(&self, name: &ToolName, contract: Option<&str>) -> Result<Vec<(Version, ContractHash)>> {
        let wanted = |version: &Version, entry: &Entry| {
            name.version.as_ref().is_none_or(|one| one == version)
                && contract.is_none_or(|start| entry.contract.to_string().starts_with(start))
        };
        let found: Vec<_> = self
            .versions(&name.id)
            .filter(|(version, entry)| wanted(version, entry))
            .map(|(version, entry)| (version.clone(), entry.contract))
            .collect();
        if found.is_empty() {
            let of = contract.map(|start| format!(" with the contract {start}")).unwrap_or_default();
            return Err(Error::not_found(format!("there is no tool {name}{of}: `tools list` shows those there are")));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::super::change::Order;
    use super::*;
    use crate::time::Timestamp;

    fn id() -> ToolId {
        "mail/send".parse().unwrap()
    }

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    fn contract(text: &str) -> ContractHash {
        ContractHash::of(&text).unwrap()
    }

    fn put(standings: &mut Standings, at: &str, state: ToolState, cause: Cause) -> Result<()> {
        let order = Order { cause, by: "person:ada".into(), reason: "because".into(), signer: None, manifest: None };
        let (tool, version, contract, at) = (id(), version(at), contract(at), Timestamp::from_millis(1));
        let position = standings.position() + 1;
        standings.apply(position, ToolChange { tool, version, contract, state, at, order })
    }

    fn arrive(standings: &mut Standings, at: &str, changes_by_itself: bool) -> ToolState {
        let found = standings.arrival(&id(), &version(at), &contract(at), changes_by_itself).unwrap();
        let state = found.unwrap().0;
        put(standings, at, state, Cause::Arrival).unwrap();
        state
    }

    fn decide(standings: &mut Standings, at: &str, state: ToolState) {
        assert!(standings.decision(&id(), &version(at), state).unwrap());
        put(standings, at, state, Cause::Decision).unwrap();
    }

    fn head(standings: &Standings) -> String {
        standings.head(&id()).unwrap().to_string()
    }

    #[test]
    fn newer_versions_take_over_and_older_ones_wait_for_a_person() {
        let mut standings = Standings::default();
        assert_eq!(arrive(&mut standings, "2.0.0", false), ToolState::Accepted);
        assert_eq!(arrive(&mut standings, "1.9.0", false), ToolState::Offered);
        assert_eq!(arrive(&mut standings, "2.1.0", false), ToolState::Accepted);
        assert_eq!(head(&standings), "2.1.0");
        let why = standings.withheld(&id(), &version("1.9.0"), &contract("1.9.0")).unwrap();
        assert!(why.contains("waits for an admin"), "{why}");
        decide(&mut standings, "1.9.0", ToolState::Accepted);
        assert_eq!(head(&standings), "1.9.0");
        assert_eq!(standings.withheld(&id(), &version("2.1.0"), &contract("2.1.0")), None);
    }

    #[test]
    fn what_was_revoked_does_not_come_back_under_the_next_number() {
        let mut standings = Standings::default();
        assert_eq!(arrive(&mut standings, "1.9.0", false), ToolState::Accepted);
        assert_eq!(arrive(&mut standings, "2.0.0", false), ToolState::Accepted);
        decide(&mut standings, "2.0.0", ToolState::Revoked);
        decide(&mut standings, "1.9.0", ToolState::Accepted);
        assert_eq!(head(&standings), "1.9.0");
        assert_eq!(arrive(&mut standings, "2.0.1", false), ToolState::Offered);
        assert_eq!(arrive(&mut standings, "1.9.1", false), ToolState::Offered);
        assert_eq!(head(&standings), "1.9.0");
    }

    #[test]
    fn a_source_that_changes_by_itself_is_believed_once() {
        let mut standings = Standings::default();
        assert_eq!(arrive(&mut standings, "1.0.0", true), ToolState::Accepted);
        assert_eq!(arrive(&mut standings, "1.0.1", true), ToolState::Offered);
        assert_eq!(head(&standings), "1.0.0");
    }

    #[test]
    fn what_somebody_withheld_does_not_come_back_under_another_number() {
        let mut standings = Standings::default();
        arrive(&mut standings, "1.0.0", false);
        decide(&mut standings, "1.0.0", ToolState::Disabled);
        assert_eq!(arrive(&mut standings, "1.0.1", false), ToolState::Offered);
        // Of a version that nothing was said about, the one in use decides.
        let why = standings.withheld(&id(), &version("3.0.0"), &contract("3.0.0")).unwrap();
        assert!(why.contains("1.0.0 was disabled by person:ada: because"), "{why}");
        decide(&mut standings, "1.0.0", ToolState::Accepted);
        assert_eq!(standings.withheld(&id(), &version("3.0.0"), &contract("3.0.0")), None);
    }

    #[test]
    fn revoked_is_for_ever_and_a_version_means_one_contract() {
        let mut standings = Standings::default();
        arrive(&mut standings, "1.0.0", false);
        decide(&mut standings, "1.0.0", ToolState::Revoked);
        let refused = standings.decision(&id(), &version("1.0.0"), ToolState::Accepted).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Conflict);
        assert!(!standings.decision(&id(), &version("1.0.0"), ToolState::Revoked).unwrap());
        let forged = put(&mut standings, "1.0.0", ToolState::Accepted, Cause::Decision).unwrap_err();
        assert_eq!(forged.kind(), ErrorKind::Corrupt);
        let other = standings.arrival(&id(), &version("1.0.0"), &contract("other"), false).unwrap_err();
        assert_eq!(other.kind(), ErrorKind::Conflict);
        assert!(other.to_string().contains("give the changed manifest a new version"), "{other}");
        assert_eq!(standings.arrival(&id(), &version("1.0.0"), &contract("1.0.0"), false).unwrap(), None);
    }

    #[test]
    fn names_and_the_beginning_of_a_hash_find_versions() {
        let mut standings = Standings::default();
        arrive(&mut standings, "1.0.0", false);
        arrive(&mut standings, "2.0.0", false);
        let meant =
            |name: &str, start: Option<&str>| standings.meant(&name.parse().unwrap(), start).map(|all| all.len());
        assert_eq!(meant("mail/send", None).unwrap(), 2);
        assert_eq!(meant("mail/send@1.0.0", None).unwrap(), 1);
        let hash = contract("2.0.0").to_string();
        assert_eq!(meant("mail/send", Some(&hash[..12])).unwrap(), 1);
        assert_eq!(meant("mail/send@1.0.0", Some(&hash)).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(meant("mail/read", None).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
