//! Relations from English sentences by rules: few, and those that hold nearly always. What asks,
//! denies, doubts, reports or foresees gives nothing, and neither does what is not said of a name.

use std::ops::Range;

use l9_core::memory::Relation;

use super::sentences::{Sentence, Word, is_speaker, sentences};
use super::words::{ADVERBS, DOUBT, FOLLOWS, NO_NAME, NO_NOUN, WITHIN};

/// The version of the rules: entries that others read are read again.
pub(super) const RULES: &str = "rules/1";
/// How much of a text is read, in bytes.
const MOST: usize = 64 << 10;
/// The most relations of one text.
pub(super) const MANY: usize = 32;
/// The most words of a name, and of a noun.
const NAME: usize = 6;
const NOUN: usize = 3;
/// The longest name, in bytes.
const NAME_BYTES: usize = 120;
/// The most words of a sentence: longer ones are lists or no prose.
const SENTENCE: usize = 60;

/// What verbs say, of a third and of a first person, and the predicate.
const VERBS: &[(&[&str], &[&str], &str)] = &[
    (&["works", "at"], &["work", "at"], "works at"),
    (&["works", "for"], &["work", "for"], "works for"),
    (&["lives", "in"], &["live", "in"], "lives in"),
    (&["studies", "at"], &["study", "at"], "studies at"),
    (&["teaches", "at"], &["teach", "at"], "teaches at"),
    (&["reports", "to"], &["report", "to"], "reports to"),
    (&["belongs", "to"], &["belong", "to"], "belongs to"),
    (&["owns"], &["own"], "owns"),
    (&["uses"], &["use"], "uses"),
    (&["leads"], &["lead"], "leads"),
    (&["manages"], &["manage"], "manages"),
    (&["likes"], &["like"], "likes"),
    (&["loves"], &["love"], "loves"),
    (&["knows"], &["know"], "knows"),
    (&["speaks"], &["speak"], "speaks"),
    (&["founded"], &["founded"], "founded"),
    (&["wrote"], &["wrote"], "wrote"),
    (&["invented"], &["invented"], "invented"),
    (&["married"], &["married"], "married"),
    (&["is", "married", "to"], &["am", "married", "to"], "married"),
    (&["is", "based", "in"], &["am", "based", "in"], "is based in"),
    (&["is", "located", "in"], &["am", "located", "in"], "is located in"),
    (&["was", "born", "in"], &["was", "born", "in"], "was born in"),
];

/// What a text states, at most 32, in its order and each once. `speaker` says it where the
/// text itself names nobody.
#[must_use]
pub fn read(text: &str, speaker: Option<&str>) -> Vec<Relation> {
    let text = &text[..text.floor_char_boundary(MOST)];
    let speaker = speaker.filter(|name| is_speaker(name));
    let mut found: Vec<Relation> = Vec::new();
    sentences(text, &mut |sentence| {
        if found.len() < MANY && sentence.words.len() <= SENTENCE && states(sentence) {
            let mut reader = Reader { words: &sentence.words, closed: sentence.closed, found: &mut found };
            reader.read(sentence.speaker.or(speaker));
        }
    });
    found
}

/// Whether a sentence neither asks nor denies nor doubts.
fn states(sentence: &Sentence<'_>) -> bool {
    let words = &sentence.words;
    let doubts = |at: usize, word: &Word<'_>| {
        let lower = word.text.to_lowercase();
        // A May is a month, and who was born was.
        let named = word.text == "May" && at > 0;
        let born = lower == "was" && words.get(at + 1).is_some_and(|next| next.text == "born");
        lower.ends_with("n't") || lower.ends_with("n’t") || DOUBT.contain(&lower) && !named && !born
    };
    !words.iter().any(|word| word.after.contains('?') || word.before.contains('('))
        && !words.iter().enumerate().any(|(at, word)| doubts(at, word))
}

