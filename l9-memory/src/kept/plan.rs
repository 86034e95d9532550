//! What a call to remember wants kept, and the decision what of it is new.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use l9_core::Result;
use l9_core::digest::Digest;
use l9_core::entropy::Entropy;
use l9_core::id::TenantId;
use l9_core::memory::{NewEntry, Remembered};
use l9_core::time::Clock;
use l9_core::vault::Vault;
use uuid::Uuid;

use super::sealing::{self, Kept, Marks, Prepared};
use crate::entry;

/// What entries are made and opened with.
pub(super) struct Keeper {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) vault: Arc<dyn Vault>,
}

/// Entries ready to be kept, sealed already unless they are known.
pub struct Plan {
    keeper: Arc<Keeper>,
    tenant: TenantId,
    entries: Vec<Planned>,
}

struct Planned {
    new: NewEntry,
    marks: Marks,
    prepared: Option<Prepared>,
}

/// What is to be inserted, and what the caller is told then.
pub(crate) struct Decided {
    pub(crate) added: Vec<Prepared>,
    pub(crate) remembered: Vec<Remembered>,
}

impl Plan {
    pub(super) fn new(
        keeper: Arc<Keeper>,
        tenant: TenantId,
        new: Vec<NewEntry>,
        known: &HashSet<Digest>,
    ) -> Result<Self> {
        let plan = |new: NewEntry| {
            let marks = Marks::of(&*keeper.vault, &tenant, &new);
            let prepared = if known.contains(&marks.main()) {
                None
            } else {
                let now = keeper.clock.now();
                Some(sealing::prepare(&*keeper.vault, &*keeper.entropy, &tenant, marks, new.clone(), now)?)
            };
            Ok(Planned { new, marks, prepared })
        };
        let entries = new.into_iter().map(plan).collect::<Result<_>>()?;
        Ok(Self { keeper, tenant, entries })
    }

    /// Whose entries they are.
    pub(crate) fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// What finds those that are kept already.
    pub(crate) fn marks(&self) -> Vec<Marks> {
        self.entries.iter().map(|planned| planned.marks).collect()
    }

    /// Decides, by what is kept, what is new; `None` if something is that was not
    /// prepared.
    ///
    /// # Errors
    /// `Conflict` for a key of other words, `Corrupt` when the entry of a key does not
    /// open.
    pub(crate) fn decide(mut self, mut kept: Kept) -> Result<Option<Decided>> {
        // The words of this call's own new keys.
        let mut keyed: HashMap<Digest, (Uuid, usize)> = HashMap::new();
        let mut decided = Decided { added: Vec::new(), remembered: Vec::with_capacity(self.entries.len()) };
        for at in 0..self.entries.len() {
            let marks = self.entries[at].marks;
            let known = match marks.key {
                None => kept.contents.get(&marks.content).copied(),
                Some(key) => {
                    let new = &self.entries[at].new;
                    let found = match (keyed.get(&key), kept.keys.get(&key)) {
                        (Some((id, first)), _) => Some((*id, self.entries[*first].new.text == new.text)),
                        (None, Some((id, sealed))) => Some((*id, self.is_same(*id, sealed, new)?)),
                        (None, None) => None,
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
            kept.contents.entry(marks.content).or_insert(prepared.id);
            keyed.extend(marks.key.map(|key| (key, (prepared.id, at))));
            decided.remembered.push(Remembered { id: prepared.id, duplicate: false });
            decided.added.push(prepared);
        }
        Ok(Some(decided))
    }

    /// Whether the entry of a key has these words.
    fn is_same(&self, id: Uuid, sealed: &[u8], new: &NewEntry) -> Result<bool> {
        Ok(sealing::open(&*self.keeper.vault, &self.tenant, id, 0, sealed)?.entry.text == new.text)
    }
}

/// New entries that are written with an append to the journal of the same database.
pub(crate) struct Addition {
    pub(crate) tenant: TenantId,
    pub(crate) added: Vec<Prepared>,
}

impl Addition {
    /// What finds those that were kept meanwhile.
    pub(crate) fn marks(&self) -> Vec<Marks> {
        self.added.iter().map(|new| Marks { content: new.content, key: new.key }).collect()
    }

    /// Whether all of them are still new.
    pub(crate) fn fits(&self, kept: &Kept) -> bool {
        self.added.iter().all(|new| match new.key {
            Some(key) => !kept.keys.contains_key(&key),
            None => !kept.contents.contains_key(&new.content),
        })
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").field("tenant", &self.tenant).field("entries", &self.len()).finish()
    }
}
