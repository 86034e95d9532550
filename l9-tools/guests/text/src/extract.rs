//! Picks the sentences of some passages that best answer a question, as exact quotes.
//!
//! Deterministic and without a model: see `score` for what counts.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::markdown::{Kind, Unit, units};
use crate::query::{Known, Query, Wanted};
use crate::score::{Facts, Scorer};

/// Scores below this share nothing worth quoting with the question.
const LEAST: f64 = 0.12;
/// Further quotes must come this close to the best one.
const NEAR_BEST: f64 = 0.45;
/// The same, where the question has one short answer.
const NEAR_BEST_FACT: f64 = 0.6;
const MOST_QUOTES: usize = 50;

/// A piece of some source.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passage {
    /// Where it is from: a file, a title, an address.
    pub source: String,
    /// Where in the source: a heading, a line, a page.
    pub position: String,
    /// Markdown or plain text.
    pub text: String,
}

/// A sentence that answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Quote {
    /// The passage's position.
    pub position: String,
    /// A substring of the passage's text, byte for byte.
    pub quote: String,
    /// From 0 to 1; comparable between questions, below about 0.3 a guess.
    pub score: f64,
    /// The passage's source.
    pub source: String,
}

/// A unit with what the scorer needs to know about it.
struct Candidate<'a> {
    passage: usize,
    text: &'a str,
    score: f64,
}

/// At most `max` quotes, the best first; none when nothing fits.
pub fn extract(query: &str, passages: &[Passage], max: usize) -> Vec<Quote> {
    let query = Query::read(query);
    if query.terms.is_empty() {
        return Vec::new();
    }
    let mut known = Known::new(&query);
    let read: Vec<(Vec<Unit>, Vec<Facts>)> = passages
        .iter()
        .map(|passage| {
            let units = units(&passage.text);
            let facts = units.iter().map(|unit| Facts::read(&mut known, &passage.text[unit.range.clone()])).collect();
            (units, facts)
        })
        .collect();
    let has_sentence = read.iter().any(|(units, _)| units.iter().any(|unit| unit.kind != Kind::Heading));
    let scorer = Scorer::new(&query, read.iter().flat_map(|(units, facts)| units.iter().zip(facts)));
    let mut candidates = Vec::new();
    for (number, (passage, (units, facts))) in passages.iter().zip(&read).enumerate() {
        let (source, position) = (Facts::read(&mut known, &passage.source), Facts::read(&mut known, &passage.position));
        let about = source.joined(&position);
        for at in (0..units.len()).filter(|&at| !has_sentence || units[at].kind != Kind::Heading) {
            let score = scorer.score(units, facts, at, &about);
            if score >= LEAST {
                candidates.push(Candidate { passage: number, text: &passage.text[units[at].range.clone()], score });
            }
        }
    }
    // A stable sort: equals stay in the order of the passages.
    candidates.sort_by(|a, b| b.score.partial_cmp(&a.score).unwrap_or(Ordering::Equal));
    choose(&candidates, query.wanted, max.min(MOST_QUOTES))
        .into_iter()
        .map(|candidate| Quote {
            position: passages[candidate.passage].position.clone(),
            quote: candidate.text.to_owned(),
            score: (candidate.score.min(1.0) * 10_000.0).round() / 10_000.0,
            source: passages[candidate.passage].source.clone(),
        })
        .collect()
}

/// The best candidates that come near the first and do not repeat one another.
fn choose<'a, 'b>(candidates: &'b [Candidate<'a>], wanted: Wanted, max: usize) -> Vec<&'b Candidate<'a>> {
    let Some(best) = candidates.first() else { return Vec::new() };
    let near = if matches!(wanted, Wanted::Anything | Wanted::Definition) { NEAR_BEST } else { NEAR_BEST_FACT };
    let mut chosen: Vec<&Candidate<'_>> = Vec::new();
    for candidate in candidates.iter().take_while(|candidate| candidate.score >= best.score * near) {
        if chosen.len() == max {
            break;
        }
        if !chosen.iter().any(|known| same_words(known.text, candidate.text)) {
            chosen.push(candidate);
        }
    }
    chosen
}

/// Whether two texts differ in white space and case only.
fn same_words(a: &str, b: &str) -> bool {
    a.split_whitespace().map(str::to_lowercase).eq(b.split_whitespace().map(str::to_lowercase))
}
