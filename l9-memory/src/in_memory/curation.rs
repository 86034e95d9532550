//! Quarantine and snapshots of memories in this process.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use async_trait::async_trait;
use l9_core::Result;
use l9_core::id::{AgentId, TenantId};
use l9_core::memory::{
    Curation, Entry, Expired, Layer, NewQuarantine, Over, Quarantine, Quarantined, Released, Restored, Snapshot,
    Suspect,
};
use l9_core::time::Timestamp;
use uuid::Uuid;

use super::memory::Memory;
use super::tenant::{Marked, State, Tenant};
use crate::entry;
use crate::retrieval::Cause;

#[async_trait]
impl Curation for Memory {
    async fn quarantine(&self, tenant: &TenantId, new: NewQuarantine) -> Result<Quarantined> {
        entry::check_quarantine(&new)?;
        let now = self.clock.now();
        let mut tenants = self.tenants();
        let kept = tenants.entry(tenant.clone()).or_default();
        if let Suspect::Entry(id) = new.suspect
            && kept.entries.get(&id).is_none_or(|kept| kept.state.forgotten)
        {
            return Err(entry::unknown(id));
        }
        let id = entry::curation_id(tenant, &format!("quarantine/{}", kept.quarantines.len()), now, &*self.entropy);
        let NewQuarantine { suspect, reason, by } = new;
        let quarantine = Quarantine { id, suspect, reason, by, at: now, released_at: None, released_by: None };
        let entries = kept.impose(quarantine.clone(), now);
        Ok(Quarantined { quarantine, entries })
    }

    async fn release(&self, tenant: &TenantId, quarantine: Uuid, by: &str) -> Result<Released> {
        let now = self.clock.now();
        let mut tenants = self.tenants();
        let kept = tenants.get_mut(tenant).ok_or_else(|| entry::unknown_quarantine(quarantine))?;
        let found = kept.quarantines.iter_mut().find(|found| found.id == quarantine);
        let found = found.ok_or_else(|| entry::unknown_quarantine(quarantine))?;
        if let Some(at) = found.released_at {
            return Err(entry::released_already(quarantine, at));
        }
        (found.released_at, found.released_by) = (Some(now), Some(by.to_owned()));
        let released = found.clone();
        Ok(Released { quarantine: released, entries: kept.lift(quarantine, now) })
    }

    async fn quarantines(&self, tenant: &TenantId) -> Result<Vec<Quarantine>> {
        let tenants = self.tenants();
        let mut found = tenants.get(tenant).map_or_else(Vec::new, |kept| kept.quarantines.clone());
        found.sort_by_key(|quarantine| std::cmp::Reverse((quarantine.at, quarantine.id)));
        Ok(found)
    }

    async fn snapshot(&self, tenant: &TenantId, agent: Option<AgentId>, name: &str, by: &str) -> Result<Snapshot> {
        entry::check_words("name", name)?;
        let mut tenants = self.tenants();
        Ok(self.mark(tenants.entry(tenant.clone()).or_default(), tenant, agent, name, by))
    }

    async fn snapshots(&self, tenant: &TenantId) -> Result<Vec<Snapshot>> {
        let tenants = self.tenants();
        let marked = |kept: &Tenant| kept.snapshots.iter().map(|marked| marked.snapshot.clone()).collect();
        let mut found: Vec<Snapshot> = tenants.get(tenant).map_or_else(Vec::new, marked);
        found.sort_by_key(|snapshot| std::cmp::Reverse((snapshot.at, snapshot.id)));
        Ok(found)
    }

    async fn restore(&self, tenant: &TenantId, snapshot: Uuid, by: &str) -> Result<Restored> {
        let now = self.clock.now();
        let mut tenants = self.tenants();
        let kept = tenants.get_mut(tenant).ok_or_else(|| entry::unknown_snapshot(snapshot))?;
        let marked = kept.snapshots.iter().find(|marked| marked.snapshot.id == snapshot);
        let marked = marked.ok_or_else(|| entry::unknown_snapshot(snapshot))?;
        let (snapshot, states) = (marked.snapshot.clone(), marked.states.clone());
        let before = self.mark(kept, tenant, snapshot.agent.clone(), &entry::before(&snapshot.name), by);
        let mut restored = Restored { snapshot, before, forgotten: 0, returned: 0, superseded: 0, reinstated: 0 };
        let present = kept.states(restored.snapshot.agent.as_ref());
        let since: Vec<Uuid> = present.keys().filter(|id| !states.contains_key(id)).copied().collect();
        kept.read_again(&since);
        for (id, is) in present {
            let Some(was) = states.get(&id).copied() else {
                if !is.forgotten {
                    kept.set_forgotten(id, true, now);
                    restored.forgotten += 1;
                }
                continue;
            };
            if is.forgotten != was.forgotten {
                kept.set_forgotten(id, was.forgotten, now);
                *(if was.forgotten { &mut restored.forgotten } else { &mut restored.returned }) += 1;
            }
            let by = |state: State| state.superseded.map(|(by, _)| by);
            if by(is) != by(was) {
                kept.set_superseded(id, was.superseded, now);
                *(if was.superseded.is_some() { &mut restored.superseded } else { &mut restored.reinstated }) += 1;
            }
        }
        Ok(restored)
    }

