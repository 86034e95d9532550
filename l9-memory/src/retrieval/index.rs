//! An index in memory over the terms of one tenant's entries: what is in it. How it is
//! searched stands in `rank`.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use l9_core::Result;
use l9_core::memory::Layer;
use l9_core::time::Timestamp;
use uuid::Uuid;

use super::conversations::Conversations;
use super::dense::Dense;
use super::gist::{Gist, Tally};
use super::graph::Graph;
use super::history::{Cause, History};
use super::terms::Terms;
use super::vocabulary::Vocabulary;
use crate::vectors::Code;

/// What the index keeps of an entry besides its terms. Agents and sessions are names
/// that [`Index::name`] gave.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub(crate) id: Uuid,
    pub(crate) agent: Option<u32>,
    pub(crate) session: Option<u32>,
    pub(crate) layer: Layer,
    pub(crate) at: Timestamp,
    pub(crate) recorded_at: Timestamp,
    pub(crate) valid_from: Option<Timestamp>,
    pub(crate) valid_to: Option<Timestamp>,
}

/// Which documents a search may touch. `agent` is satisfied by documents of no agent too.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) agent: Option<Name>,
    pub(crate) session: Option<Name>,
    pub(crate) layer: Option<Layer>,
    pub(crate) as_of: Option<Timestamp>,
    pub(crate) valid_at: Option<Timestamp>,
}

/// A name that the index knows, or one that no document has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    /// Known by this number.
    Known(u32),
    /// Nobody has it.
    Unknown,
}

/// The index of one tenant.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(super) documents: Vec<Option<Header>>,
    places: HashMap<Uuid, u32>,
    /// By the hash of a stem, in the order of the places.
    pub(super) postings: HashMap<u64, Vec<Posting>, BuildHasherDefault<Hashed>>,
    pub(super) vocabulary: Vocabulary,
    pub(super) conversations: Conversations,
    pub(super) graph: Graph,
    pub(super) dense: Dense,
    pub(super) names: HashMap<Vec<u8>, u32>,
    /// Who speaks, by the stems of the name.
    pub(super) speakers: HashMap<String, u32>,
    /// The number of the next speaker.
    next_speaker: u32,
    /// Places of removed documents whose postings still stand.
    removed: usize,
    /// What became of documents that are not there yet.
    awaited: HashMap<Uuid, History>,
}

#[derive(Debug)]
pub(super) struct Header {
    pub(super) document: Document,
    history: History,
    pub(super) length: u32,
    pub(super) speaker: Option<u32>,
    pub(super) gist: Gist,
    /// Whether it is in the graph alone, and stands in no conversation.
    pub(super) wordless: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Posting {
    pub(super) place: u32,
    pub(super) count: u32,
}

impl Index {
    /// The number of a name of an agent or session; equal names have equal numbers.
    pub(crate) fn name(&mut self, name: &[u8]) -> u32 {
        if let Some(number) = self.names.get(name) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.insert(name.to_owned(), number);
        number
    }

    /// The number of a name, without adding it.
    pub(crate) fn find_name(&self, name: &[u8]) -> Name {
        self.names.get(name).map_or(Name::Unknown, |number| Name::Known(*number))
    }

    /// Adds a document; one that is there already stays as it is.
    pub(crate) fn add(&mut self, document: Document, terms: &Terms) {
        let place = u32::try_from(self.documents.len()).unwrap_or(u32::MAX);
        if self.places.contains_key(&document.id) || place == u32::MAX {
            return;
        }
        let id = document.id;
        self.places.insert(id, place);
        let history = self.awaited.remove(&id).unwrap_or_default();
        let wordless = terms.is_wordless();
        if !wordless {
            self.conversations.add(place, document.session, document.at);
        }
        if let Some(relation) = &terms.relation {
            self.graph.add(place, relation);
        }
        let speaker = (!terms.speaker.is_empty()).then(|| self.speaker(&terms.speaker));
        let mut tally = Tally::default();
        for (stem, count) in terms.each() {
            let hash = stem_hash(stem);
            tally.add(stem, hash, count);
            let postings = self.postings.entry(hash).or_default();
            if postings.is_empty() {
                self.vocabulary.add(stem);
            }
            postings.push(Posting { place, count });
        }
        let (length, gist) = (terms.length, tally.gist());
        self.documents.push(Some(Header { document, history, length, speaker, gist, wordless }));
        if let Some(code) = self.dense.arrived(id) {
            // One of another length than the others has nothing to be compared with.
            drop(self.dense.put(place, &code));
        }
    }

    /// Keeps the vector of a document that is there or still to come; one of another length than
    /// the others is refused.
    pub(crate) fn embed(&mut self, id: Uuid, code: Code) -> Result<()> {
        match self.places.get(&id) {
            Some(place) => self.dense.put(*place, &code)?,
            None => self.dense.wait(id, code),
        }
        Ok(())
    }

    /// Whether a document has its vector.
    pub(crate) fn is_embedded(&self, id: Uuid) -> bool {
        self.places.get(&id).is_some_and(|place| self.dense.has(*place))
    }

