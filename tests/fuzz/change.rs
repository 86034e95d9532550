//! Changes of bytes that were sound: cut, doubled, swapped, flipped, and with words in them
//! that readers stumble over.

use proptest::prelude::*;
use proptest::sample::Index;

/// What readers of JSON stumble over.
pub(crate) const JSON: [&str; 24] = [
    "null",
    "true",
    "{}",
    "[]",
    "\"\"",
    "-0",
    "1e400",
    "1.0",
    "9007199254740993",
    "-1",
    "\"\\ud800\"",
    "\\u0000",
    ",",
    ":",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\u{200b}",
    "\u{202e}",
    "\u{feff}",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    "\"__proto__\":",
];

/// One change.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Cut(Index, usize),
    Double(Index, usize),
    Flip(Index, u8),
    Word(Index, Index),
}

/// Some changes, few of them most of the time.
pub(crate) fn changes() -> impl Strategy<Value = Vec<Change>> {
    let at = any::<Index>;
    let one = prop_oneof![
        (at(), 1..40_usize).prop_map(|(at, length)| Change::Cut(at, length)),
        (at(), 1..40_usize).prop_map(|(at, length)| Change::Double(at, length)),
        (at(), any::<u8>()).prop_map(|(at, flip)| Change::Flip(at, flip)),
        (at(), at()).prop_map(|(at, word)| Change::Word(at, word)),
    ];
    proptest::collection::vec(one, 1..6)
}

/// Bytes with changes made to them, words among them.
pub(crate) fn changed(sound: &[u8], changes: &[Change], words: &[&str]) -> Vec<u8> {
    let mut bytes = sound.to_vec();
    for change in changes {
        let place = |at: &Index| at.index(bytes.len() + 1);
        match change {
            Change::Cut(at, length) => {
                let at = place(at);
                drop(bytes.drain(at..(at + length).min(bytes.len())));
            }
            Change::Double(at, length) => {
                let at = place(at);
                let again = bytes[at..(at + length).min(bytes.len())].to_vec();
                drop(bytes.splice(at..at, again));
            }
            Change::Flip(at, flip) => {
                let at = place(at);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= flip;
                }
            }
            Change::Word(at, word) => {
                let at = place(at);
                drop(bytes.splice(at..at, words[word.index(words.len())].bytes()));
            }
        }
    }
    bytes
}