    async fn expire_snapshots(&self, tenant: &TenantId, older_than: Duration, dry_run: bool) -> Result<Expired> {
        let now = self.clock.now();
        let mut tenants = self.tenants();
        let Some(kept) = tenants.get_mut(tenant) else { return Ok(Expired::default()) };
        let stands = |marked: &Marked| now.since(marked.snapshot.at) <= older_than;
        let (left, gone): (Vec<Marked>, Vec<Marked>) = kept.snapshots.drain(..).partition(stands);
        kept.snapshots = left;
        let forgotten = kept.entries.values().filter(|entry| entry.state.forgotten).map(|entry| entry.entry.id);
        let bare: Vec<Uuid> = forgotten.filter(|id| !kept.is_covered(*id)).collect();
        let expired = Expired { snapshots: gone.len() as u64, entries: bare.len() as u64, ..Expired::default() };
        if dry_run {
            kept.snapshots.extend(gone);
        } else {
            bare.into_iter().for_each(|id| kept.remove(id));
        }
        Ok(expired)
    }

    async fn expire_short_term(&self, tenant: &TenantId, until: Timestamp, dry_run: bool) -> Result<Over> {
        let mut tenants = self.tenants();
        let Some(kept) = tenants.get_mut(tenant) else { return Ok(Over::default()) };
        let (mut over, mut oldest) = (Vec::new(), None::<Timestamp>);
        for entry in kept.short_term() {
            match entry.recorded_at {
                at if at <= until => over.push(entry.id),
                at => oldest = Some(oldest.map_or(at, |oldest| oldest.min(at))),
            }
        }
        let entries = over.len() as u64;
        if !dry_run {
            over.into_iter().for_each(|id| kept.remove(id));
        }
        Ok(Over { entries, oldest })
    }

    async fn overdue(&self, until: Timestamp) -> Result<Vec<TenantId>> {
        let tenants = self.tenants();
        let over = |kept: &Tenant| kept.short_term().any(|entry| entry.recorded_at <= until);
        Ok(tenants.iter().filter(|(_, kept)| over(kept)).map(|(tenant, _)| tenant.clone()).collect())
    }
}

impl Memory {
    fn mark(&self, kept: &mut Tenant, tenant: &TenantId, agent: Option<AgentId>, name: &str, by: &str) -> Snapshot {
        let at = self.clock.now();
        let what = format!("snapshot/{}/{name}", kept.snapshots.len());
        let id = entry::curation_id(tenant, &what, at, &*self.entropy);
        let states = kept.states(agent.as_ref());
        let snapshot = Snapshot { id, name: name.to_owned(), agent, by: by.to_owned(), at };
        kept.snapshots.push(Marked { snapshot: snapshot.clone(), states });
        snapshot
    }
}

impl Tenant {
    fn short_term(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().map(|kept| &kept.entry).filter(|entry| entry.entry.layer == Layer::ShortTerm)
    }

    /// Puts a quarantine on what it concerns; gives what is not forgotten of it.
    pub(super) fn impose(&mut self, quarantine: Quarantine, now: Timestamp) -> Vec<Uuid> {
        let mut entries = Vec::new();
        for found in self.derived_from(&quarantine.suspect) {
            let Some(entry) = self.entries.get_mut(&found) else { continue };
            entry.quarantines.insert(quarantine.id);
            if !entry.state.forgotten {
                entries.push(found);
            }
            self.index.hide(found, Cause::Quarantined(quarantine.id), now);
        }
        self.quarantines.push(quarantine);
        entries
    }

    /// Takes a quarantine from what it concerns; gives what is current again.
    pub(super) fn lift(&mut self, quarantine: Uuid, now: Timestamp) -> Vec<Uuid> {
        let mut entries = BTreeSet::new();
        for entry in self.entries.values_mut() {
            if !entry.quarantines.remove(&quarantine) {
                continue;
            }
            self.index.show(entry.entry.id, Cause::Quarantined(quarantine), now);
            if entry.quarantines.is_empty() && entry.state == State::default() {
                entries.insert(entry.entry.id);
            }
        }
        entries.into_iter().collect()
    }

    /// What there is of an agent's own, or of all.
    fn states(&self, agent: Option<&AgentId>) -> HashMap<Uuid, State> {
        let own = |entry: &&super::tenant::Kept| agent.is_none() || entry.entry.entry.agent.as_ref() == agent;
        self.entries.values().filter(own).map(|entry| (entry.entry.id, entry.state)).collect()
    }

    /// What is suspected, and everything that derives from it, in the order of ids.
    pub(super) fn derived_from(&self, suspect: &Suspect) -> BTreeSet<Uuid> {
        let mut reached: BTreeSet<Uuid> = match suspect {
            Suspect::Entry(id) => BTreeSet::from([*id]),
            Suspect::Source(source) => self.sources.get(source).into_iter().flatten().copied().collect(),
        };
        let mut from: Vec<Suspect> = reached.iter().copied().map(Suspect::Entry).chain([suspect.clone()]).collect();
        while let Some(origin) = from.pop() {
            for (_, id) in self.derivations.iter().filter(|(of, _)| *of == origin) {
                if reached.insert(*id) {
                    from.push(Suspect::Entry(*id));
                }
            }
        }
        reached
    }
}
