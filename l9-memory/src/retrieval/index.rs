//! An index in memory over the terms of one tenant's entries, ranked by BM25
//! (Robertson and Zaragoza 2009, section 3.4).
//!
//! Filters come first: they give the set of documents, and every statistic of the
//! ranking is taken over that set alone. So a search costs one pass over the
//! documents' headers and one over the postings of its words, whatever the filter.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use l9_core::memory::Layer;
use l9_core::time::Timestamp;
use uuid::Uuid;

use super::history::{Cause, History};
use super::terms::{Query, Terms};

const K1: f64 = 1.2;
const B: f64 = 0.75;

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

/// A document that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Found {
    pub(crate) id: Uuid,
    pub(crate) score: f64,
}

/// The index of one tenant.
#[derive(Debug, Default)]
pub(crate) struct Index {
    documents: Vec<Option<Header>>,
    places: HashMap<Uuid, u32>,
    postings: HashMap<u64, Vec<Posting>, BuildHasherDefault<Hashed>>,
    names: HashMap<Vec<u8>, u32>,
    /// Places of removed documents whose postings still stand.
    removed: usize,
    /// What became of documents that are not there yet.
    awaited: HashMap<Uuid, History>,
}

#[derive(Debug)]
struct Header {
    document: Document,
    history: History,
    length: u32,
}

#[derive(Debug, Clone, Copy)]
struct Posting {
    place: u32,
    count: u32,
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
        self.places.insert(document.id, place);
        let history = self.awaited.remove(&document.id).unwrap_or_default();
        self.documents.push(Some(Header { document, history, length: terms.length }));
        for (term, count) in &terms.counts {
            self.postings.entry(*term).or_default().push(Posting { place, count: *count });
        }
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
        let Some(place) = self.places.remove(&id) else { return false };
        if let Some(document) = self.documents.get_mut(place as usize) {
            *document = None;
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

    /// The best `k` documents, best first; ties newest first, then by id.
    pub(crate) fn search(&self, query: &Query, filter: &Filter, k: usize) -> Vec<Found> {
        if k == 0 || query.counts.is_empty() {
            return Vec::new();
        }
        let allowed = self.allowed(filter);
        if allowed.count == 0 {
            return Vec::new();
        }
        let mut scores = vec![0.0_f64; self.documents.len()];
        let mut touched = Vec::new();
        for (term, asked) in &query.counts {
            let Some(postings) = self.postings.get(term) else { continue };
            let frequency = postings.iter().filter(|posting| allowed.has(posting.place)).count();
            let weight = idf(allowed.count, frequency) * f64::from(*asked);
            for posting in postings.iter().filter(|posting| allowed.has(posting.place)) {
                let place = posting.place as usize;
                let score = &mut scores[place];
                if *score == 0.0 {
                    touched.push(posting.place);
                }
                *score += weight * saturation(posting.count, allowed.lengths[place], allowed.average);
            }
        }
        self.best(touched, &scores, k)
    }

    fn allowed(&self, filter: &Filter) -> Allowed {
        let mut lengths = vec![u32::MAX; self.documents.len()];
        let (mut count, mut total) = (0_usize, 0_u64);
        for (header, slot) in self.documents.iter().zip(&mut lengths) {
            if let Some(header) = header.as_ref().filter(|header| filter.passes(header)) {
                *slot = header.length;
                count += 1;
                total += u64::from(header.length);
            }
        }
        let average = if count == 0 { 1.0 } else { (total as f64 / count as f64).max(1.0) };
        Allowed { lengths, count, average }
    }

    fn best(&self, mut places: Vec<u32>, scores: &[f64], k: usize) -> Vec<Found> {
        let document = |place: u32| self.documents[place as usize].as_ref().map(|header| &header.document);
        let order = |one: &u32, other: &u32| -> Ordering {
            scores[*other as usize].total_cmp(&scores[*one as usize]).then_with(|| {
                let key = |place| document(place).map(|document| (std::cmp::Reverse(document.at), document.id));
                key(*one).cmp(&key(*other))
            })
        };
        if places.len() > k {
            places.select_nth_unstable_by(k, order);
            places.truncate(k);
        }
        places.sort_unstable_by(order);
        places
            .into_iter()
            .filter_map(|place| {
                document(place).map(|document| Found { id: document.id, score: scores[place as usize] })
            })
            .collect()
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
        self.places.values_mut().for_each(|place| *place = moved[*place as usize]);
        self.postings.retain(|_, postings| {
            postings.retain_mut(|posting| {
                posting.place = moved[posting.place as usize];
                posting.place != u32::MAX
            });
            !postings.is_empty()
        });
        self.removed = 0;
    }
}

impl Filter {
    fn passes(&self, Header { document, history, .. }: &Header) -> bool {
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

/// The set a filter gives: the length of every document in it, `u32::MAX` for others.
struct Allowed {
    lengths: Vec<u32>,
    count: usize,
    average: f64,
}

impl Allowed {
    fn has(&self, place: u32) -> bool {
        self.lengths[place as usize] != u32::MAX
    }
}

/// Inverse document frequency, kept positive as in Lucene.
fn idf(documents: usize, frequency: usize) -> f64 {
    let (documents, frequency) = (documents as f64, frequency as f64);
    (1.0 + (documents - frequency + 0.5) / (frequency + 0.5)).ln()
}

fn saturation(count: u32, length: u32, average: f64) -> f64 {
    let count = f64::from(count);
    count * (K1 + 1.0) / (count + K1 * (1.0 - B + B * f64::from(length) / average))
}

/// Passes on what is a hash already.
#[derive(Debug, Default)]
struct Hashed(u64);

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
