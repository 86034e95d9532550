//! What the principal said: the words that a value may stand in, the numbers, the names.

use std::collections::HashSet;

use super::words::{numbers, strong, words};

/// The longest run of words that is known by its key; longer values are looked for.
const RUN: usize = 8;

/// The most words of a request that are indexed; what stands beyond vouches for nothing.
const WORDS: usize = 20_000;

/// As many words in a row are the principal's own, and no accident.
const OWN_WORDS: usize = 4;

/// The request, indexed.
#[derive(Debug, Clone, Default)]
pub(super) struct Said {
    runs: HashSet<u128>,
    text: String,
    pub(super) numbers: Vec<f64>,
    pub(super) hundredths: Vec<f64>,
}

impl Said {
    pub(super) fn new(text: &str) -> Self {
        let mut said = Self::default();
        let mut words = words(text);
        words.truncate(WORDS);
        for start in 0..words.len() {
            let mut run = String::new();
            for word in words[start..].iter().take(RUN) {
                if !run.is_empty() {
                    run.push(' ');
                }
                run.push_str(word);
                said.runs.insert(strong(&run));
            }
        }
        for (number, hundredth) in numbers(text) {
            if hundredth { said.hundredths.push(number) } else { said.numbers.push(number) }
        }
        said.text = format!(" {} ", words.join(" "));
        said
    }

    /// Whether words stand in the request, side by side.
    pub(super) fn has(&self, words: &[String]) -> bool {
        match words {
            [] => false,
            [word] => self.runs.contains(&strong(word)),
            few if few.len() <= RUN => self.runs.contains(&strong(&few.join(" "))),
            many => self.text.contains(&format!(" {} ", many.join(" "))),
        }
    }

    /// Whether a number stands in the request.
    #[expect(clippy::float_cmp, reason = "a number is the same or it is another")]
    pub(super) fn has_number(&self, number: f64) -> bool {
        self.numbers.iter().any(|said| *said == number)
    }

    /// Whether a few words in a row stand in the request.
    pub(super) fn echoes(&self, words: &[String]) -> bool {
        words.windows(OWN_WORDS).take(512).any(|run| self.runs.contains(&strong(&run.join(" "))))
    }
}
