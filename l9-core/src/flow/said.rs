//! What the principal said: the words that a value may stand in, the numbers, the names.

use std::collections::HashSet;
use std::hash::BuildHasherDefault;
use std::sync::OnceLock;

use super::words::{Growing, Keys, numbers, pieces, strong, words};

/// The longest run of words that is known by its key; longer values are looked for.
const RUN: usize = 8;

/// The most words of a request that are indexed; what stands beyond vouches for nothing.
const WORDS: usize = 20_000;

/// As many sentences begin without a space at most, in a piece that has none.
const SENTENCES: usize = 16;

/// As many words in a row are the principal's own, and no accident.
const OWN_WORDS: usize = 4;

/// The request, indexed.
#[derive(Debug, Clone, Default)]
pub(super) struct Said {
    /// Its words, a space before and after each.
    text: String,
    /// Runs of them by how many they are, each once somebody asks for one as long.
    runs: [OnceLock<Keys>; RUN],
    /// Words that end a sentence without a space after it.
    last: Keys,
    pub(super) numbers: Vec<f64>,
    pub(super) hundredths: Vec<f64>,
    days: HashSet<(u32, u32)>,
}

impl Said {
    pub(super) fn new(text: &str) -> Self {
        let mut said = Self::default();
        let mut words = words(text);
        words.truncate(WORDS);
        // A sentence may begin right after the last, without a space.
        for piece in pieces(text) {
            let ends = piece.match_indices('.').map(|(at, _)| at);
            for end in ends.filter(|end| piece[end + 1..].starts_with(char::is_uppercase)).take(SENTENCES) {
                said.last.extend(super::words::words(&piece[..end]).iter().map(|word| strong(word)));
            }
        }
        for (number, hundredth) in numbers(text) {
            if hundredth { said.hundredths.push(number) } else { said.numbers.push(number) }
        }
        said.days = days(&words).collect();
        said.text = format!(" {} ", words.join(" "));
        said
    }

    /// Whether so many words, at most [`RUN`], stand in the request; `key` is that of all of them.
    fn knows(&self, words: usize, key: u128) -> bool {
        let runs = words.checked_sub(1).and_then(|place| self.runs.get(place));
        self.last.contains(&key)
            || runs.is_some_and(|runs| runs.get_or_init(|| runs_of(&self.text, words)).contains(&key))
    }

    /// Whether words stand in the request, side by side.
    pub(super) fn has(&self, words: &[String]) -> bool {
        match words {
            [] => false,
            [word] => self.knows(1, strong(word)),
            words => {
                let text = words.join(" ");
                self.has_text(words.len(), &text, strong(&text))
            }
        }
    }

    /// The same of so many words, joined by spaces, whose strong key is known.
    pub(super) fn has_text(&self, words: usize, text: &str, key: u128) -> bool {
        if words <= RUN { self.knows(words, key) } else { self.text.contains(&format!(" {text} ")) }
    }

    /// Whether a number stands in the request.
    pub(super) fn has_number(&self, number: f64) -> bool {
        self.numbers.contains(&number)
    }

    /// Whether a date, such as `2026-05-01 10:00`, is of a day that stands in the request,
    /// however it is written there.
    pub(super) fn has_day(&self, text: &str) -> bool {
        day_of(text).is_some_and(|day| self.days.contains(&day))
    }

    /// Whether a few words in a row stand in the request.
    pub(super) fn echoes(&self, words: &[String]) -> bool {
        words.windows(OWN_WORDS).take(512).any(|run| self.knows(OWN_WORDS, strong(&run.join(" "))))
    }
}

/// The keys of all runs of so many words.
fn runs_of(text: &str, length: usize) -> Keys {
    let words: Vec<&str> = text.split(' ').filter(|word| !word.is_empty()).collect();
    let mut runs = Keys::with_capacity_and_hasher(words.len(), BuildHasherDefault::default());
    for run in words.windows(length) {
        let mut growing = Growing::default();
        run.iter().for_each(|word| growing.add(word));
        runs.insert(growing.key());
    }
    runs
}

/// The month and day of a date as machines write it.
fn day_of(text: &str) -> Option<(u32, u32)> {
    let date = text.get(..10)?;
    let mut parts = date.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let form = year.len() == 4 && month.len() == 2 && day.len() == 2 && year.parse::<u32>().is_ok();
    if form { Some((month.parse().ok()?, day.parse().ok()?)) } else { None }
}

/// The days that words name: `2026-05-01`, `May 1st`, `the 1st of May`.
fn days(words: &[String]) -> impl Iterator<Item = (u32, u32)> + '_ {
    let number = |word: &String| {
        let digits = word.trim_end_matches(char::is_alphabetic);
        digits.parse::<u32>().ok().filter(|day| (1..=31).contains(day))
    };
    let named =
        words.iter().enumerate().filter_map(|(at, word)| Some((at, month(word)?))).flat_map(move |(at, month)| {
            let before =
                at.checked_sub(1).map(|before| if words[before] == "of" { before.saturating_sub(1) } else { before });
            let near = [before, Some(at + 1)].into_iter().flatten().filter_map(|near| words.get(near));
            near.filter_map(number).map(move |day| (month, day)).collect::<Vec<_>>()
        });
    words.iter().filter_map(|word| day_of(word)).chain(named)
}

fn month(word: &str) -> Option<u32> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let is = |name: &&str| *name == word || (word.len() == 3 && name.starts_with(word));
    MONTHS.iter().position(is).and_then(|at| u32::try_from(at + 1).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_found_however_they_are_written() {
        let said = Said::new("From May 1st to the 5th of June, on 2026-07-09 and in March 2024.");
        for date in ["2026-05-01", "2025-06-05 10:00", "2026-07-09T08:00"] {
            assert!(said.has_day(date), "{date}");
        }
        for date in ["2026-05-05", "2026-03-24", "20260501", "2026-5-1"] {
            assert!(!said.has_day(date), "{date}");
        }
    }

    #[test]
    fn sentences_without_spaces_are_looked_through_in_a_line() {
        let said = Said::new(&"A.".repeat(500_000));
        assert!(said.has(&words("A.A.A")) && !said.has(&words("B")));
    }

    #[test]
    fn words_stand_in_the_request_side_by_side_only() {
        let said = Said::new("Write to www.our-company.example.They know; move 'Budget review' to 15:00");
        let has = |text: &str| said.has(&words(text));
        assert!(has("budget review") && has("www.our-company.example") && has("15:00"));
        assert!(!has("review budget") && !has("") && !has("company"));
    }
}