/// Who a clause is about.
#[derive(Clone, Copy)]
struct Subject<'s> {
    name: &'s str,
    is_speaker: bool,
}

/// Reads one sentence.
struct Reader<'s, 't> {
    words: &'s [Word<'t>],
    closed: bool,
    found: &'s mut Vec<Relation>,
}

impl Reader<'_, '_> {
    fn read(&mut self, speaker: Option<&str>) {
        if self.owned(speaker) {
            return;
        }
        let start = usize::from(self.is(0, "the") && self.words[0].text == "The");
        let (name, at) = match (speaker, self.words.first()) {
            (Some(speaker), Some(Word { text: "I", .. })) => (speaker.to_owned(), 1),
            (Some(speaker), Some(Word { text: "I'm" | "I’m", .. })) => (speaker.to_owned(), 0),
            _ => match self.name(start, true) {
                Some(words) if words.end > start => (self.text(&words), words.end),
                _ => return,
            },
        };
        let is_speaker =
            at < 2 && speaker.is_some_and(|speaker| speaker == name) && self.words[0].text.starts_with('I');
        let subject = Subject { name: &name, is_speaker };
        if at > 0 && !self.words[at - 1].after.is_empty() && !self.words[at - 1].goes_on() {
            if let Some(at) = self.apposition(subject, at) {
                self.clauses(subject, at);
            }
            return;
        }
        self.clauses(subject, at);
    }

    /// `Ada's boss is Bob`, `My boss is Bob`; tells whether the sentence begins so.
    fn owned(&mut self, speaker: Option<&str>) -> bool {
        let Some(first) = self.words.first() else { return false };
        let (owner, at) = if first.text == "My" {
            match speaker {
                Some(speaker) => (speaker.to_owned(), 1),
                None => return true,
            }
        } else {
            let mut end = 0;
            while end < NAME && self.words.get(end).is_some_and(|word| is_name(word.text, end == 0) && !word.owns) {
                end += 1;
            }
            match self.words.get(end) {
                Some(word) if word.owns && is_name(word.text, end == 0) => (self.text(&(0..end + 1)), end + 1),
                _ => return false,
            }
        };
        let Some(noun) = self.noun(at) else { return true };
        if !self.is(noun.end, "is") {
            return true;
        }
        let start = noun.end + 1;
        if let Some(name) = self.name(start, false).filter(|name| self.stops(name.end)) {
            let predicate = format!("{} of", self.text(&noun));
            let subject = self.text(&name);
            self.state(&subject, &predicate, &owner);
        }
        true
    }

    /// `Ada, head of Acme, …`: gives where it goes on.
    fn apposition(&mut self, subject: Subject<'_>, at: usize) -> Option<usize> {
        let comma = |at: usize| self.words.get(at).is_some_and(|word| word.after == ",");
        if !comma(at - 1) {
            return None;
        }
        let start = at + usize::from(["the", "a", "an"].iter().any(|article| self.is(at, article)));
        let noun = self.noun(start)?;
        let place = noun.end + 1;
        let name = self.name(place, false).filter(|_| self.is(noun.end, "of"))?;
        let ends = self.words.get(name.end - 1).is_some_and(|word| !word.owns && word.after.starts_with([',', '.']));
        if !ends {
            return None;
        }
        let (predicate, object) = (format!("{} of", self.text(&noun)), self.text(&name));
        self.state(subject.name, &predicate, &object);
        comma(name.end - 1).then_some(name.end)
    }

    /// What is said of the subject from a place on, and after each `and`.
    fn clauses(&mut self, subject: Subject<'_>, mut at: usize) {
        while let Some(end) = self.clause(subject, at) {
            if !self.is(end, "and") {
                return;
            }
            at = end + 1;
        }
    }

