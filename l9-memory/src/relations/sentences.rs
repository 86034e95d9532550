//! Texts as sentences of words, as far as the rules of relations need it. Each pass is linear in
//! the text.

use crate::retrieval::speaker;

/// What stands before a colon and speaks not.
const NOBODY: &[&str] = &[
    "a",
    "answer",
    "assistant",
    "bot",
    "example",
    "from",
    "human",
    "me",
    "note",
    "notes",
    "q",
    "question",
    "re",
    "speaker",
    "subject",
    "summary",
    "system",
    "tip",
    "to",
    "todo",
    "user",
    "warning",
];
/// What ends with a full stop that ends no sentence.
const SHORT: &[&str] = &["dr", "mr", "mrs", "ms", "prof", "st"];

/// A word with the signs that stand around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word<'t> {
    /// Without the signs, and without a possessive's ending.
    pub(super) text: &'t str,
    /// The signs before it.
    pub(super) before: &'t str,
    /// The signs after it.
    pub(super) after: &'t str,
    /// Whether it is a possessive, such as `Ada's`.
    pub(super) owns: bool,
}

/// Some words up to the end of a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sentence<'t> {
    pub(super) words: Vec<Word<'t>>,
    /// Who says it, as in a script: `Ada: hello`.
    pub(super) speaker: Option<&'t str>,
    /// Whether it is known to end where it ends: the line of a list may go on in the next.
    pub(super) closed: bool,
}

impl<'t> Word<'t> {
    fn of(raw: &'t str) -> Self {
        let core = raw.trim_start_matches(|char: char| !char.is_alphanumeric());
        let before = &raw[..raw.len() - core.len()];
        let text = core.trim_end_matches(|char: char| !char.is_alphanumeric());
        let after = &core[text.len()..];
        match text.strip_suffix("'s").or_else(|| text.strip_suffix("’s")) {
            Some(owner) if !owner.is_empty() => Self { text: owner, before, after, owns: true },
            _ => Self { text, before, after, owns: false },
        }
    }

    /// Whether the word and the next one belong to one phrase.
    pub(super) fn goes_on(&self) -> bool {
        self.after.is_empty() || self.is_short()
    }

    /// Whether its full stop ends no sentence.
    fn is_short(&self) -> bool {
        let initial = self.text.chars().count() == 1 && self.text.starts_with(char::is_uppercase) && self.text != "I";
        self.after == "." && (initial || SHORT.iter().any(|short| short.eq_ignore_ascii_case(self.text)))
    }

    /// Whether a sentence ends with it.
    fn ends(&self) -> bool {
        !self.is_short() && self.after.contains(['.', '!', '?', ';', ':', '…'])
    }

    /// Whether it is a title before a name, such as `Dr.`.
    pub(super) fn is_title(&self) -> bool {
        let titles = &SHORT[..5];
        titles.iter().any(|title| title.eq_ignore_ascii_case(self.text)) && self.text.starts_with(char::is_uppercase)
    }
}

/// The sentences of a text, in their order.
pub(super) fn sentences<'t>(text: &'t str, each: &mut dyn FnMut(&Sentence<'t>)) {
    let mut open = Sentence { words: Vec::new(), speaker: None, closed: false };
    for line in text.lines().map(str::trim) {
        let (speaker, said) = split_speaker(line);
        let goes_on = !open.words.is_empty() && speaker.is_none() && line.starts_with(char::is_lowercase);
        if !goes_on {
            close(&mut open, !line.starts_with(char::is_alphanumeric) || speaker.is_some(), each);
            open.speaker = speaker;
        }
        for raw in said.split_whitespace() {
            let word = Word::of(raw);
            open.words.push(word);
            if word.ends() {
                close(&mut open, true, each);
            }
        }
    }
    close(&mut open, true, each);
}

fn close<'t>(open: &mut Sentence<'t>, closed: bool, each: &mut dyn FnMut(&Sentence<'t>)) {
    if !open.words.is_empty() {
        open.closed = closed;
        each(open);
    }
    open.words.clear();
}

/// Who speaks, as a script has it, and what is said.
fn split_speaker(line: &str) -> (Option<&str>, &str) {
    match speaker(line).filter(|name| is_speaker(name)) {
        Some(name) => (Some(name), &line[name.len() + 2..]),
        None => (None, line),
    }
}

/// Whether a name may be that of somebody who speaks.
pub(super) fn is_speaker(name: &str) -> bool {
    let parts = || name.split(' ');
    parts().count() <= 3
        && parts().all(|part| {
            part.starts_with(char::is_uppercase)
                && part.chars().all(|char| char.is_alphabetic() || matches!(char, '.' | '-' | '\''))
        })
        && !NOBODY.contains(&name.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<String> {
        let mut told = Vec::new();
        sentences(text, &mut |sentence| {
            let words: Vec<&str> = sentence.words.iter().map(|word| word.text).collect();
            let who = sentence.speaker.map(|who| format!("{who}> ")).unwrap_or_default();
            told.push(format!("{who}{}{}", words.join(" "), if sentence.closed { "" } else { " ..." }));
        });
        told
    }

    #[test]
    fn sentences_end_at_their_signs_and_at_lines_that_do_not_go_on() {
        assert_eq!(told("Dr. Ada J. Byron left. She\nreturned!"), ["Dr Ada J Byron left", "She returned"]);
        assert_eq!(told("Team\nAda works at New\nYork"), ["Team ...", "Ada works at New ...", "York"]);
        assert_eq!(told("Ada: hi. I left\nBob: oh"), ["Ada> hi", "Ada> I left", "Bob> oh"]);
        assert_eq!(told("Note: I left"), ["Note", "I left"]);
        assert_eq!(told("one\n\ntwo"), ["one", "two"]);
        assert_eq!(told(" \n"), [""; 0]);
    }
}
