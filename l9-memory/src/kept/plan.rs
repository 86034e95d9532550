//! What a call to remember wants kept, and the decision what of it is new.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use l9_core::Result;
use l9_core::digest::Digest;
use l9_core::entropy::Entropy;
use l9_core::id::TenantId;
use l9_core::memory::{NewEntry, Quota, Remembered};
use l9_core::time::{Clock, Timestamp};
use l9_core::vault::Vault;
use uuid::Uuid;

use super::sealing::{self, Kept, Known, Marks, Prepared};
use super::subjects::Subjects;
use crate::entry;
use crate::vault::SubjectKeys;

/// What entries are made and opened with.
#[derive(Clone)]
pub(super) struct Keeper {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) vault: Arc<dyn Vault>,
    pub(super) quota: Quota,
}

/// Entries ready to be kept, sealed already unless they are known.
pub(super) struct Plan {
    keeper: Arc<Keeper>,
    tenant: TenantId,
    entries: Vec<Planned>,
    /// An entry that they supersede, so it does not count as kept.
    except: Option<Uuid>,
    /// What there must be room in.
    quota: Quota,
}

struct Planned {
    new: NewEntry,
    marks: Marks,
    prepared: Option<Prepared>,
}

/// What is to be inserted, and what the caller is told then.
pub(super) struct Decided {
    pub(super) added: Vec<Prepared>,
    pub(super) remembered: Vec<Remembered>,
}

impl Plan {
    pub(super) fn new(
        keeper: Arc<Keeper>,
        tenant: TenantId,
        new: Vec<NewEntry>,
        known: &HashSet<Digest>,
        subjects: &Subjects,
        (now, attempt): (Timestamp, u32),
    ) -> Result<Self> {
        let plan = |new: NewEntry| {
            let marks = Marks::of(&*keeper.vault, &tenant, &new);
            let prepared = if known.contains(&marks.main()) {
                None
            } else {
                let with = (&*keeper.vault, &*keeper.entropy);
                Some(sealing::prepare(with, &tenant, subjects, marks, new.clone(), (now, attempt))?)
            };
            Ok(Planned { new, marks, prepared })
        };
        let entries = new.into_iter().map(plan).collect::<Result<_>>()?;
        let quota = keeper.quota;
        Ok(Self { keeper, tenant, entries, except: None, quota })
    }

    /// With an entry that they supersede.
    pub(super) fn superseding(mut self, old: Uuid) -> Self {
        self.except = Some(old);
        self
    }

    /// Whose entries they are.
    pub(crate) fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// What they derive from, in their order.
    pub(super) fn origins(&self) -> impl Iterator<Item = Uuid> {
        self.entries.iter().flat_map(|planned| planned.new.derived_from.iter().copied())
    }

    /// Whether ids are a function of a seed, and may be those of entries that are there.
    pub(super) fn is_seeded(&self) -> bool {
        self.keeper.entropy.seed().is_some()
    }

    /// What finds those that are kept already.
    pub(crate) fn marks(&self) -> Vec<Marks> {
        self.entries.iter().map(|planned| planned.marks).collect()
    }

    /// Decides, by what is kept, what is new; `None` if something is that was not
    /// prepared. `keys` are those of whom the entries of its keys are about.
    ///
    /// # Errors
    /// `Conflict` for a key of other words, `Corrupt` when the entry of a key does not
    /// open.
    pub(super) fn decide(mut self, mut kept: Kept, keys: &SubjectKeys) -> Result<Option<Decided>> {
        // The words of this call's own new keys.
        let mut keyed: HashMap<Digest, (Uuid, usize)> = HashMap::new();
        let mut decided = Decided { added: Vec::new(), remembered: Vec::with_capacity(self.entries.len()) };
        for at in 0..self.entries.len() {
            let marks = self.entries[at].marks;
            let known = match marks.key {
                None => kept.contents.get(&marks.content).and_then(|ids| self.first_of(ids)),
                Some(key) => {
                    let new = &self.entries[at].new;
                    let found = match (keyed.get(&key), kept.keys.get(&key)) {
                        (Some((id, first)), _) => Some((*id, entry::says(&self.entries[*first].new, new))),
                        (None, Some(known)) if Some(known.id) != self.except => {
                            let same = self.is_same(keys, known, new)?;
                            // The key of a superseded entry may name another text.
                            (same || !known.superseded).then_some((known.id, same))
                        }
                        (None, _) => None,
                    };
                    if found.is_some_and(|(_, same)| !same) {
                        return Err(entry::key_conflict(at, new));
                    }
                    found.map(|(id, _)| id)
                }
            };
            if let Some(id) = known {
                decided.remembered.push(Remembered { id, duplicate: true });
                continue;
            }
            let Some(prepared) = self.entries[at].prepared.take() else { return Ok(None) };
            kept.contents.entry(marks.content).or_default().push(prepared.id);
            keyed.extend(marks.key.map(|key| (key, (prepared.id, at))));
            decided.remembered.push(Remembered { id: prepared.id, duplicate: false });
            decided.added.push(prepared);
        }
        Ok(Some(decided))
    }

    /// The oldest of entries that they do not supersede.
    fn first_of(&self, ids: &[Uuid]) -> Option<Uuid> {
        ids.iter().copied().find(|id| Some(*id) != self.except)
    }

    /// Whether the entry of a key has these words, about the same.
    fn is_same(&self, keys: &SubjectKeys, known: &Known, new: &NewEntry) -> Result<bool> {
        let entry = sealing::open(self.vault(), keys, &self.tenant, (known.id, 0), &known.sealed)?;
        Ok(entry.is_some_and(|entry| entry::says(&entry.entry, new)))
    }

    /// Counts, and is not refused.
    pub(super) fn unbounded(self) -> Self {
        Self { quota: Quota::default(), ..self }
    }

    /// How much may be kept.
    pub(super) fn quota(&self) -> Quota {
        self.quota
    }

    pub(super) fn vault(&self) -> &dyn Vault {
        &*self.keeper.vault
    }
}

/// New entries that are written with an append to the journal of the same database.
pub(crate) struct Addition {
    pub(crate) tenant: TenantId,
    pub(crate) added: Vec<Prepared>,
    pub(crate) quota: Quota,
}

impl Addition {
    /// What finds those that were kept meanwhile.
    pub(crate) fn marks(&self) -> Vec<Marks> {
        self.added.iter().map(|new| Marks { content: new.content, key: new.key }).collect()
    }

    /// Whether all of them are still new.
    pub(crate) fn fits(&self, kept: &Kept) -> bool {
        self.added.iter().all(|new| match new.key {
            Some(key) => kept.keys.get(&key).is_none_or(|known| known.superseded),
            None => !kept.contents.contains_key(&new.content),
        })
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").field("tenant", &self.tenant).field("entries", &self.len()).finish()
    }
}