    /// What is said of the subject at a place; gives where it ends.
    fn clause(&mut self, subject: Subject<'_>, at: usize) -> Option<usize> {
        let at = self.past_adverb(at);
        for (third, first, predicate) in VERBS {
            let verb = if subject.is_speaker { first } else { third };
            if !verb.iter().enumerate().all(|(skip, word)| self.is(at + skip, word)) {
                continue;
            }
            let mut start = at + verb.len();
            start += usize::from(self.is(start, "the"));
            let object = self.name(start, false).filter(|object| self.stops(object.end))?;
            let (end, object) = (object.end, self.text(&object));
            self.state(subject.name, predicate, &object);
            return Some(end);
        }
        let be: &[&str] = if subject.is_speaker { &["am", "I'm", "I’m"] } else { &["is"] };
        be.iter().any(|be| self.is(at, be)).then(|| self.being(subject, at + 1)).flatten()
    }

    /// `is the capital of France`, `is a singer`.
    fn being(&mut self, subject: Subject<'_>, at: usize) -> Option<usize> {
        let at = self.past_adverb(at);
        let the = self.is(at, "the");
        let an = self.is(at, "a") || self.is(at, "an");
        let noun = self.noun(at + usize::from(the || an))?;
        if self.is(noun.end, "of") {
            let skip = usize::from(self.is(noun.end + 1, "the"));
            let name = self.name(noun.end + 1 + skip, false).filter(|name| (the || an) && self.stops(name.end))?;
            let (predicate, object) = (format!("{} of", self.text(&noun)), self.text(&name));
            self.state(subject.name, &predicate, &object);
            return Some(name.end);
        }
        if !an || !self.ends_phrase(noun.end) {
            return None;
        }
        let object = self.text(&noun);
        self.state(subject.name, "is a", &object);
        Some(noun.end)
    }

    /// Where it goes on after an adverb, if one stands at a place.
    fn past_adverb(&self, at: usize) -> usize {
        at + usize::from(self.words.get(at).is_some_and(|word| ADVERBS.contain(word.text) && self.is(at, word.text)))
    }

