//! Finds the sentences of a paragraph without falling for decimals, abbreviations and code.

use std::ops::Range;

/// Never the end of a sentence: a name or a number follows.
const TITLES: &[&str] = &[
    "dr", "mr", "mrs", "ms", "prof", "st", "no", "nr", "fig", "figs", "vs", "cf", "sec", "ch", "vol", "pp", "ed",
    "eds", "rev", "gen", "col", "sgt", "capt", "lt", "hon", "eq", "e.g", "i.e", "eg", "ie", "al",
];

/// The end of a sentence only when the next word usually begins one.
const UNSURE: &[&str] = &[
    "etc", "inc", "ltd", "co", "corp", "jr", "sr", "bros", "approx", "dept", "est", "min", "max", "a.m", "p.m", "jan",
    "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec",
];

const STARTERS: &[&str] = &[
    "the", "it", "its", "he", "she", "they", "we", "you", "in", "on", "at", "this", "that", "these", "those", "a",
    "an", "if", "when", "after", "before", "but", "and", "for", "there", "then", "each", "every", "as", "to",
];

/// The byte ranges of the sentences of `text`, white space around them left out.
pub(crate) fn sentences(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut in_code = false;
    for (at, character) in text.char_indices() {
        if character == '`' {
            in_code = !in_code && text[at + 1..].contains('`');
        }
        if in_code || at < start || !is_terminator(character) {
            continue;
        }
        let end = closing(text, at + character.len_utf8());
        if ends_sentence(text, start, at, end, character) {
            push_trimmed(text, start..end, &mut found);
            start = end;
        }
    }
    push_trimmed(text, start..text.len(), &mut found);
    found
}

/// Adds the range without the white space at its ends, unless nothing is left.
fn push_trimmed(text: &str, range: Range<usize>, into: &mut Vec<Range<usize>>) {
    let range = trimmed(text, range);
    if !range.is_empty() {
        into.push(range);
    }
}

/// Narrows a range to what lies between the white space at its ends.
pub(crate) fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let inner = &text[range.clone()];
    let start = range.start + inner.len() - inner.trim_start().len();
    start..start + inner.trim().len()
}

fn is_terminator(character: char) -> bool {
    matches!(character, '.' | '!' | '?' | '…' | '。' | '！' | '？')
}

/// Where the terminator's run ends: more terminators, closing quotes, brackets and emphasis.
fn closing(text: &str, from: usize) -> usize {
    let rest = &text[from..];
    let more = |c: char| is_terminator(c) || matches!(c, '"' | '\'' | '”' | '’' | '»' | ')' | ']' | '*' | '_');
    from + rest.len() - rest.trim_start_matches(more).len()
}

fn ends_sentence(text: &str, start: usize, at: usize, end: usize, terminator: char) -> bool {
    let rest = &text[end..];
    if matches!(terminator, '。' | '！' | '？') {
        return true;
    }
    if rest.is_empty() || !rest.starts_with(char::is_whitespace) {
        return rest.is_empty();
    }
    let next = rest.trim_start();
    let opening = |c: char| matches!(c, '"' | '\'' | '“' | '‘' | '«' | '(' | '[' | '*' | '_');
    let next_word = next.trim_start_matches(opening);
    let next_starts_low = next_word.starts_with(char::is_lowercase);
    if terminator != '.' || text[at..end].contains(['!', '?']) {
        return !next_starts_low || terminator == '?';
    }
    if next_starts_low {
        return false;
    }
    let before = last_word(&text[start..at]);
    let lower = before.to_lowercase();
    let is_initial = before.chars().count() == 1 && before.starts_with(char::is_uppercase);
    let followed_by_starter = || {
        let word = next_word.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
        STARTERS.contains(&word.to_lowercase().as_str())
    };
    if TITLES.contains(&lower.as_str()) {
        // `No.` is an abbreviation before a number and a sentence before anything else.
        return matches!(lower.as_str(), "no" | "al") && !next_word.starts_with(|c: char| c.is_ascii_digit());
    }
    if is_initial || UNSURE.contains(&lower.as_str()) || is_initialism(before) {
        return followed_by_starter();
    }
    true
}

fn last_word(text: &str) -> &str {
    let start = text.rfind(|c: char| c.is_whitespace() || matches!(c, '(' | '[' | '"' | '“' | '*' | '_' | '/'));
    start.map_or(text, |at| {
        let rest = &text[at..];
        &rest[rest.chars().next().map_or(0, char::len_utf8)..]
    })
}

/// `U.S`, `p.m`: single letters between full stops.
fn is_initialism(word: &str) -> bool {
    word.contains('.') && word.split('.').all(|part| part.chars().count() == 1 && part.starts_with(char::is_alphabetic))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<&str> {
        sentences(text).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn ordinary_sentences_part() {
        assert_eq!(split("One. Two! Three? Four"), ["One.", "Two!", "Three?", "Four"]);
        assert_eq!(split("He said \"stop.\" Then he left."), ["He said \"stop.\"", "Then he left."]);
        assert_eq!(split("**Bold.** Next one."), ["**Bold.**", "Next one."]);
        assert_eq!(split("これは文です。次の文。"), ["これは文です。", "次の文。"]);
        assert_eq!(split("Wrapped\nline ends here.\nNext line."), ["Wrapped\nline ends here.", "Next line."]);
        assert!(split("  \n ").is_empty());
    }

    #[test]
    fn what_only_looks_like_an_end_does_not_part() {
        for whole in [
            "It costs 3.50 euros, i.e. less than Dr. Smith said.",
            "See Fig. 3 and No. 5 for details.",
            "J. R. R. Tolkien wrote it.",
            "The U.S. Army uses e.g. Rust 1.95 on x86.",
            "Run `a. B. c` first.",
            "Open l9.toml or src/main.rs now.",
            "Wait ... for it.",
        ] {
            assert_eq!(split(whole), [whole]);
        }
    }

    #[test]
    fn unsure_ends_part_before_a_usual_beginning() {
        assert_eq!(split("It opens at 9 p.m. The door is red."), ["It opens at 9 p.m.", "The door is red."]);
        assert_eq!(split("Apples, pears, etc. They are sold."), ["Apples, pears, etc.", "They are sold."]);
        assert_eq!(split("Acme Inc. Berlin is an office."), ["Acme Inc. Berlin is an office."]);
        assert_eq!(split("Did it? No. It did not."), ["Did it?", "No.", "It did not."]);
    }
}
