//! What a text says, so far that two texts can be told to say the same: its words in their
//! order, without what does not matter.
//!
//! Shared n-grams cannot tell "is allowed" from "is not allowed" in a long text, nor "Ada pays
//! Bob" from "Bob pays Ada" in any. So the rule is the other way round: nothing may differ but
//! what is named here. Rules for spelling are those of English; in other languages texts are
//! the same that differ in case, spaces and marks.

use unicode_normalization::UnicodeNormalization;

/// Words without which a text says the same.
const LIGHT: &[&str] = &[
    "a",
    "actually",
    "also",
    "an",
    "basically",
    "btw",
    "er",
    "fyi",
    "hm",
    "hmm",
    "indeed",
    "kindly",
    "oh",
    "please",
    "really",
    "the",
    "uh",
    "um",
    "very",
];

/// Words that mean something else elsewhere, or on another day.
const POINTING: &[&str] = &[
    "ago",
    "currently",
    "he",
    "her",
    "here",
    "hers",
    "him",
    "his",
    "it",
    "its",
    "last",
    "lately",
    "next",
    "now",
    "recently",
    "she",
    "soon",
    "that",
    "their",
    "them",
    "there",
    "these",
    "they",
    "this",
    "those",
    "today",
    "tomorrow",
    "tonight",
    "yesterday",
    "you",
    "your",
];

/// Words that begin a phrase which may stand before or after the rest.
const MOVABLE: &[&str] = &[
    "after", "although", "at", "because", "before", "during", "for", "from", "if", "in", "on", "since", "unless",
    "until", "when", "whenever", "while",
];

/// Words that are written as numbers too.
const NUMBERS: &[(&str, &str)] = &[
    ("zero", "0"),
    ("one", "1"),
    ("two", "2"),
    ("three", "3"),
    ("four", "4"),
    ("five", "5"),
    ("six", "6"),
    ("seven", "7"),
    ("eight", "8"),
    ("nine", "9"),
    ("ten", "10"),
    ("eleven", "11"),
    ("twelve", "12"),
    ("twenty", "20"),
    ("thirty", "30"),
    ("forty", "40"),
    ("fifty", "50"),
    ("hundred", "100"),
];

/// The shortest word that is taken for misspelt, and the fewest words of a text that has one.
const MISSPELT: usize = 6;
const WORDS: usize = 5;
/// The most words of a text in which a phrase is looked for that stands elsewhere.
const MOVED: usize = 64;
/// The longest text that is taken apart, in bytes: longer ones say the same as none.
const LONGEST: usize = 16 << 10;

/// A text, taken apart.
#[derive(Debug, Default)]
pub(super) struct Wording {
    words: Vec<Word>,
    points: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct Word {
    text: String,
    /// Whether it is written as a word that is no name.
    plain: bool,
}

impl Wording {
    pub(super) fn of(text: &str) -> Self {
        let mut wording = Self::default();
        if text.len() > LONGEST {
            return wording;
        }
        let chars: Vec<char> = text.nfkc().map(|char| if char == '\u{2019}' { '\'' } else { char }).collect();
        let (mut at, mut begins) = (0, true);
        while let Some(first) = chars.get(at) {
            if first.is_alphanumeric() {
                let end = run(&chars, at);
                let written: String = chars[at..end].iter().collect();
                wording.push(&written, begins);
                begins = false;
                at = end;
                // "No, you may" and "No you may not" differ in a mark.
                if wording.ends_with_negation() && chars.get(at).is_some_and(|mark| ",;:.!".contains(*mark)) {
                    wording.mark(',');
                }
                continue;
            }
            begins |= matches!(first, '.' | '!' | '?' | ':' | '\n');
            if !is_silent(&chars, at) {
                wording.mark(*first);
            }
            at += 1;
        }
        wording
    }

    /// Whether another text says the same.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let (one, other) = (&self.words, &other.words);
        !one.is_empty()
            && one.len() == other.len()
            && (one.iter().zip(other).all(|(one, other)| one.text == other.text)
                || is_misspelt(one, other)
                || is_moved(one, other)
                || is_moved(other, one))
    }

    /// Whether some word of it means something else elsewhere, or on another day.
    pub(super) fn points(&self) -> bool {
        self.points
    }

    fn mark(&mut self, mark: char) {
        self.add(if mark == '%' { "percent".into() } else { mark.to_string() }, false);
    }

    fn ends_with_negation(&self) -> bool {
        self.words.last().is_some_and(|word| matches!(word.text.as_str(), "no" | "not" | "never" | "yes"))
    }