    /// A noun of one to three small words or short forms, such as `software engineer` or `CEO`.
    fn noun(&self, at: usize) -> Option<Range<usize>> {
        let fits = |word: &Word<'_>| {
            let short = word.text.len() <= 4 && word.text.chars().all(char::is_uppercase) && word.text.len() > 1;
            let small = word.text.starts_with(char::is_lowercase)
                && word.text.chars().all(|char| char.is_alphabetic() || char == '-');
            (short || small) && word.before.is_empty() && !word.owns && !is_function(word.text)
        };
        let mut end = at;
        while end < at + NOUN && self.words.get(end).is_some_and(fits) {
            end += 1;
            if !self.words[end - 1].after.is_empty() {
                break;
            }
        }
        let plain = |word: &Word<'_>| !NO_NOUN.contain(word.text) && !word.text.ends_with("ly");
        let words = self.words.get(at..end).filter(|words| !words.is_empty() && words.iter().all(plain))?;
        words.iter().all(|word| word.text.len() > 1).then_some(at..end)
    }

    /// A name of great words, or a title between quotation marks, that begins at a place.
    fn name(&self, at: usize, first: bool) -> Option<Range<usize>> {
        let word = self.words.get(at)?;
        if word.before.ends_with(['"', '“']) {
            let close = |word: &Word<'_>| word.after.contains(['"', '”']);
            let end = self.words.iter().skip(at).take(2 * NAME).position(close)? + at + 1;
            return (1..=NAME_BYTES).contains(&self.text(&(at..end)).len()).then_some(at..end);
        }
        let mut start = at;
        while self.words.get(start).is_some_and(|word| word.is_title() && word.goes_on()) {
            start += 1;
        }
        let mut end = start;
        while end < start + NAME {
            let Some(word) = self.words.get(end) else { break };
            let joins = end > start && word.before.is_empty();
            if is_name(word.text, first && end == at) && word.before.is_empty() {
                end += 1;
                if word.owns || !word.goes_on() {
                    break;
                }
            } else if joins && WITHIN.contain(word.text) && word.goes_on() {
                // What joins two parts of a name stands between two, with at most one more.
                let skip = 1 + usize::from(self.words.get(end + 1).is_some_and(|next| WITHIN.contain(next.text)));
                match self.words.get(end + skip) {
                    Some(next) if is_name(next.text, false) && next.before.is_empty() => end += skip,
                    _ => break,
                }
            } else {
                break;
            }
        }
        let is_long = self.words.get(end).is_some_and(|word| is_name(word.text, false)) && end == start + NAME;
        let owns = self.words.get(start..end)?.iter().any(|word| word.owns);
        (end > start && !is_long && !owns && self.text(&(start..end)).len() <= NAME_BYTES).then_some(start..end)
    }

    /// Whether what is said may end before a place.
    fn stops(&self, at: usize) -> bool {
        self.ends_phrase(at) && !(self.is(at, "and") && self.is(at + 1, "other"))
    }

    fn ends_phrase(&self, at: usize) -> bool {
        let Some(last) = at.checked_sub(1).and_then(|at| self.words.get(at)) else { return false };
        if last.owns {
            return false;
        }
        match self.words.get(at) {
            None => self.closed || last.after.contains(['.', '!', ';']),
            Some(next) => {
                // After a comma a name may be of what the one before it lies in, or another.
                let comma =
                    last.after.ends_with(',') && !next.text.starts_with(char::is_uppercase) && next.text != "or";
                let quoted = last.after.chars().all(|char| matches!(char, '"' | '”'));
                comma || quoted && next.before.is_empty() && FOLLOWS.contain(next.text)
            }
        }
    }

    fn is(&self, at: usize, word: &str) -> bool {
        let joined = at.checked_sub(1).and_then(|before| self.words.get(before)).is_none_or(|before| {
            before.goes_on() || before.after == "," || before.after.chars().all(|char| matches!(char, '"' | '”'))
        });
        let found = self.words.get(at).filter(|found| found.before.is_empty() && !found.owns);
        joined && found.is_some_and(|found| found.text == word || at == 0 && found.text.eq_ignore_ascii_case(word))
    }

    fn text(&self, words: &Range<usize>) -> String {
        let words = self.words.get(words.clone()).unwrap_or_default();
        let initial = |word: &Word<'_>| if word.goes_on() && word.after == "." { "." } else { "" };
        let last = words.len().saturating_sub(1);
        let word = |(at, word): (usize, &Word<'_>)| {
            if at < last { format!("{}{}", word.text, initial(word)) } else { word.text.to_owned() }
        };
        // A mark that stands alone has no text.
        words.iter().enumerate().map(word).filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ")
    }

    fn state(&mut self, subject: &str, predicate: &str, object: &str) {
        let relation =
            Relation { subject: subject.to_owned(), predicate: predicate.to_owned(), object: object.to_owned() };
        if subject != object && self.found.len() < MANY && !self.found.contains(&relation) {
            self.found.push(relation);
        }
    }
}

/// Whether a word may be part of a name; the first of a sentence is no name if it is a word that
/// often begins one.
fn is_name(word: &str, first: bool) -> bool {
    let great = word.starts_with(char::is_uppercase);
    let plain = word.chars().all(|char| char.is_alphanumeric() || matches!(char, '-' | '\'' | '’' | '&' | '.' | '+'));
    let lower = word.to_lowercase();
    let other = first && (lower.ends_with("ing") || lower.ends_with("ly"));
    great && plain && !other && word != "I" && !lower.starts_with("i'") && !NO_NAME.contain(&lower)
}

fn is_function(word: &str) -> bool {
    let small = ["am", "are", "be", "been", "being", "has", "have", "is", "than", "was", "were"];
    small.contains(&word) || NO_NAME.contain(word) || FOLLOWS.contain(word) || DOUBT.contain(word)
}
