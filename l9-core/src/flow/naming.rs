//! Which records of a list the principal's words name, and which they pass over.
//!
//! A record is named by what its trusted fields hold: by a whole value, or by words that no
//! other record of the list holds. A number alone names no record, but passes over the rest.

use std::collections::{BTreeMap, HashMap};

use super::said::Said;

/// The longest value that can be the name of something, in bytes.
const NAME: usize = 200;

/// The fewest letters of a word that can name something.
const LETTERS: usize = 4;

/// Where a record of a list stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Choice {
    /// The principal's words choose it.
    Selected,
    /// Nothing chose among the records of its list.
    #[default]
    Open,
    /// It answers to the principal's words, and so do others.
    Contested,
    /// The principal's words name others of its list.
    Passed,
}

/// The names that the records of one list go by.
#[derive(Debug, Default)]
pub(super) struct Names {
    records: BTreeMap<u32, Named>,
}

#[derive(Debug, Default)]
struct Named {
    whole: Vec<String>,
    words: Vec<String>,
    numbers: Vec<String>,
}

impl Names {
    /// A record has no name yet.
    pub(super) fn record(&mut self, record: u32) {
        self.records.entry(record).or_default();
    }

    /// Adds the words of a trusted field. `fields` are the names of the fields themselves,
    /// which name no record.
    pub(super) fn text(&mut self, record: u32, words: &[String], said: &Said, is_field: impl Fn(&str) -> bool) {
        let named = self.records.entry(record).or_default();
        let whole = words.join(" ");
        if whole.len() > NAME {
            return;
        }
        if whole.chars().count() >= 3 && said.has(words) {
            // A time or a figure is no name.
            let is_name = whole.chars().any(char::is_alphabetic);
            if is_name { named.whole.push(whole) } else { named.numbers.push(whole) }
        }
        let names = |word: &&String| {
            word.chars().count() >= LETTERS
                && word.chars().any(char::is_alphabetic)
                && !is_field(word)
                && said.has(std::slice::from_ref(*word))
        };
        named.words.extend(words.iter().filter(names).cloned());
    }

    /// Adds a trusted number.
    pub(super) fn number(&mut self, record: u32, number: f64, said: &Said) {
        if said.has_number(number) {
            self.records.entry(record).or_default().numbers.push(super::words::plain(number));
        }
    }

    /// What the words choose, record by record. `looked_up` tells that the list was asked for
    /// in the principal's own words: if it holds one record, they choose that.
    pub(super) fn choose(&self, looked_up: bool) -> HashMap<u32, Choice> {
        if let ([record], true) = (self.records.keys().collect::<Vec<_>>().as_slice(), looked_up) {
            return HashMap::from([(**record, Choice::Selected)]);
        }
        let mut holders: HashMap<(u8, &str), u32> = HashMap::new();
        for named in self.records.values() {
            for term in named.terms() {
                *holders.entry(term).or_default() += 1;
            }
        }
        let alone = |term: &(u8, &str)| holders.get(term) == Some(&1);
        let any = self.records.values().any(|named| named.terms().next().is_some());
        let selected = |named: &Named| {
            let by = |kind: u8| named.terms().filter(move |(of, _)| *of == kind);
            by(0).any(|term| alone(&term))
                || (by(0).next().is_none() && by(1).next().is_some() && by(1).all(|term| alone(&term)))
        };
        let chosen = self.records.values().any(selected);
        let choice = |named: &Named| {
            let by = |kind: u8| named.terms().filter(move |(of, _)| *of == kind);
            if selected(named) {
                Choice::Selected
            } else if by(0).chain(by(1)).next().is_some() {
                Choice::Contested
            } else if by(2).next().is_some() && !chosen {
                if by(2).any(|term| alone(&term)) { Choice::Open } else { Choice::Contested }
            } else if any {
                Choice::Passed
            } else {
                Choice::Open
            }
        };
        self.records.iter().map(|(record, named)| (*record, choice(named))).collect()
    }
}

impl Named {
    /// What it is called by, once each: whole values, words, numbers.
    fn terms(&self) -> impl Iterator<Item = (u8, &str)> {
        let kinds = [&self.whole, &self.words, &self.numbers];
        let all =
            kinds.into_iter().zip(0_u8..).flat_map(|(terms, kind)| terms.iter().map(move |term| (kind, term.as_str())));
        all.collect::<std::collections::BTreeSet<_>>().into_iter()
    }
}