    /// Adds what was written as one word.
    fn push(&mut self, written: &str, begins: bool) {
        let mut word = written.to_lowercase();
        // p.m and U.S; the last dot ends a sentence, or might.
        if word.split('.').all(|part| part.len() == 1 && part.starts_with(char::is_alphabetic)) {
            word.retain(|char| char != '.');
        }
        // "A" within a sentence is a name.
        if LIGHT.binary_search(&word.as_str()).is_ok() && (begins || written.chars().all(char::is_lowercase)) {
            return;
        }
        let plain = written.chars().all(char::is_lowercase);
        let Some((stem, end)) = word.rsplit_once('\'') else { return self.put(&word, plain) };
        let (stem, not) = match (stem, end) {
            (stem, "t") if stem.ends_with('n') => (&stem[..stem.len() - 1], true),
            _ => (stem, false),
        };
        let stem = match (stem, not) {
            ("ca", true) => "can",
            ("wo", true) => "will",
            ("sha", true) => "shall",
            _ => stem,
        };
        self.put(stem, plain);
        match end {
            _ if not => self.put("not", true),
            "re" => self.put("are", true),
            "ve" => self.put("have", true),
            "ll" => self.put("will", true),
            "m" => self.put("am", true),
            "s" if matches!(stem, "it" | "that" | "he" | "she" | "there" | "what" | "who" | "where") => {
                self.put("is", true);
            }
            "s" if stem == "let" => self.put("us", true),
            other => self.put(&format!("'{other}"), false),
        }
    }

    fn put(&mut self, word: &str, plain: bool) {
        let half = |word: &str| matches!(word, "am" | "pm");
        match (self.words.last_mut(), word) {
            (_, "cannot") => {
                self.add("can".into(), true);
                self.add("not".into(), true);
            }
            (_, "okay") => self.add("ok".into(), plain),
            (Some(last), "mail") if last.text == "e" => last.text = "email".into(),
            // 3 pm and 3pm.
            (Some(last), word) if half(word) && last.text.ends_with(|char: char| char.is_ascii_digit()) => {
                last.text.push_str(word);
            }
            _ => match NUMBERS.iter().find(|(spelt, _)| *spelt == word) {
                Some((_, number)) => self.add((*number).into(), false),
                None => self.add(american(word), plain),
            },
        }
    }

    fn add(&mut self, text: String, plain: bool) {
        self.points |= POINTING.binary_search(&text.as_str()).is_ok();
        self.words.push(Word { text, plain });
    }
}

/// Where a word ends that begins at a place. Within one may stand an apostrophe, and whatever
/// holds a number, a date, a version, an address or a name of code together.
fn run(chars: &[char], from: usize) -> usize {
    let mut end = from + 1;
    loop {
        match chars.get(end) {
            Some(char) if char.is_alphanumeric() => end += 1,
            Some(joiner) if "'.,:/-_@".contains(*joiner) => {
                let (before, Some(after)) = (chars[end - 1], chars.get(end + 1)) else { return end };
                let letters = before.is_alphabetic() && after.is_alphabetic();
                let joins = match joiner {
                    '\'' => letters,
                    '.' | '_' | '@' => after.is_alphanumeric(),
                    // A hyphen between letters joins words.
                    '-' | '/' => after.is_alphanumeric() && !letters,
                    _ => before.is_ascii_digit() && after.is_ascii_digit(),
                };
                if !joins {
                    return end;
                }
                end += 2;
            }
            _ => return end,
        }
    }
}

/// Whether a mark says nothing: spaces, quotes, the end of a part of a sentence, and hyphens.
fn is_silent(chars: &[char], at: usize) -> bool {
    let next = chars.get(at + 1);
    match chars[at] {
        char if char.is_whitespace() => true,
        '"' | '\'' | '\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{2018}' | '\u{ab}' | '\u{bb}' => true,
        ',' | '.' | ';' | ':' | '!' => {
            next.is_none_or(|next| next.is_whitespace() || ".!\"'\u{201d}\u{2018})".contains(*next))
        }
        '-' => {
            let letter = |char: Option<&char>| char.is_some_and(|char| char.is_alphabetic());
            letter(at.checked_sub(1).and_then(|before| chars.get(before))) && letter(next)
        }
        _ => false,
    }
}

/// A word as it is spelt in America, a number without the commas between its digits.
fn american(word: &str) -> String {
    if word.contains(',') && word.split(',').skip(1).all(|part| part.len() == 3) {
        return word.replace(',', "");
    }
    if word.len() < MISSPELT {
        return if word == "grey" { "gray".into() } else { word.into() };
    }
    for (british, american) in [
        ("our", "or"),
        ("ours", "ors"),
        ("oured", "ored"),
        ("ouring", "oring"),
        ("ise", "ize"),
        ("ises", "izes"),
        ("ised", "ized"),
        ("ising", "izing"),
        ("isation", "ization"),
        ("isations", "izations"),
        ("tre", "ter"),
        ("tres", "ters"),
    ] {
        if let Some(stem) = word.strip_suffix(british) {
            return format!("{stem}{american}");
        }
    }
    word.into()
}

