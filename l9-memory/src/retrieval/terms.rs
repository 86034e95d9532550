//! The terms of a text and of a query: stems, and who speaks.

use std::collections::HashMap;

use l9_core::memory::{NewEntry, Relation};
use serde_json::Value;
use uuid::Uuid;

use super::words;
use crate::relations::TAKEN;

/// Where a note keeps who said it, beside the words themselves.
pub(super) const SPEAKER_FIELD: &str = "speaker";
/// The longest name before a colon that is taken for a speaker's, in bytes.
const SPEAKER: usize = 40;

/// The terms of one text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    /// How many words the text has, those that tell nothing left out.
    pub(crate) length: u32,
    /// The stems of the name of who says it, with a space after each; empty if nobody is named.
    pub(crate) speaker: String,
    /// What it states, for the graph.
    pub(crate) relation: Option<Relation>,
    stems: String,
    counts: Vec<Counted>,
}

/// One stem: where it ends in `stems`, and how often it occurs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counted {
    end: u32,
    count: u32,
}

impl Terms {
    /// The terms of an entry; its metadata may name its speaker. What was taken from another has
    /// no words but its origin's.
    pub(crate) fn of(entry: &NewEntry) -> Self {
        if entry.metadata.contains_key(TAKEN) {
            return Self::empty(0, "", entry.relation.clone());
        }
        let text = entry.text.as_str();
        let mut length = 0_u32;
        let mut arena = String::with_capacity(text.len());
        let mut places = Vec::with_capacity(text.len() / 5);
        words::each(text, |stem, stopword| {
            length = length.saturating_add(u32::from(!stopword));
            let start = arena.len();
            arena.push_str(stem);
            places.push(start..arena.len());
        });
        places.sort_unstable_by(|one, other| arena[one.clone()].cmp(&arena[other.clone()]));
        let mut terms = Self { length, relation: entry.relation.clone(), ..Self::default() };
        let mut last: Option<&str> = None;
        for place in places {
            let stem = &arena[place];
            match terms.counts.last_mut().filter(|_| last == Some(stem)) {
                Some(counted) => counted.count = counted.count.saturating_add(1),
                None => terms.push(stem, 1),
            }
            last = Some(stem);
        }
        let named = entry.metadata.get(SPEAKER_FIELD).and_then(Value::as_str).or_else(|| speaker(text));
        words::each(named.unwrap_or_default(), |stem, _| {
            terms.speaker.push_str(stem);
            terms.speaker.push(' ');
        });
        terms
    }

    /// With nothing in it yet.
    pub(super) fn empty(length: u32, speaker: &str, relation: Option<Relation>) -> Self {
        Self { length, speaker: speaker.to_owned(), relation, ..Self::default() }
    }

    /// Makes room for the stems of a packed form of so many bytes.
    pub(super) fn reserve(&mut self, packed: usize) {
        // A stem of a few letters, its length and its count take about eight bytes.
        self.stems.reserve(packed);
        self.counts.reserve(packed / 8);
    }

    /// Whether it is in the graph alone: nothing in it can be found by words.
    pub(super) fn is_wordless(&self) -> bool {
        self.relation.is_some() && self.length == 0 && self.counts.is_empty() && self.speaker.is_empty()
    }

    /// Adds a stem that comes after all before it.
    pub(super) fn push(&mut self, stem: &str, count: u32) {
        self.stems.push_str(stem);
        self.counts.push(Counted { end: u32::try_from(self.stems.len()).unwrap_or(u32::MAX), count });
    }

    /// Every stem, ascending, and how often it occurs.
    pub(crate) fn each(&self) -> impl Iterator<Item = (&str, u32)> {
        let mut start = 0_usize;
        self.counts.iter().map(move |counted| {
            let end = counted.end as usize;
            let stem = &self.stems[start..end];
            start = end;
            (stem, counted.count)
        })
    }
}

/// The name that a text begins with as a script does: `Ada: hello`.
pub(crate) fn speaker(text: &str) -> Option<&str> {
    let (name, _) = text.get(..text.floor_char_boundary(SPEAKER))?.split_once(": ")?;
    let fits = |char: char| char.is_alphabetic() || matches!(char, ' ' | '.' | '-' | '\'');
    (name.starts_with(char::is_alphabetic) && name.chars().all(fits) && name.split(' ').count() <= 3).then_some(name)
}

/// The terms of a query.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Query {
    /// Every stem and how often it was asked for, in the order of the words.
    pub(crate) counts: Vec<(String, u32)>,
    /// Its vector.
    pub(crate) meant: Meant,
    /// What is near to it of the documents whose vectors are not in the index.
    pub(crate) near: Vec<Near>,
}

/// A document that was found by its vector elsewhere.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Near {
    pub(crate) id: Uuid,
    pub(crate) similarity: f32,
}

/// What a query means.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Meant {
    /// There is no embedder.
    #[default]
    Unasked,
    /// Its vector.
    Vector(Vec<f32>),
    /// Why there is none.
    Failed(String),
}

impl Query {
    /// The terms of a query. Words that tell nothing count only if there are no others.
    pub(crate) fn of(text: &str) -> Self {
        let mut told = Vec::new();
        let mut rest = Vec::new();
        words::each(text, |stem, stopword| if stopword { &mut rest } else { &mut told }.push(stem.to_owned()));
        let mut places = HashMap::new();
        let mut counts: Vec<(String, u32)> = Vec::new();
        for stem in if told.is_empty() { rest } else { told } {
            let place = *places.entry(stem.clone()).or_insert(counts.len());
            match counts.get_mut(place) {
                Some((_, count)) => *count += 1,
                None => counts.push((stem, 1)),
            }
        }
        Self { counts, ..Self::default() }
    }

    /// With what it means.
    pub(crate) fn meaning(self, meant: Meant) -> Self {
        Self { meant, ..self }
    }

    /// With what is near to that elsewhere.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn beside(self, near: Vec<Near>) -> Self {
        Self { near, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> NewEntry {
        NewEntry { text: text.into(), ..NewEntry::default() }
    }

    #[test]
    fn a_query_of_stopwords_still_asks_for_something() {
        assert_eq!(Query::of("the run").counts.len(), 1);
        assert_eq!(Query::of("who is he").counts.len(), 3);
        assert_eq!(Query::of("run runs").counts, [("run".to_owned(), 2)]);
    }

    #[test]
    fn stems_are_counted_in_their_order() {
        let terms = Terms::of(&said("the run runs after a crash"));
        let counted: Vec<_> = terms.each().collect();
        assert_eq!(counted, [("a", 1), ("after", 1), ("crash", 1), ("run", 2), ("the", 1)]);
        assert_eq!(terms.length, 3);
    }

    #[test]
    fn a_speaker_is_named_as_in_a_script_or_by_the_metadata() {
        let plain = |text| Terms::of(&said(text)).speaker;
        assert_eq!(plain("Ada: hello"), "ada ");
        assert_eq!(plain("Dr. Ada Byron: hello"), "dr ada byron ");
        for text in ["at 10: hello", "https://a.test: x", "one two three four: x", "Ada:hello", ": x", ""] {
            assert_eq!(plain(text), "", "{text}");
        }
        let mut named = said("Ada: hello");
        named.metadata.insert(SPEAKER_FIELD.into(), "Mel".into());
        assert_eq!(Terms::of(&named).speaker, "mel ");
    }
}
