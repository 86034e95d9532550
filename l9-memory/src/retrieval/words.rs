//! Text to the stems that are searched.
//!
//! NFKC and lower case first (Unicode TR 15), then runs of letters and digits. An
//! identifier is found by its parts and as a whole: `max_retry_count`, `maxRetryCount`
//! and `tokio::sync::mpsc` each give every part and the joined form. English words are
//! stemmed (Snowball); scripts written without spaces give pairs of characters.

use std::borrow::Cow;

use rust_stemmers::{Algorithm, Stemmer};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The longest word that is searched, in characters: the rest is noise or an attack.
const MAX_WORD: usize = 64;

/// Words too frequent to tell anything (van Rijsbergen 1979, the closed classes).
const STOPWORDS: &[&str] = &[
    "a",
    "about",
    "above",
    "after",
    "again",
    "against",
    "all",
    "am",
    "an",
    "and",
    "any",
    "are",
    "as",
    "at",
    "be",
    "because",
    "been",
    "before",
    "being",
    "below",
    "between",
    "both",
    "but",
    "by",
    "can",
    "could",
    "did",
    "do",
    "does",
    "doing",
    "down",
    "during",
    "each",
    "few",
    "for",
    "from",
    "further",
    "had",
    "has",
    "have",
    "having",
    "he",
    "her",
    "here",
    "hers",
    "herself",
    "him",
    "himself",
    "his",
    "how",
    "i",
    "if",
    "in",
    "into",
    "is",
    "it",
    "its",
    "itself",
    "just",
    "me",
    "more",
    "most",
    "my",
    "myself",
    "no",
    "nor",
    "not",
    "now",
    "of",
    "off",
    "on",
    "once",
    "only",
    "or",
    "other",
    "our",
    "ours",
    "ourselves",
    "out",
    "over",
    "own",
    "s",
    "same",
    "she",
    "should",
    "so",
    "some",
    "such",
    "t",
    "than",
    "that",
    "the",
    "their",
    "theirs",
    "them",
    "themselves",
    "then",
    "there",
    "these",
    "they",
    "this",
    "those",
    "through",
    "to",
    "too",
    "under",
    "until",
    "up",
    "very",
    "was",
    "we",
    "were",
    "what",
    "when",
    "where",
    "which",
    "while",
    "who",
    "whom",
    "why",
    "will",
    "with",
    "would",
    "you",
    "your",
    "yours",
    "yourself",
    "yourselves",
];

/// The lengths of the stop words with a first and a last letter, a bit each: nearly every word is
/// told by it, and it is asked of every word of every text.
static LENGTHS: [[u16; 26]; 26] = {
    let (mut lengths, mut at) = ([[0; 26]; 26], 0);
    while at < STOPWORDS.len() {
        let word = STOPWORDS[at].as_bytes();
        lengths[(word[0] - b'a') as usize][(word[word.len() - 1] - b'a') as usize] |= 1 << word.len();
        at += 1;
    }
    lengths
};

/// Whether a word tells nothing.
pub(super) fn is_stopword(word: &str) -> bool {
    let letter = |byte: Option<&u8>| byte.filter(|byte| byte.is_ascii_lowercase()).map(|byte| usize::from(byte - b'a'));
    let (Some(first), Some(last)) = (letter(word.as_bytes().first()), letter(word.as_bytes().last())) else {
        return false;
    };
    word.len() < 16 && LENGTHS[first][last] & (1 << word.len()) != 0 && STOPWORDS.binary_search(&word).is_ok()
}

/// Calls `found` with every stem of the text, in order, and whether it is one that tells
/// nothing.
pub(crate) fn each(text: &str, mut found: impl FnMut(&str, bool)) {
    let stemmer = Stemmer::create(Algorithm::English);
    let text: Cow<'_, str> = if text.is_ascii() { text.into() } else { text.nfkc().collect::<String>().into() };
    let mut rest = &*text;
    while let Some(start) = rest.find(char::is_alphanumeric) {
        let run = run_length(&rest[start..]);
        each_of_run(&stemmer, &rest[start..start + run], &mut found);
        rest = &rest[start + run..];
    }
}

/// Bytes of the run of letters and digits at the start, with joiners within it.
fn run_length(text: &str) -> usize {
    let mut end = 0;
    let mut joiners = 0;
    for (at, char) in text.char_indices() {
        if char.is_alphanumeric() || is_combining_mark(char) {
            end = at + char.len_utf8();
            joiners = 0;
        } else if is_joiner(char) && joiners < 2 {
            joiners += 1;
        } else {
            break;
        }
    }
    end
}