/// Whether texts of as many words differ in one, and that is a slip: two letters that changed
/// places, or a letter doubled or not.
fn is_misspelt(one: &[Word], other: &[Word]) -> bool {
    let mut differ = one.iter().zip(other).filter(|(one, other)| one.text != other.text);
    let (Some((wrong, right)), None) = (differ.next(), differ.next()) else { return false };
    let may = |word: &Word| {
        word.plain && word.text.len() >= MISSPELT && word.text.bytes().all(|byte| byte.is_ascii_lowercase())
    };
    one.len() >= WORDS
        && may(wrong)
        && may(right)
        && (is_swapped(&wrong.text, &right.text) || is_doubled(&wrong.text, &right.text))
}

fn is_swapped(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let Some(at) = one.iter().zip(other).position(|(one, other)| one != other) else { return false };
    one.len() == other.len()
        && at + 1 < one.len()
        && (one[at], one[at + 1]) == (other[at + 1], other[at])
        && one[at + 2..] == other[at + 2..]
}

fn is_doubled(one: &str, other: &str) -> bool {
    let (long, short) = if one.len() > other.len() { (one, other) } else { (other, one) };
    let (long, short) = (long.as_bytes(), short.as_bytes());
    let at = long.iter().zip(short).position(|(long, short)| long != short).unwrap_or(short.len());
    long.len() == short.len() + 1 && at > 0 && long[at] == long[at - 1] && long[at + 1..] == short[at..]
}

/// Whether a text has a phrase at its beginning that another of as many words has at its end.
fn is_moved(first: &[Word], last: &[Word]) -> bool {
    let begins = first.first().is_some_and(|word| MOVABLE.binary_search(&word.text.as_str()).is_ok());
    let same = |one: &[Word], other: &[Word]| one.iter().zip(other).all(|(one, other)| one.text == other.text);
    begins
        && first.len() <= MOVED
        && (1..last.len()).any(|at| same(&last[at..], first) && same(&last[..at], &first[last.len() - at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(one: &str, other: &str) -> bool {
        let (one, other) = (Wording::of(one), Wording::of(other));
        assert_eq!(one.is_same(&other), other.is_same(&one));
        one.is_same(&other)
    }

    #[test]
    fn the_lists_are_sorted() {
        assert!(LIGHT.is_sorted() && POINTING.is_sorted() && MOVABLE.is_sorted());
    }

    #[test]
    fn small_differences_say_the_same() {
        for (one, other) in [
            ("The meeting is at 3 pm.", "the meeting is at 3pm"),
            ("The meeting is at three p.m.", "Meeting is at 3 pm!"),
            ("Ada doesn't eat meat.", "Ada does not eat meat"),
            ("Guests cannot enter.", "Guests can't enter."),
            ("Ada really likes green tea.", "Ada likes green tea"),
            ("Send the report, please.", "Please send the report."),
            ("The colour was organised centrally.", "the color was organized centrally"),
            ("On Monday the team meets.", "The team meets on Monday."),
            ("If it rains, we stay.", "We stay if it rains."),
            ("The budget is 1,000 \u{20ac}.", "The budget is 1000\u{20ac}"),
            ("We can not accomodate more guests there.", "We cannot accommodate more guests there."),
            ("Write an e-mail to Bob.", "Write an email to Bob."),
            ("A well-known \u{201c}rule\u{201d}", "a well known 'rule'"),
            ("It's late.", "It is late."),
        ] {
            assert!(same(one, other), "{one} / {other}");
        }
    }

    #[test]
    fn what_tells_makes_texts_different() {
        for (one, other) in [
            ("The meeting is at 3.", "The meeting is at 4."),
            ("Entry is allowed.", "Entry is not allowed."),
            ("Entry is allowed.", "Is entry allowed?"),
            ("Ada pays Bob.", "Bob pays Ada."),
            ("A pays B.", "B pays A."),
            ("Ada moved to Paris.", "Ada moved to Prague."),
            ("Backups run daily.", "Backups run daily if the disk has room."),
            ("Ada works at Acme.", "Ada worked at Acme."),
            ("No, smoking is allowed.", "No smoking is allowed."),
            ("Because we won, we celebrate.", "Because we celebrate, we won."),
            ("Fly from Ulm to Bonn.", "Fly from Bonn to Ulm."),
            ("x = a - b", "x = a + b"),
            ("The value is -5.", "The value is 5."),
            ("The limit is 1.5 GB.", "The limit is 15 GB."),
            ("Please confirm it to the whole team.", "Please conform it to the whole team."),
            ("All cats are animals.", "Animals are all cats."),
            ("", ""),
            ("!", "."),
        ] {
            assert!(!same(one, other), "{one} / {other}");
        }
    }

    #[test]
    fn what_points_is_known() {
        assert!(Wording::of("The meeting is TOMORROW.").points());
        assert!(!Wording::of("The meeting is at 3.").points());
    }

    #[test]
    fn long_texts_are_the_same_as_none() {
        let long = "word ".repeat(LONGEST);
        assert!(!same(&long, &long));
    }
}
