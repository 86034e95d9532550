//! Text to the tokens of BERT: cleaned and folded, split at blanks and punctuation, and each
//! word cut into the longest pieces that the vocabulary has (Devlin et al. 2018).

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

/// The longest word that is cut, in characters; a longer one is unknown.
const LONGEST: usize = 100;

/// Cuts texts into the tokens of a vocabulary.
#[derive(Debug)]
pub(super) struct WordPiece {
    vocabulary: HashMap<String, u32>,
    folds: bool,
    strips: bool,
    unknown: u32,
    begin: u32,
    end: u32,
}

#[derive(Deserialize)]
struct Tokenizer {
    model: Model,
    normalizer: Option<Value>,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    kind: Option<String>,
    vocab: Value,
    unk_token: Option<String>,
}

impl WordPiece {
    /// Reads `tokenizer.json`; else, what is wrong with it.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let Tokenizer { model, normalizer } = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        match model.kind.as_deref() {
            Some("WordPiece") | None => {}
            Some(other) => return Err(format!("it cuts words by {other}: WordPiece is known")),
        }
        let vocabulary: HashMap<String, u32> =
            serde_json::from_value(model.vocab).map_err(|error| format!("its vocabulary does not parse: {error}"))?;
        let token = |name: &str| vocabulary.get(name).copied().ok_or_else(|| format!("it has no token {name}"));
        let (unknown, begin, end) =
            (token(model.unk_token.as_deref().unwrap_or("[UNK]"))?, token("[CLS]")?, token("[SEP]")?);
        let option = |name: &str| normalizer.as_ref().and_then(|rules| rules.get(name)).and_then(Value::as_bool);
        let folds = option("lowercase").unwrap_or(true);
        Ok(Self { vocabulary, folds, strips: option("strip_accents").unwrap_or(folds), unknown, begin, end })
    }

    /// The greatest number of a token.
    pub(super) fn greatest(&self) -> u32 {
        self.vocabulary.values().copied().max().unwrap_or(0)
    }

    /// At most `most` tokens of a text, with those that begin and end it.
    pub(super) fn tokens(&self, text: &str, most: usize) -> Vec<u32> {
        let room = most.saturating_sub(2);
        let mut tokens = vec![self.begin];
        for word in words(&self.folded(text)) {
            if tokens.len() > room {
                break;
            }
            self.cut(word, &mut tokens);
        }
        tokens.truncate(room + 1);
        tokens.push(self.end);
        tokens
    }

    fn folded(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        for char in text.chars() {
            if char.is_whitespace() {
                out.push(' ');
            } else if is_ideograph(char) {
                out.extend([' ', char, ' ']);
            } else if char != '\u{fffd}' && char.general_category_group() != GeneralCategoryGroup::Other {
                out.push(char);
            }
        }
        if self.strips {
            let is_mark = |char: &char| char.general_category() == GeneralCategory::NonspacingMark;
            out = out.nfd().filter(|char| !is_mark(char)).collect();
        }
        if self.folds { out.to_lowercase() } else { out }
    }

    /// Adds the pieces of a word.
    fn cut(&self, word: &str, tokens: &mut Vec<u32>) {
        let first = tokens.len();
        let mut rest = if word.chars().nth(LONGEST).is_none() { word } else { "" };
        let mut piece = String::new();
        while !rest.is_empty() {
            let ends = rest.char_indices().map(|(at, char)| at + char.len_utf8());
            let longest = ends.collect::<Vec<_>>().into_iter().rev().find_map(|end| {
                piece.clear();
                piece.push_str(if rest.len() == word.len() { "" } else { "##" });
                piece.push_str(&rest[..end]);
                Some((end, *self.vocabulary.get(&piece)?))
            });
            let Some((end, token)) = longest else { break };
            tokens.push(token);
            rest = &rest[end..];
        }
        if !rest.is_empty() || tokens.len() == first {
            tokens.truncate(first);
            tokens.push(self.unknown);
        }
    }
}

/// Words, and every mark of punctuation by itself.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(' ').flat_map(|run| {
        let mut rest = run;
        std::iter::from_fn(move || {
            let first = rest.chars().next()?;
            let end =
                if is_punctuation(first) { first.len_utf8() } else { rest.find(is_punctuation).unwrap_or(rest.len()) };
            let (word, after) = rest.split_at(end);
            rest = after;
            Some(word)
        })
    })
}

fn is_punctuation(char: char) -> bool {
    char.is_ascii_punctuation() || char.general_category_group() == GeneralCategoryGroup::Punctuation
}

fn is_ideograph(char: char) -> bool {
    matches!(u32::from(char), 0x4e00..=0x9fff | 0x3400..=0x4dbf | 0x2_0000..=0x2_a6df | 0x2_a700..=0x2_b81f
        | 0x2_b820..=0x2_ceaf | 0xf900..=0xfaff | 0x2_f800..=0x2_fa1f)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> WordPiece {
        let words = ["[UNK]", "[CLS]", "[SEP]", "un", "##aff", "##able", "cafe", ",", "\u{6771}", "a"];
        let vocabulary: HashMap<&str, usize> = words.into_iter().zip(0..).collect();
        let json = serde_json::json!({"model": {"type": "WordPiece", "vocab": vocabulary, "unk_token": "[UNK]"},
            "normalizer": {"type": "BertNormalizer", "lowercase": true, "strip_accents": null}});
        WordPiece::read(json.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn words_are_folded_and_cut_into_the_longest_pieces() {
        let small = small();
        assert_eq!(small.tokens("UnAffable, Caf\u{e9}", 99), [1, 3, 4, 5, 7, 6, 2]);
        assert_eq!(small.tokens("unaffx \u{6771}\u{0}a\u{200b}", 99), [1, 0, 8, 9, 2]);
        assert_eq!(small.tokens("a a a a a a", 5), [1, 9, 9, 9, 2]);
        assert_eq!(small.tokens("", 5), [1, 2]);
        assert_eq!(small.tokens(&"a".repeat(101), 9), [1, 0, 2]);
    }

    #[test]
    fn another_kind_of_tokens_is_refused() {
        for (json, why) in [
            (r#"{"model":{"type":"BPE","vocab":{}}}"#, "BPE"),
            (r#"{"model":{"type":"WordPiece","vocab":{"a":1}}}"#, "[UNK]"),
            (r#"{"model":{"type":"WordPiece","vocab":[1]}}"#, "vocabulary"),
            ("{}", "model"),
        ] {
            let error = WordPiece::read(json.as_bytes()).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
