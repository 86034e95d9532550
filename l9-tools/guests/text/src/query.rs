//! Reads a question: which words matter, which of them are names, what kind of answer it wants.

use std::collections::HashMap;

use crate::words::{is_stopword, normal, synonyms, words};

/// Terms beyond this are ignored: matches are kept as bits of a `u32`.
const MAX_TERMS: usize = 32;
/// Words whose match is remembered.
const MAX_KNOWN: usize = 20_000;
/// A question of fewer words may stand in its own answer.
const ECHO_WORDS: usize = 5;

/// What an answer should contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Number,
    Time,
    Person,
    Place,
    Definition,
    Anything,
}

/// A word of the question that carries meaning.
#[derive(Debug)]
pub(crate) struct Term {
    pub(crate) stem: String,
    pub(crate) synonyms: Vec<String>,
    /// A proper name or a code such as `L9`.
    pub(crate) is_name: bool,
}

#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) terms: Vec<Term>,
    pub(crate) wanted: Wanted,
    /// The term that is counted: `crates` in `how many crates`.
    pub(crate) counted: Option<usize>,
    /// The first bytes of all stems and synonyms, as a set.
    initials: [u64; 4],
    /// The question in lower case without its marks, when it is long enough to be recognised.
    echo: Option<String>,
}

impl Query {
    pub(crate) fn read(text: &str) -> Self {
        let all: Vec<&str> = words(text).collect();
        let lower: Vec<String> = all.iter().map(|word| word.to_lowercase()).collect();
        let wanted = wanted(&lower);
        let mut query = Self { terms: Vec::new(), wanted, counted: None, initials: [0; 4], echo: None };
        let counted_from = counted_from(&lower);
        for keep_stopwords in [false, true] {
            for (at, word) in all.iter().enumerate() {
                if keep_stopwords || !is_stopword(&lower[at]) || is_code(word) {
                    query.add(word, at > 0, counted_from.is_some_and(|from| at >= from));
                }
            }
            // A question of nothing but small words is taken by the small words.
            if !query.terms.is_empty() {
                break;
            }
        }
        if all.len() >= ECHO_WORDS {
            query.echo = Some(lower.join(" "));
        }
        query
    }

    /// Whether any term or synonym begins with this byte: most words need no stemming.
    pub(crate) fn may_begin_with(&self, initial: u8) -> bool {
        self.initials[usize::from(initial >> 6)] & (1 << (initial & 63)) != 0
    }

    /// Whether `text`, which has the terms `exact`, repeats the whole question.
    pub(crate) fn is_echoed_by(&self, text: &str, exact: u32) -> bool {
        let Some(echo) = &self.echo else { return false };
        exact.count_ones() as usize == self.terms.len() && {
            let plain: Vec<String> = words(text).map(str::to_lowercase).collect();
            plain.join(" ").contains(echo)
        }
    }

    fn add(&mut self, word: &str, inside: bool, may_be_counted: bool) {
        let mut stem = String::new();
        normal(word, &mut stem);
        if let Some(known) = self.terms.iter_mut().find(|term| term.stem == stem) {
            known.is_name |= inside && word.starts_with(char::is_uppercase);
            return;
        }
        if self.terms.len() == MAX_TERMS {
            return;
        }
        let synonyms = synonyms(word).map(|other| {
            let mut stem = String::new();
            normal(other, &mut stem);
            stem
        });
        let is_name = is_code(word) || (inside && word.starts_with(char::is_uppercase));
        if may_be_counted && self.counted.is_none() {
            self.counted = Some(self.terms.len());
        }
        let synonyms: Vec<String> = synonyms.collect();
        for initial in std::iter::once(&stem).chain(&synonyms).filter_map(|stem| stem.bytes().next()) {
            self.initials[usize::from(initial >> 6)] |= 1 << (initial & 63);
        }
        self.terms.push(Term { synonyms, is_name, stem });
    }
}

/// Which term a word is, or has the meaning of.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Match {
    pub(crate) term: Option<usize>,
    pub(crate) alike: Option<usize>,
}

/// The words met so far with the terms they match: texts repeat themselves, stemming is dear.
#[derive(Debug)]
pub(crate) struct Known<'a> {
    query: &'a Query,
    words: HashMap<String, Match>,
}

