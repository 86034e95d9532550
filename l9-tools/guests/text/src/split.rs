//! Cuts a text into parts of bounded length at the best place: between paragraphs, else
//! sentences, else words. Every part is an exact slice and no code point is ever cut.

use serde::Serialize;

use crate::markdown::{Kind, units};
use crate::sentence::trimmed;

/// One part of a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part<'a> {
    /// The byte behind its last one.
    pub end: usize,
    /// Its first byte in the whole text.
    pub start: usize,
    /// The bytes from `start` to `end`.
    pub text: &'a str,
}

/// How good a place is to cut at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Sentence,
    Paragraph,
}

/// Cuts `text` into parts of at most `max_chars` characters, white space around them left out.
/// All other characters are in exactly one part. `max_chars` must not be 0.
pub fn split(text: &str, max_chars: usize) -> Vec<Part<'_>> {
    let cuts = cuts(text);
    let mut parts = Vec::new();
    let mut start = trimmed(text, 0..text.len()).start;
    while start < text.len() {
        let limit = text[start..].char_indices().nth(max_chars.max(1)).map_or(text.len(), |(at, _)| start + at);
        let end = if limit == text.len() { limit } else { best_cut(text, &cuts, start, limit) };
        let range = trimmed(text, start..end);
        if !range.is_empty() {
            parts.push(Part { text: &text[range.clone()], start: range.start, end: range.end });
        }
        start = end + text[end..].len() - text[end..].trim_start().len();
    }
    parts
}

/// The places between units, in order. None lies between a heading and what follows it.
fn cuts(text: &str) -> Vec<(usize, Level)> {
    let units = units(text);
    let pairs = units.iter().zip(units.iter().skip(1));
    pairs
        .filter(|(before, _)| before.kind != Kind::Heading)
        .map(|(before, after)| {
            let same = before.block == after.block || (before.kind == after.kind && after.kind != Kind::Sentence);
            (after.outer, if same { Level::Sentence } else { Level::Paragraph })
        })
        .collect()
}

/// The last good cut in `start..=limit`: of the best level that does not waste most of the room.
fn best_cut(text: &str, cuts: &[(usize, Level)], start: usize, limit: usize) -> usize {
    let inside = cuts.partition_point(|(at, _)| *at <= start)..cuts.partition_point(|(at, _)| *at <= limit);
    let last = |least: Level| cuts[inside.clone()].iter().rev().find(|(_, level)| *level >= least).map(|(at, _)| *at);
    let third = start + (limit - start) / 3;
    let boundaries = [last(Level::Paragraph), last(Level::Sentence)];
    if let Some(cut) = boundaries.into_iter().flatten().find(|cut| *cut >= third) {
        return cut;
    }
    let next_is_space = text[limit..].starts_with(char::is_whitespace);
    let space =
        if next_is_space { Some(limit) } else { text[start..limit].rfind(char::is_whitespace).map(|at| start + at) };
    let word = space.filter(|cut| *cut > start);
    last(Level::Sentence).or(word).unwrap_or(limit)
}
