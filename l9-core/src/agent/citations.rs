//! Citations: which words of an answer stand, exactly, in something that was read.
//!
//! Whatever the model claims, only words between double quotation marks that occur in
//! a passage become a citation, and the quote is the passage's own slice.

use crate::model::Passage;
use crate::run::Citation;

/// Quoted spans shorter than this are not worth a citation, in bytes.
const SHORTEST: usize = 8;

/// Quoted spans longer than this are no quotes, in bytes.
const LONGEST: usize = 4096;

/// The most spans that are looked for.
const MOST: usize = 64;

/// The citations of an answer, in the order of the answer, each once.
#[must_use]
pub fn cite(answer: &str, passages: &[Passage]) -> Vec<Citation> {
    let folded: Vec<Folded> = passages.iter().map(|passage| Folded::of(&passage.text)).collect();
    let mut citations: Vec<Citation> = Vec::new();
    for span in quoted(answer).filter(|span| (SHORTEST..=LONGEST).contains(&span.len())).take(MOST) {
        let wanted = Folded::of(span).text;
        let found = passages
            .iter()
            .zip(&folded)
            .find_map(|(passage, folded)| folded.slice(&passage.text, &wanted).map(|quote| citation(passage, quote)));
        if let Some(found) = found.filter(|found| !citations.iter().any(|earlier| earlier.quote.contains(&found.quote)))
        {
            citations.push(found);
        }
    }
    citations
}

fn citation(passage: &Passage, quote: &str) -> Citation {
    Citation { source: passage.source.clone(), position: passage.position.clone(), quote: quote.to_owned() }
}

/// The spans between “ and ”, which may nest, and between a pair of straight marks.
/// Within curly marks straight ones are ordinary characters.
fn quoted(answer: &str) -> impl Iterator<Item = &str> {
    let mut spans = Vec::new();
    let mut open = Vec::new();
    let mut straight = None;
    for (at, mark) in answer.char_indices() {
        match mark {
            '“' => open.push(at + mark.len_utf8()),
            '”' => {
                if let Some(start) = open.pop() {
                    spans.push((start, at));
                    straight = None;
                }
            }
            '"' if open.is_empty() => match straight.take() {
                Some(start) => spans.push((start, at)),
                None => straight = Some(at + 1),
            },
            _ => {}
        }
    }
    // A span around others ends after them and begins before them.
    spans.sort_by_key(|(start, end)| (*start, std::cmp::Reverse(*end)));
    spans.into_iter().map(|(start, end)| answer[start..end].trim())
}

/// A text in which every run of white space is one space, with where each byte was: what
/// a source wraps over two lines is still found.
struct Folded {
    text: String,
    at: Vec<usize>,
}

impl Folded {
    fn of(text: &str) -> Self {
        let mut folded = Self { text: String::with_capacity(text.len()), at: Vec::with_capacity(text.len()) };
        let mut space = true;
        for (at, c) in text.char_indices() {
            let c = if c.is_whitespace() { ' ' } else { c };
            if c == ' ' && space {
                continue;
            }
            space = c == ' ';
            folded.text.push(c);
            folded.at.extend((0..c.len_utf8()).map(|byte| at + byte));
        }
        folded
    }

    /// The slice of the original that folds to `wanted`.
    fn slice<'a>(&self, original: &'a str, wanted: &str) -> Option<&'a str> {
        let start = self.text.find(wanted)?;
        let last = *self.at.get(start + wanted.len().checked_sub(1)?)?;
        original.get(*self.at.get(start)?..=last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn passage(text: &str) -> Passage {
        Passage { source: "a.md".into(), position: "lines 1-2".into(), text: text.into() }
    }

    #[test]
    fn quotes_are_the_source_s_own_slice_even_over_a_line_break() {
        let source = passage("A run is an append-only\njournal of events. Everything else is derived.");
        let found = cite("It says “a run” and “append-only journal of events” (a.md).", std::slice::from_ref(&source));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].quote, "append-only\njournal of events");
        assert!(source.text.contains(&found[0].quote));
        assert!(cite("\"words nobody wrote\"", &[source]).is_empty());
    }

    proptest! {
        #[test]
        fn every_citation_stands_in_its_source(answer in ".{0,120}", text in ".{0,120}") {
            for citation in cite(&answer, &[passage(&text)]) {
                prop_assert!(text.contains(&citation.quote));
            }
        }
    }
}
