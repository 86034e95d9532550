//! What was read of entries in this process, and what was taken from them so.

use async_trait::async_trait;
use l9_core::Result;
use l9_core::id::{RunId, TenantId};
use l9_core::memory::{Layer, MemoryStore as _};
use uuid::Uuid;

use super::memory::Memory;
use super::tenant::{Kept, Tenant};
use crate::entry;
use crate::relations::{Progress, Readable, Reading, Unread};

/// That an entry was read, or was taken from another.
#[derive(Debug, Clone)]
pub(super) struct Noted {
    reader: String,
    origin: Option<Uuid>,
    failure: Option<String>,
}

#[async_trait]
impl Readable for Memory {
    async fn unread(&self, tenant: &TenantId, reader: &str, after: i64, limit: usize) -> Result<Vec<Unread>> {
        let tenants = self.tenants();
        let Some(kept) = tenants.get(tenant) else { return Ok(Vec::new()) };
        let mut found: Vec<&Kept> = kept.unread(reader).filter(|one| one.position > after).collect();
        found.sort_by_key(|one| one.position);
        let unread = |one: &&Kept| Unread { position: one.position, entry: one.shown() };
        Ok(found.iter().take(limit).map(unread).collect())
    }

    async fn keep_readings(&self, tenant: &TenantId, reader: &str, readings: Vec<Reading>) -> Result<u64> {
        let now = self.clock.now();
        // The runs stay as they are meanwhile; whoever appends locks them first too.
        let runs = self.runs.as_ref().map(|runs| runs.state());
        let mut tenants = self.tenants();
        let Some(kept) = tenants.get_mut(tenant) else { return Ok(0) };
        let mut count = 0;
        for mut reading in readings {
            let gone = |run: &RunId| runs.as_ref().is_some_and(|runs| !runs.is_whole(tenant, *run));
            let gone: Vec<RunId> = reading.run.into_iter().filter(gone).collect();
            reading.without(&gone);
            let Reading { origin, mut taken, failure, .. } = reading;
            if kept.entries.get(&origin).is_none_or(|kept| !kept.stands()) {
                continue;
            }
            entry::check(&taken)?;
            entry::about(&mut taken, |subject| self.subject(tenant, subject));
            let (remembered, added) = kept.decide(tenant, &taken, None, now, &*self.entropy)?;
            added.into_iter().for_each(|added| kept.insert(added));
            let ids: Vec<Uuid> = remembered.iter().map(|kept| kept.id).collect();
            let before: Vec<Uuid> = kept.taken_from(origin).filter(|id| !ids.contains(id)).collect();
            kept.forget_only(&before, now);
            let reader = || reader.to_owned();
            kept.readings.insert(origin, Noted { reader: reader(), origin: None, failure });
            count += ids.len() as u64;
            let noted = |id| (id, Noted { reader: reader(), origin: Some(origin), failure: None });
            kept.readings.extend(ids.into_iter().map(noted));
        }
        Ok(count)
    }

    async fn readings(&self, reader: &str, viewer: &TenantId) -> Result<Progress> {
        let mut progress = Progress::default();
        for (tenant, kept) in self.tenants().iter() {
            progress.pending += kept.unread(reader).count() as u64;
            for (id, noted) in kept.readings.iter().filter(|(_, noted)| noted.reader == reader) {
                *(if noted.origin.is_none() { &mut progress.read } else { &mut progress.relations }) += 1;
                if let Some(why) = &noted.failure {
                    progress.failed += 1;
                    if tenant == viewer {
                        progress.such_as = Some(format!("memory {id}: {why}"));
                    }
                }
            }
        }
        Ok(progress)
    }
}

impl Kept {
    /// Whether it is neither forgotten nor superseded.
    pub(super) fn stands(&self) -> bool {
        !self.state.forgotten && self.state.superseded.is_none()
    }
}

impl Tenant {
    fn unread(&self, reader: &str) -> impl Iterator<Item = &Kept> {
        let is_read = move |id: &Uuid| {
            self.readings.get(id).is_some_and(|noted| noted.origin.is_some() || noted.reader == reader)
        };
        let shown = |kept: &&Kept| kept.stands() && kept.quarantines.is_empty();
        let long = |kept: &&Kept| kept.entry.entry.layer != Layer::ShortTerm;
        self.entries.values().filter(long).filter(shown).filter(move |kept| !is_read(&kept.entry.id))
    }

    /// Whether an entry was taken from another.
    pub(super) fn is_taken(&self, id: Uuid) -> bool {
        self.readings.get(&id).is_some_and(|noted| noted.origin.is_some())
    }

    /// What was taken from an entry.
    pub(super) fn taken_from(&self, origin: Uuid) -> impl Iterator<Item = Uuid> {
        let taken = self.readings.iter().filter(move |(_, noted)| noted.origin == Some(origin));
        taken.map(|(id, _)| *id)
    }

    /// Has entries be read again from which something was taken that is hidden now.
    pub(super) fn read_again(&mut self, hidden: &[Uuid]) {
        for id in hidden {
            if let Some(origin) = self.readings.get(id).and_then(|noted| noted.origin) {
                self.readings.remove(&origin);
            }
        }
    }
}
