//! The memories of one tenant, and what became of them, as plainly as it can be said.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use l9_core::digest::Digest;
use l9_core::entropy::Entropy;
use l9_core::id::{AgentId, TenantId};
use l9_core::memory::{
    Cursor, Entry, NewEntry, Quarantine, Query, Quota, Remembered, Scope, Snapshot, Standing, Suspect, Used,
};
use l9_core::time::Timestamp;
use l9_core::{Error, Result};
use uuid::Uuid;

use super::readings::Noted;
use crate::entry;
use crate::retrieval::{Cause, Document, Filter, Index, Terms};

#[derive(Default)]
pub(super) struct Tenant {
    pub(super) entries: HashMap<Uuid, Kept>,
    written: i64,
    /// The entries of one content and of one key, oldest first.
    contents: HashMap<Digest, Vec<Uuid>>,
    keys: HashMap<Vec<u8>, Vec<Uuid>>,
    /// The entries of each source, oldest first.
    pub(super) sources: HashMap<String, Vec<Uuid>>,
    pub(super) index: Index,
    /// What derives from an entry, or from a source.
    pub(super) derivations: HashSet<(Suspect, Uuid)>,
    /// Whom an entry is about.
    pub(super) about: HashSet<(Digest, Uuid)>,
    pub(super) quarantines: Vec<Quarantine>,
    pub(super) snapshots: Vec<Marked>,
    /// What is not forgotten: of the tenant, and of each agent's own.
    pub(super) used: HashMap<Option<AgentId>, Used>,
    /// What was read for what it states, and what was taken from another so.
    pub(super) readings: HashMap<Uuid, Noted>,
}

/// A snapshot, and what it covers.
pub(super) struct Marked {
    pub(super) snapshot: Snapshot,
    pub(super) states: HashMap<Uuid, State>,
}

/// An entry that is kept.
pub(super) struct Kept {
    pub(super) entry: Entry,
    pub(super) position: i64,
    pub(super) state: State,
    pub(super) quarantines: BTreeSet<Uuid>,
    content: Digest,
    bytes: u64,
}

/// What a snapshot remembers of an entry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) forgotten: bool,
    pub(super) superseded: Option<(Uuid, Timestamp)>,
}

/// An entry that is to be kept.
#[derive(Debug, Clone)]
pub(super) struct Added {
    pub(super) entry: Entry,
    content: Digest,
}

impl Added {
    /// An entry that was decided to be added.
    #[cfg(feature = "redis")]
    pub(super) fn of(entry: Entry) -> Self {
        Self { content: entry::content(&entry.entry), entry }
    }
}

impl Kept {
    /// Whether an equal new entry is the same as this one: what a document says at a place it
    /// said before, though it was superseded; what a person says again is said anew.
    fn is_known(&self) -> bool {
        !self.state.forgotten && (self.state.superseded.is_none() || self.entry.entry.source.is_some())
    }

    /// The entry, with what it is taken for now.
    pub(super) fn shown(&self) -> Entry {
        let standing = match self.state {
            State { forgotten: true, .. } => Standing::Forgotten,
            _ if !self.quarantines.is_empty() => Standing::Quarantined,
            State { superseded: Some(_), .. } => Standing::Superseded,
            _ => Standing::Current,
        };
        Entry { standing, superseded_by: self.state.superseded.map(|(by, _)| by), ..self.entry.clone() }
    }

    pub(super) fn cursor(&self) -> Cursor {
        let at = self.entry.entry.at.unwrap_or(self.entry.recorded_at);
        Cursor { at: at.as_millis(), position: self.position }
    }
}