/// What may stand within a name: `a_b`, `a.b`, `a-b`, `a::b`, `it's`.
fn is_joiner(char: char) -> bool {
    matches!(char, '_' | '.' | '-' | ':' | '\'' | '\u{2019}')
}

fn each_of_run(stemmer: &Stemmer, run: &str, found: &mut impl FnMut(&str, bool)) {
    let mut parts = 0;
    let mut part = String::new();
    let mut whole = String::new();
    let mut before = None;
    let mut chars = run.chars().peekable();
    while let Some(char) = chars.next() {
        if is_unspaced(char) {
            parts += emit(stemmer, &mut part, found);
            each_unspaced(char, chars.peek().copied(), found);
        } else if char.is_alphanumeric() {
            if before.is_some_and(|before| is_hump(before, char, chars.peek().copied())) {
                parts += emit(stemmer, &mut part, found);
            }
            for char in char.to_lowercase().filter(|char| !is_combining_mark(*char)) {
                part.push(char);
                whole.push(char);
            }
        } else if matches!(char, '\'' | '\u{2019}') {
            part.push('\'');
        } else if !is_combining_mark(char) {
            parts += emit(stemmer, &mut part, found);
        }
        before = Some(char);
    }
    parts += emit(stemmer, &mut part, found);
    if parts > 1 && whole.chars().nth(MAX_WORD).is_none() {
        found(&whole, false);
    }
}

/// Whether a part of a name begins: `aB`, or the last capital of `ABc`.
fn is_hump(before: char, char: char, after: Option<char>) -> bool {
    char.is_uppercase() && (before.is_lowercase() || before.is_uppercase() && after.is_some_and(char::is_lowercase))
}

/// Gives the stem of a finished part; tells how many there were, 0 or 1.
fn emit(stemmer: &Stemmer, part: &mut String, found: &mut impl FnMut(&str, bool)) -> usize {
    if part.is_empty() {
        return 0;
    }
    if part.chars().nth(MAX_WORD).is_none() {
        found(&stemmer.stem(part), is_stopword(part));
    }
    part.clear();
    1
}

/// Scripts written without spaces between words: Thai, Lao, Myanmar, Khmer, Kana, Han.
fn is_unspaced(char: char) -> bool {
    matches!(u32::from(char), 0x0e00..=0x0eff | 0x1000..=0x109f | 0x1780..=0x17ff | 0x3040..=0x30ff
        | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xf900..=0xfaff | 0x2_0000..=0x3_ffff)
}

fn each_unspaced(char: char, next: Option<char>, found: &mut impl FnMut(&str, bool)) {
    let mut pair = String::from(char);
    found(&pair, false);
    if let Some(next) = next.filter(|next| is_unspaced(*next)) {
        pair.push(next);
        found(&pair, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stems(text: &str) -> Vec<String> {
        let mut out = Vec::new();
        each(text, |stem, stopword| {
            if !stopword {
                out.push(stem.to_owned());
            }
        });
        out
    }

    #[test]
    fn the_stopwords_are_sorted() {
        assert!(STOPWORDS.is_sorted());
        assert!(STOPWORDS.iter().all(|word| is_stopword(word)));
        assert!(!["", "wor", "i\u{e9}", "yourselveses", "themselvesthemselves"].into_iter().any(is_stopword));
    }

    #[test]
    fn english_words_meet_in_their_stem() {
        assert_eq!(stems("The runs were RESUMED after crashing."), ["run", "resum", "crash"]);
        assert_eq!(stems("Ada's dog; Ada\u{2019}s dogs"), ["ada", "dog", "ada", "dog"]);
    }

    #[test]
    fn identifiers_are_found_by_part_and_as_a_whole() {
        assert_eq!(stems("max_retry_count"), ["max", "retri", "count", "maxretrycount"]);
        assert_eq!(stems("maxRetryCount"), ["max", "retri", "count", "maxretrycount"]);
        assert_eq!(stems("HTTPServer tokio::sync"), ["http", "server", "httpserver", "tokio", "sync", "tokiosync"]);
        assert_eq!(stems("GPT-4 v0.9.1"), ["gpt", "4", "gpt4", "v0", "9", "1", "v091"]);
    }

    #[test]
    fn width_case_marks_and_scripts_are_folded() {
        assert_eq!(stems("\u{ff26}\u{ff35}\u{ff2c}\u{ff2c}"), ["full"]);
        assert_eq!(stems("e\u{301}t\u{e9}"), stems("\u{c9}t\u{e9}"));
        assert_eq!(stems("\u{6771}\u{4eac}"), ["\u{6771}", "\u{6771}\u{4eac}", "\u{4eac}"]);
        assert!(stems("... ''' __ \u{200f} \u{1f600}").is_empty());
        assert!(stems(&"x".repeat(100_000)).is_empty());
    }
}
