//! Citations: which words of an answer stand, exactly, in something that was read.
//!
//! Whatever the model claims, only words between double quotation marks that occur in
//! a passage become a citation, and the quote is the passage's own slice.

use crate::model::Passage;
use crate::run::Citation;

/// Quoted spans shorter than this are not worth a citation, in bytes.
const SHORTEST: usize = 8;

/// The citations of an answer, in the order of the answer, each once. A passage that
/// stands whole in the answer is cited too, whatever marks are around it.
#[must_use]
pub fn cite(answer: &str, passages: &[Passage]) -> Vec<Citation> {
    let whole = passages.iter().filter(|passage| passage.text.len() >= SHORTEST).filter_map(|passage| {
        let at = answer.find(passage.text.as_str())?;
        Some((at, citation(passage, &passage.text)))
    });
    let spans = quoted(answer).filter(|(_, span)| span.len() >= SHORTEST).filter_map(|(at, span)| {
        let (passage, quote) =
            passages.iter().find_map(|passage| slice_of(&passage.text, span).map(|quote| (passage, quote)))?;
        Some((at, citation(passage, quote)))
    });
    let mut found: Vec<(usize, Citation)> = whole.chain(spans).collect();
    found.sort_by_key(|(at, _)| *at);
    let mut citations: Vec<Citation> = Vec::new();
    for (_, citation) in found {
        if !citations.iter().any(|earlier| earlier.quote.contains(&citation.quote)) {
            citations.push(citation);
        }
    }
    citations
}

fn citation(passage: &Passage, quote: &str) -> Citation {
    Citation { source: passage.source.clone(), position: passage.position.clone(), quote: quote.to_owned() }
}

/// The spans between “ and ”, and between a pair of straight quotation marks, with
/// where they begin. Within curly marks straight ones are ordinary characters.
fn quoted(answer: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let open = at + answer[at..].find(['“', '"'])?;
            let mark = answer[open..].chars().next()?;
            let start = open + mark.len_utf8();
            let close = if mark == '“' { '”' } else { '"' };
            at = start;
            if let Some(length) = answer[start..].find(close) {
                at = start + length + close.len_utf8();
                return Some((start, answer[start..start + length].trim()));
            }
        }
    })
}

/// The slice of the text that equals the span when runs of white space count as one
/// space; what a source wraps over two lines is still found.
fn slice_of<'a>(text: &'a str, span: &str) -> Option<&'a str> {
    if let Some(start) = text.find(span) {
        return Some(&text[start..start + span.len()]);
    }
    let words: Vec<&str> = span.split_whitespace().collect();
    let first = words.first()?;
    text.match_indices(first).find_map(|(start, _)| {
        let mut at = start;
        for (n, word) in words.iter().enumerate() {
            let tail = &text[at..];
            let trimmed = tail.trim_start();
            let gap = tail.len() - trimmed.len();
            if (n > 0 && gap == 0) || !trimmed.starts_with(word) {
                return None;
            }
            at += gap + word.len();
        }
        Some(&text[start..at])
    })
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