impl Tenant {
    /// What new entries are: known, or to be added. `except` is one that they supersede.
    pub(super) fn decide(
        &self,
        tenant: &TenantId,
        new: &[NewEntry],
        except: Option<Uuid>,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<(Vec<Remembered>, Vec<Added>)> {
        let origins = new.iter().flat_map(|new| &new.derived_from);
        if let Some(origin) = origins.copied().find(|origin| !self.is_there(*origin)) {
            return Err(entry::unknown_origin(origin));
        }
        for attempt in 0.. {
            let decided = self.decide_by(tenant, new.to_vec(), except, (now, attempt), entropy)?;
            if decided.1.iter().all(|added| !self.entries.contains_key(&added.entry.id)) {
                return Ok(decided);
            }
        }
        Err(Error::internal("no id is free"))
    }

    fn decide_by(
        &self,
        tenant: &TenantId,
        new: Vec<NewEntry>,
        except: Option<Uuid>,
        (now, attempt): (Timestamp, u32),
        entropy: &dyn Entropy,
    ) -> Result<(Vec<Remembered>, Vec<Added>)> {
        let mut out = Vec::with_capacity(new.len());
        let mut added: Vec<Added> = Vec::new();
        let (mut contents, mut keys) = (HashMap::new(), HashMap::new());
        for (at, mut new) in new.into_iter().enumerate() {
            let origins = new.derived_from.iter().filter_map(|origin| self.entries.get(origin));
            let about: Vec<Digest> =
                origins.flat_map(|origin| origin.entry.entry.label.subjects.iter().copied()).collect();
            new.label.subjects.extend(about);
            entry::check_subjects(&new)?;
            let (content, key) = (entry::content(&new), entry::key(&new));
            let own = match &key {
                Some(key) => keys.get(key).map(|(id, said)| if entry::says(said, &new) { Ok(*id) } else { Err(()) }),
                None => contents.get(&content).copied().map(Ok),
            };
            match self.known(&new, &content, except).or(own) {
                Some(Ok(id)) => out.push(Remembered { id, duplicate: true }),
                Some(Err(())) => return Err(entry::key_conflict(at, &new)),
                None => {
                    let id = entry::id(tenant, &new, &content, now, attempt, entropy);
                    contents.entry(content).or_insert(id);
                    keys.extend(key.map(|key| (key, (id, new.clone()))));
                    let entry = NewEntry { at: new.at.or(Some(now)), ..new };
                    let entry = Entry { id, entry, recorded_at: now, standing: Standing::Current, superseded_by: None };
                    added.push(Added { entry, content });
                    out.push(Remembered { id, duplicate: false });
                }
            }
        }
        Ok((out, added))
    }

    /// Refuses what a quota has no room for.
    pub(super) fn hold(&self, quota: &Quota, added: &[Added]) -> Result<()> {
        let mut shares: BTreeMap<Option<&AgentId>, Used> = BTreeMap::new();
        for Added { entry, .. } in added {
            let one = Used { entries: 1, bytes: size(&entry.entry) };
            for whose in std::iter::once(None).chain(entry.entry.agent.as_ref().map(Some)) {
                let share = shares.entry(whose).or_default();
                *share = share.and(one);
            }
        }
        shares.into_iter().try_for_each(|(whose, new)| quota.check(whose, self.used(whose), new))
    }

    /// What the tenant has, or an agent's own of it.
    pub(super) fn used(&self, agent: Option<&AgentId>) -> Used {
        self.used.get(&agent.cloned()).copied().unwrap_or_default()
    }

    /// Counts an entry that came, or one that went.
    fn count(&mut self, agent: Option<&AgentId>, bytes: u64, came: bool) {
        for whose in std::iter::once(None).chain(agent.cloned().map(Some)) {
            let used = self.used.entry(whose).or_default();
            let sum = |sum: u64, one: u64| if came { sum + one } else { sum.saturating_sub(one) };
            *used = Used { entries: sum(used.entries, 1), bytes: sum(used.bytes, bytes) };
        }
    }

    /// Whether what was decided to be added is still new.
    pub(super) fn fits(&self, added: &Added) -> bool {
        let new = &added.entry.entry;
        self.known(new, &added.content, None).is_none()
            && !self.entries.contains_key(&added.entry.id)
            && new.derived_from.iter().all(|origin| self.is_there(*origin))
    }

    /// The equal entry that is kept, or a refusal: its key is taken by another text.
    fn known(&self, new: &NewEntry, content: &Digest, except: Option<Uuid>) -> Option<Result<Uuid, ()>> {
        let found = |ids: Option<&Vec<Uuid>>| -> Vec<&Kept> {
            let kept = ids.into_iter().flatten().filter_map(|id| self.entries.get(id));
            kept.filter(|kept| kept.is_known()).collect()
        };
        let Some(key) = entry::key(new) else {
            let others = found(self.contents.get(content)).into_iter().find(|kept| Some(kept.entry.id) != except);
            return others.map(|kept| Ok(kept.entry.id));
        };
        let found = found(self.keys.get(&key));
        let kept = found.iter().min_by_key(|kept| (kept.state.superseded.is_some(), kept.position))?;
        if Some(kept.entry.id) == except {
            return None;
        }
        match entry::says(&kept.entry.entry, new) {
            true => Some(Ok(kept.entry.id)),
            false => kept.state.superseded.is_none().then_some(Err(())),
        }
    }

    /// How many entries were kept so far.
    pub(super) fn written(&self) -> i64 {
        self.written
    }

    fn is_there(&self, id: Uuid) -> bool {
        self.entries.get(&id).is_some_and(|kept| !kept.state.forgotten)
    }

    /// Keeps an entry, in the quarantines that concern it.
    pub(super) fn insert(&mut self, added: Added) {
        let Added { entry, content } = added;
        let (id, new) = (entry.id, &entry.entry);
        self.contents.entry(content).or_default().push(id);
        if let Some(key) = entry::key(new) {
            self.keys.entry(key).or_default().push(id);
        }
        if let Some(source) = &new.source {
            self.sources.entry(source.clone()).or_default().push(id);
        }
        let mut origins: Vec<Suspect> =
            entry::label_sources(new).map(|source| Suspect::Source(source.into())).collect();
        let mut inherited: BTreeSet<Uuid> = BTreeSet::new();
        for origin in new.derived_from.iter().filter_map(|origin| self.entries.get(origin)) {
            origins.push(Suspect::Entry(origin.entry.id));
            origins.extend(origin.entry.entry.source.clone().map(Suspect::Source));
            inherited.extend(&origin.quarantines);
        }
        self.derivations.extend(origins.iter().map(|origin| (origin.clone(), id)));
        self.about.extend(new.label.subjects.iter().map(|subject| (*subject, id)));
        origins.extend(new.source.clone().map(Suspect::Source));
        let concern = |quarantine: &&Quarantine| {
            quarantine.released_at.is_none()
                && (origins.contains(&quarantine.suspect) || inherited.contains(&quarantine.id))
        };
        let quarantines: BTreeSet<Uuid> =
            self.quarantines.iter().filter(concern).map(|quarantine| quarantine.id).collect();
        let document = Document {
            id,
            agent: new.agent.as_ref().map(|agent| self.index.name(agent.as_str().as_bytes())),
            session: new.session.as_ref().map(|session| self.index.name(session.as_bytes())),
            layer: new.layer,
            at: new.at.unwrap_or(entry.recorded_at),
            recorded_at: entry.recorded_at,
            valid_from: new.valid_from,
            valid_to: new.valid_to,
        };
        self.index.add(document, &Terms::of(new));
        for quarantine in &quarantines {
            self.index.hide(id, Cause::Quarantined(*quarantine), entry.recorded_at);
        }
        self.written += 1;
        let bytes = size(&entry.entry);
        self.count(entry.entry.agent.as_ref(), bytes, true);
        let kept = Kept { entry, content, bytes, position: self.written, state: State::default(), quarantines };
        self.entries.insert(id, kept);
    }

    /// Forgets entries, with what was taken from them; tells how many, without the latter.
    pub(super) fn forget(&mut self, ids: &[Uuid], now: Timestamp) -> u64 {
        let taken: Vec<Uuid> = ids.iter().flat_map(|id| self.taken_from(*id)).collect();
        self.forget_only(&taken, now);
        self.forget_only(ids, now)
    }

    /// Forgets entries: hides those that a snapshot covers, and removes the others.
    pub(super) fn forget_only(&mut self, ids: &[Uuid], now: Timestamp) -> u64 {
        let mut forgotten = 0;
        for id in ids {
            if !self.is_there(*id) {
                continue;
            }
            forgotten += 1;
            if self.is_covered(*id) {
                self.set_forgotten(*id, true, now);
            } else {
                self.remove(*id);
            }
        }
        forgotten
    }

    /// Whether going back to a snapshot would show it.
    pub(super) fn is_covered(&self, id: Uuid) -> bool {
        self.snapshots.iter().any(|marked| marked.states.get(&id).is_some_and(|state| !state.forgotten))
    }

    pub(super) fn set_forgotten(&mut self, id: Uuid, forgotten: bool, now: Timestamp) {
        let Some(kept) = self.entries.get_mut(&id) else { return };
        if std::mem::replace(&mut kept.state.forgotten, forgotten) != forgotten {
            let (agent, bytes) = (kept.entry.entry.agent.clone(), kept.bytes);
            self.count(agent.as_ref(), bytes, !forgotten);
        }
        match forgotten {
            true => self.index.hide(id, Cause::Forgotten, now),
            false => self.index.show(id, Cause::Forgotten, now),
        }
    }

    pub(super) fn set_superseded(&mut self, id: Uuid, superseded: Option<(Uuid, Timestamp)>, now: Timestamp) {
        let Some(kept) = self.entries.get_mut(&id) else { return };
        let cause = |(by, valid_from)| Cause::Superseded { by, valid_from };
        if let Some(before) = std::mem::replace(&mut kept.state.superseded, superseded) {
            self.index.show(id, cause(before), now);
        }
        if let Some(after) = superseded {
            self.index.hide(id, cause(after), now);
        }
    }

    /// The entry that has the key of another, which is hidden.
    pub(super) fn key_holder(&self, id: Uuid) -> Option<Uuid> {
        let key = entry::key(&self.entries.get(&id)?.entry.entry)?;
        let holds = |other: &&Uuid| {
            let state = self.entries.get(*other).map(|kept| kept.state);
            **other != id && state.is_some_and(|state| !state.forgotten && state.superseded.is_none())
        };
        self.keys.get(&key)?.iter().find(holds).copied()
    }

    /// Removes an entry and its bytes.
    pub(super) fn remove(&mut self, id: Uuid) {
        let Some(kept) = self.entries.remove(&id) else { return };
        if !kept.state.forgotten {
            self.count(kept.entry.entry.agent.as_ref(), kept.bytes, false);
        }
        drop_from(&mut self.contents, &kept.content, id);
        if let Some(key) = entry::key(&kept.entry.entry) {
            drop_from(&mut self.keys, &key, id);
        }
        if let Some(source) = &kept.entry.entry.source {
            drop_from(&mut self.sources, source, id);
        }
        self.readings.remove(&id);
        self.index.remove(id);
    }

    /// What is about a subject, some entries also, and what derives from them.
    pub(super) fn reached(&self, subject: &Digest, also: &[Uuid]) -> BTreeSet<Uuid> {
        let about = self.about.iter().filter(|(about, _)| about == subject).map(|(_, id)| *id);
        let origins = about.chain(also.iter().copied()).map(Suspect::Entry);
        origins.flat_map(|origin| self.derived_from(&origin)).collect()
    }

    /// Removes entries for good, and what is known of them.
    pub(super) fn erase(&mut self, ids: &BTreeSet<Uuid>) {
        ids.iter().for_each(|id| self.remove(*id));
        self.about.retain(|(_, id)| !ids.contains(id));
        let stays = |origin: &Suspect| !matches!(origin, Suspect::Entry(origin) if ids.contains(origin));
        self.derivations.retain(|(origin, id)| stays(origin) && !ids.contains(id));
        self.snapshots.iter_mut().for_each(|marked| marked.states.retain(|id, _| !ids.contains(id)));
    }

    /// What is kept of a source, oldest first.
    pub(super) fn of_source(&self, source: &str) -> impl DoubleEndedIterator<Item = &Kept> {
        self.kept_of(self.sources.get(source).map_or(&[], Vec::as_slice))
    }

    /// Those of some entries that are not forgotten.
    pub(super) fn kept_of<'a>(&'a self, ids: &'a [Uuid]) -> impl DoubleEndedIterator<Item = &'a Kept> {
        ids.iter().filter_map(|id| self.entries.get(id)).filter(|kept| !kept.state.forgotten)
    }

    pub(super) fn filter(&self, scope: &Scope, query: Option<&Query>) -> Filter {
        Filter {
            agent: scope.agent.as_ref().map(|agent| self.index.find_name(agent.as_str().as_bytes())),
            session: scope.session.as_ref().map(|session| self.index.find_name(session.as_bytes())),
            layer: query.and_then(|query| query.layer),
            as_of: query.and_then(|query| query.as_of),
            valid_at: query.and_then(|query| query.valid_at),
        }
    }

    /// What of a scope passes, by the time it was said.
    pub(super) fn listed(&self, scope: &Scope, passes: impl Fn(&Entry) -> bool) -> Vec<(Cursor, Entry)> {
        let mut found: Vec<(Cursor, Entry)> = self
            .entries
            .values()
            .filter(|kept| {
                let new = &kept.entry.entry;
                let agent = scope.agent.is_none() || new.agent.is_none() || new.agent == scope.agent;
                agent && (scope.session.is_none() || new.session == scope.session)
            })
            .map(|kept| (kept.cursor(), kept.shown()))
            .filter(|(_, entry)| passes(entry))
            .collect();
        found.sort_by_key(|(cursor, _)| *cursor);
        found
    }
}

/// How many bytes an entry is.
fn size(entry: &NewEntry) -> u64 {
    serde_json::to_vec(entry).map_or(0, |json| json.len() as u64)
}

fn drop_from<K: std::hash::Hash + Eq>(map: &mut HashMap<K, Vec<Uuid>>, key: &K, id: Uuid) {
    if let Some(ids) = map.get_mut(key) {
        ids.retain(|other| *other != id);
        if ids.is_empty() {
            map.remove(key);
        }
    }
}