    /// Those documents of some layers that a filter lets pass and that have no vector here.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn without_vector<'i>(
        &'i self,
        filter: &'i Filter,
        of: impl Fn(Layer) -> bool + 'i,
    ) -> impl Iterator<Item = Uuid> + 'i {
        let passes = move |header: &Header| !header.wordless && of(header.document.layer) && filter.passes(header);
        let documents = self.documents.iter().zip(0..);
        let wanted =
            documents.filter_map(move |(slot, place)| slot.as_ref().filter(|one| passes(one)).zip(Some(place)));
        wanted.filter(|(_, place)| !self.dense.has(*place)).map(|(header, _)| header.document.id)
    }

    /// Whether a document is there and a filter lets it pass.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn passes(&self, id: Uuid, filter: &Filter) -> bool {
        let header = self.places.get(&id).and_then(|place| self.documents.get(*place as usize)?.as_ref());
        header.is_some_and(|header| !header.wordless && filter.passes(header))
    }

    /// Where a document is.
    pub(super) fn place(&self, id: Uuid) -> Option<u32> {
        self.places.get(&id).copied()
    }

    /// Hides a document from a time on, or one that is still to come.
    pub(crate) fn hide(&mut self, id: Uuid, cause: Cause, at: Timestamp) {
        self.history(id).hide(cause, at);
    }

    /// Takes back from a time on what hid a document.
    pub(crate) fn show(&mut self, id: Uuid, cause: Cause, at: Timestamp) {
        self.history(id).show(cause, at);
    }

    fn history(&mut self, id: Uuid) -> &mut History {
        let header = self.places.get(&id).and_then(|place| self.documents.get_mut(*place as usize)?.as_mut());
        match header {
            Some(header) => &mut header.history,
            None => self.awaited.entry(id).or_default(),
        }
    }

    /// Removes a document; tells whether it was there.
    pub(crate) fn remove(&mut self, id: Uuid) -> bool {
        self.awaited.remove(&id);
        self.dense.arrived(id);
        let Some(place) = self.places.remove(&id) else { return false };
        if let Some(header) = self.documents.get_mut(place as usize).and_then(Option::take) {
            if !header.wordless {
                self.conversations.remove(place, header.document.session, header.document.at);
            }
            self.graph.remove(place);
            self.dense.remove(place);
        }
        self.removed += 1;
        if self.removed > 1024 && self.removed > self.places.len() {
            self.compact();
        }
        true
    }

    /// How many documents a filter lets pass.
    pub(crate) fn count(&self, filter: &Filter) -> usize {
        self.documents.iter().flatten().filter(|header| filter.passes(header)).count()
    }

    fn speaker(&mut self, name: &str) -> u32 {
        if let Some(number) = self.speakers.get(name) {
            return *number;
        }
        let number = self.next_speaker;
        self.next_speaker += 1;
        self.speakers.insert(name.to_owned(), number);
        number
    }

    /// Gives the room of removed documents back.
    fn compact(&mut self) {
        let mut moved = vec![u32::MAX; self.documents.len()];
        let mut next = 0_u32;
        for (header, slot) in self.documents.iter().zip(&mut moved) {
            if header.is_some() {
                *slot = next;
                next += 1;
            }
        }
        self.documents.retain(Option::is_some);
        self.conversations.renumber(&moved, self.documents.len());
        self.graph.renumber(&moved);
        self.dense.renumber(&moved);
        self.places.values_mut().for_each(|place| *place = moved[*place as usize]);
        self.postings.retain(|_, postings| {
            postings.retain_mut(|posting| {
                posting.place = moved[posting.place as usize];
                posting.place != u32::MAX
            });
            !postings.is_empty()
        });
        let postings = &self.postings;
        self.vocabulary.retain(|stem| postings.contains_key(&stem_hash(stem)));
        let spoken: HashSet<u32> = self.documents.iter().flatten().filter_map(|header| header.speaker).collect();
        self.speakers.retain(|_, number| spoken.contains(number));
        self.removed = 0;
    }
}

impl Filter {
    pub(super) fn passes(&self, Header { document, history, .. }: &Header) -> bool {
        let named = |wanted: Option<Name>, has: Option<u32>| match wanted {
            None => true,
            Some(Name::Known(number)) => has == Some(number),
            Some(Name::Unknown) => false,
        };
        (document.agent.is_none() || named(self.agent, document.agent))
            && named(self.session, document.session)
            && self.layer.is_none_or(|layer| layer == document.layer)
            && self.as_of.is_none_or(|time| document.recorded_at <= time)
            && self.valid_at.is_none_or(|time| {
                document.valid_from.is_none_or(|from| from <= time) && document.valid_to.is_none_or(|to| time < to)
            })
            && !history.hides(self.as_of, self.valid_at)
    }
}

/// FNV-1a, 64 bits, then the finaliser of MurmurHash3.
pub(crate) fn stem_hash(stem: &str) -> u64 {
    let mut hash = stem
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// Passes on what is a hash already.
#[derive(Debug, Default)]
pub(super) struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