impl<'a> Known<'a> {
    pub(crate) fn new(query: &'a Query) -> Self {
        Self { query, words: HashMap::new() }
    }

    pub(crate) fn query(&self) -> &'a Query {
        self.query
    }

    /// The match of a word in lower case.
    pub(crate) fn find(&mut self, lower: &str) -> Match {
        if !lower.bytes().next().is_some_and(|initial| self.query.may_begin_with(initial)) {
            return Match::default();
        }
        if let Some(found) = self.words.get(lower) {
            return *found;
        }
        let mut stem = String::new();
        normal(lower, &mut stem);
        let terms = &self.query.terms;
        let found = Match {
            term: terms.iter().position(|term| term.stem == stem),
            alike: terms.iter().position(|term| term.synonyms.contains(&stem)),
        };
        if self.words.len() < MAX_KNOWN {
            self.words.insert(lower.to_owned(), found);
        }
        found
    }
}

/// Letters with digits, or several capitals: `L9`, `HTTP`, `v2`.
fn is_code(word: &str) -> bool {
    let letters = word.chars().filter(|c| c.is_alphabetic()).count();
    let capitals = word.chars().filter(|c| c.is_uppercase()).count();
    let digits = word.chars().filter(char::is_ascii_digit).count();
    (letters > 0 && digits > 0) || (capitals >= 2 && capitals == letters)
}

fn wanted(words: &[String]) -> Wanted {
    let has = |word: &str| words.iter().any(|known| known == word);
    let pair = |first: &str, seconds: &[&str]| {
        words.windows(2).any(|two| two[0] == first && seconds.contains(&two[1].as_str()))
    };
    let measures = [
        "many", "much", "long", "far", "old", "tall", "high", "big", "large", "heavy", "fast", "deep", "wide", "often",
    ];
    let amounts =
        ["number", "percentage", "price", "cost", "age", "capacity", "size", "weight", "population", "total", "count"];
    if pair("how", &measures) || pair("number", &["of"]) || pair("what", &amounts) || pair("the", &amounts) {
        Wanted::Number
    } else if has("when")
        || pair("what", &["year", "date", "day", "time", "month"])
        || pair("which", &["year", "date", "day", "month"])
    {
        Wanted::Time
    } else if has("who") || has("whose") || has("whom") {
        Wanted::Person
    } else if has("where") || pair("which", &["city", "country", "town"]) || pair("what", &["city", "country", "town"])
    {
        Wanted::Place
    } else if pair("what", &["is", "are"]) || words.first().is_some_and(|word| word == "define") || has("meaning") {
        Wanted::Definition
    } else {
        Wanted::Anything
    }
}

/// The first word behind `how many` or `number of`.
fn counted_from(words: &[String]) -> Option<usize> {
    let at = words.windows(2).position(|two| {
        (two[0] == "how" && matches!(two[1].as_str(), "many" | "much")) || (two[0] == "number" && two[1] == "of")
    });
    at.map(|at| at + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_knows_what_is_counted() {
        let query = Query::read("How many crates does the Zorvik warehouse store?");
        let stems: Vec<&str> = query.terms.iter().map(|term| term.stem.as_str()).collect();
        assert_eq!(stems, ["crate", "zorvik", "warehous", "store"]);
        assert_eq!((query.wanted, query.counted), (Wanted::Number, Some(0)));
        let names: Vec<bool> = query.terms.iter().map(|term| term.is_name).collect();
        assert_eq!(names, [false, true, false, false]);
    }

    #[test]
    fn kinds_of_questions() {
        for (question, kind) in [
            ("When was the depot founded?", Wanted::Time),
            ("Who leads the team?", Wanted::Person),
            ("Where is it?", Wanted::Place),
            ("What is a lease?", Wanted::Definition),
            ("How does L9 resume a run after a crash?", Wanted::Anything),
            ("how long is the timeout", Wanted::Number),
        ] {
            assert_eq!(Query::read(question).wanted, kind, "{question}");
        }
        assert!(Query::read("How does L9 work?").terms[0].is_name);
        assert_eq!(Query::read("what is it").terms.len(), 3);
        assert!(Query::read("?!").terms.is_empty());
    }
}
