//! The secrets that are known by their value, found in one pass over a text.
//!
//! What cannot be found: a secret that nobody told, and pieces too short to be told from
//! ordinary text.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};

use aho_corasick::AhoCorasick;
use secrecy::{ExposeSecret, SecretString};

use super::Redactor;
use super::forms::{self, Form, SHORTEST};

/// Masks the secrets it was told, whole or in telling parts, plain and encoded, with their
/// names. It may be told more while others use it.
#[derive(Default)]
pub struct KnownSecrets(RwLock<Arc<Known>>);

#[derive(Default)]
struct Known {
    secrets: Vec<(String, SecretString)>,
    index: Arc<Index>,
}

impl KnownSecrets {
    /// Knows these secrets, which have no names; those shorter than eight bytes are ignored,
    /// since masking them would mask ordinary text.
    #[must_use]
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a SecretString>) -> Self {
        let known = Self::default();
        known.learn(secrets.into_iter().map(|secret| ("", secret)));
        known
    }

    /// Learns secrets by their names, which are shown in their place. One that is known
    /// already keeps its name.
    pub fn learn<'a>(&self, secrets: impl IntoIterator<Item = (&'a str, &'a SecretString)>) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut all = known.secrets.clone();
        for (name, secret) in secrets {
            let plain = secret.expose_secret();
            if plain.len() >= SHORTEST && !all.iter().any(|(_, there)| there.expose_secret() == plain) {
                all.push((name.to_owned(), secret.clone()));
            }
        }
        if all.len() > known.secrets.len() {
            let index = Arc::new(Index::of(&all));
            *known = Arc::new(Known { secrets: all, index });
        }
    }

    fn known(&self) -> Arc<Known> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for KnownSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KnownSecrets({})", self.known().secrets.len())
    }
}

impl Redactor for KnownSecrets {
    fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let known = self.known();
        let found = known.index.find(text);
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        let (mut clean, mut at) = (String::with_capacity(text.len()), 0);
        for (range, secret) in found {
            clean.push_str(&text[at..range.start]);
            clean.push_str(&mask(&known.secrets[secret].0));
            at = range.end;
        }
        clean.push_str(&text[at..]);
        Cow::Owned(clean)
    }

    fn safe_len(&self, text: &str) -> usize {
        let known = self.known();
        let mut cut = text.len().saturating_sub(known.index.longest.saturating_sub(1));
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        let across = known.index.find(text).into_iter().find(|(range, _)| range.start < cut && cut < range.end);
        across.map_or(cut, |(range, _)| range.start)
    }
}

/// What stands in place of a secret.
fn mask(name: &str) -> String {
    if name.is_empty() { "[redacted]".to_owned() } else { format!("[redacted: {name}]") }
}

/// All looks of all secrets, found by short anchors within them.
#[derive(Default)]
struct Index {
    /// Each with the secret it is of.
    forms: Vec<(usize, Form)>,
    /// Where in which form an anchor stands, in the order of the search's patterns.
    anchors: Vec<(usize, usize)>,
    search: Option<AhoCorasick>,
    longest: usize,
}

impl Index {
    fn of(secrets: &[(String, SecretString)]) -> Self {
        let forms: Vec<(usize, Form)> = secrets
            .iter()
            .enumerate()
            .flat_map(|(at, (_, secret))| forms::of(secret.expose_secret()).into_iter().map(move |form| (at, form)))
            .collect();
        let mut anchors = Vec::new();
        for (at, (_, form)) in forms.iter().enumerate() {
            // A part that tells is as long as two anchors, so that one stands whole in it.
            let step = stride(form);
            anchors.extend((0..=form.bytes.len() - step).step_by(step).map(|offset| (at, offset)));
        }
        let patterns = anchors.iter().map(|(at, offset)| {
            let form = &forms[*at].1;
            &form.bytes[*offset..*offset + stride(form)]
        });
        // Anchors of a few bytes each: only an exhausted address space fails here.
        let search = AhoCorasick::new(patterns).ok().filter(|_| !forms.is_empty());
        let longest = forms.iter().map(|(_, form)| form.bytes.len()).max().unwrap_or(0);
        Self { forms, anchors, search, longest }
    }

    /// Where secrets stand, in order and apart from each other, each with its secret.
    fn find(&self, text: &str) -> Vec<(Range<usize>, usize)> {
        let Some(search) = &self.search else { return Vec::new() };
        let mut found: Vec<(Range<usize>, usize)> = Vec::new();
        // Where each form was seen last: its other anchors there would say the same again.
        let mut seen: Vec<(usize, usize)> = Vec::new();
        for hit in search.find_overlapping_iter(text) {
            let (at, offset) = self.anchors[hit.pattern().as_usize()];
            let (secret, form) = &self.forms[at];
            seen.resize(self.forms.len(), (0, 0));
            // The form begins so many bytes before the hit; its length keeps that from being negative.
            let begins = hit.start() + form.bytes.len() - offset;
            if seen[at].0 == begins && hit.end() <= seen[at].1 {
                continue;
            }
            let range = grown(text.as_bytes(), hit.range(), &form.bytes, offset);
            seen[at] = (begins, range.end);
            let part = offset - (hit.start() - range.start)..offset + (range.end - hit.start());
            if form.tells(&part) {
                found.push((whole_characters(text, range), *secret));
            }
        }
        found.sort_by_key(|(range, _)| (range.start, std::cmp::Reverse(range.end)));
        let mut apart: Vec<(Range<usize>, usize)> = Vec::new();
        for (range, secret) in found {
            match apart.last_mut() {
                Some((last, _)) if range.start < last.end => last.end = last.end.max(range.end),
                _ => apart.push((range, secret)),
            }
        }
        apart
    }
}

/// How far apart the anchors of a form stand, and how long they are.
fn stride(form: &Form) -> usize {
    if form.telling == form.bytes.len() { form.telling } else { form.telling / 2 }
}

/// The most of a form that stands around a hit of its anchor at `offset`.
fn grown(text: &[u8], hit: Range<usize>, form: &[u8], offset: usize) -> Range<usize> {
    let before = text[..hit.start].iter().rev().zip(form[..offset].iter().rev());
    let after = text[hit.end..].iter().zip(&form[offset + hit.len()..]);
    let left = before.take_while(|(a, b)| a == b).count();
    let right = after.take_while(|(a, b)| a == b).count();
    hit.start - left..hit.end + right
}

fn whole_characters(text: &str, mut range: Range<usize>) -> Range<usize> {
    while !text.is_char_boundary(range.start) {
        range.start -= 1;
    }
    while !text.is_char_boundary(range.end) {
        range.end += 1;
    }
    range
}

#[cfg(test)]
mod tests {
    use super::super::redact_value;
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const KEY: &str = "sk-0123456789-abcdefghij/+é";

    fn named(name: &str, secret: &str) -> KnownSecrets {
        let known = KnownSecrets::default();
        known.learn([(name, &SecretString::from(secret.to_owned()))]);
        known
    }

    #[test]
    fn secrets_are_masked_in_every_encoding_and_place() {
        let secrets = KnownSecrets::new([&SecretString::from("sk-0123456789".to_owned())]);
        let mut value = json!({"a": ["x sk-0123456789 y"], "sk-0123456789": STANDARD.encode("sk-0123456789")});
        assert!(redact_value(&secrets, &mut value));
        assert_eq!(value["a"], json!(["x [redacted] y"]));
        assert!(value["[redacted]"].as_str().unwrap().starts_with("[redacted]"), "{value}");
        assert!(matches!(secrets.redact("nothing here"), Cow::Borrowed(_)));
        assert!(!format!("{secrets:?}").contains("0123"));
        let mut number = json!({"pin": 12_345_678_901_u64, "other": 5});
        assert!(redact_value(&named("pin", "12345678901"), &mut number));
        assert_eq!(number, json!({"pin": "[redacted: pin]", "other": 5}));
    }

    #[test]
    fn every_encoding_is_masked_with_the_name() {
        let known = named("notes-key", KEY);
        let reversed: String = KEY.chars().rev().collect();
        let json = Value::from(KEY).to_string();
        for form in
            [KEY, &reversed, &json, &hex::encode(KEY), &hex::encode_upper(KEY), "sk-0123456789-abcdefghij%2F%2B%c3%a9"]
        {
            let clean = known.redact(form).into_owned();
            assert!(clean.contains("[redacted: notes-key]"), "{form} {clean}");
            assert!(!clean.contains("0123") && !clean.contains("3031") && !clean.contains("9876"), "{form} {clean}");
        }
        for before in ["", "u", "us", "use:"] {
            for encoded in [STANDARD.encode(format!("{before}{KEY}!")), URL_SAFE.encode(format!("{before}{KEY}!"))] {
                let clean = known.redact(&encoded).into_owned();
                // At most the digits that mix with a neighbour stay on either side.
                assert!(clean.contains("[redacted: notes-key]") && clean.len() < 36, "{before} {encoded} {clean}");
            }
        }
    }

    #[test]
    fn halves_are_masked_and_ordinary_text_is_not() {
        let known = named("k", KEY);
        let (first, second) = KEY.split_at(KEY.len() / 2);
        for half in [first, second] {
            assert_eq!(known.redact(&format!("it is {half}!")), "it is [redacted: k]!");
        }
        assert_eq!(known.redact("sk-0123 abcdef 456789"), "sk-0123 abcdef 456789");
        // A short one is found whole only: its parts may be words.
        let short = named("k", "orange-house");
        assert_eq!(short.redact("an orange-hous"), "an orange-hous");
        assert_eq!(short.redact("an orange-house"), "an [redacted: k]");
        let scheme = named("k", "Bearer hunter2-hunter2");
        assert_eq!(scheme.redact("hunter2-hunter2 Bearer"), "[redacted: k] Bearer");
    }

    #[test]
    fn how_keys_of_a_kind_begin_is_no_help_in_guessing_the_rest() {
        let digits = "Zk9tQ2xR7vB4nM1wX8sJ5hG3dF6aP0eYuIoTbVcLrKqHzWm2";
        for custom in ["sk-ant-api03-", "github_pat_", "ghp_", "Bearer ghp_", "xoxb-", "eyJhbGciOiJIUzI1NiJ9."] {
            let secret = format!("{custom}{digits}");
            let known = named("k", &secret);
            let encoded = |text: &str| [text.to_owned(), hex::encode(text), text.chars().rev().collect()];
            for guessed in 0..8 {
                for next in ["Z", "x", "!", "k"] {
                    for guess in encoded(&format!("{custom}{}{next}", &digits[..guessed])) {
                        assert_eq!(known.redact(&guess), guess, "nobody is told whether it is right");
                    }
                }
            }
            for part in encoded(&secret).into_iter().chain(encoded(&secret[..secret.len() / 2])) {
                assert!(known.redact(&part).starts_with("[redacted: k]"), "{part}");
            }
            for before in ["", "a", "ab"] {
                let clean = known.redact(&STANDARD.encode(format!("{before}{secret}"))).into_owned();
                assert!(clean.contains("[redacted: k]") && clean.len() < 24, "{clean}");
            }
        }
        // Where hardly anything comes after it, it counts.
        assert_eq!(named("k", "sk-0123456789abcdef").redact("sk-01234567"), "[redacted: k]");
    }

    #[test]
    fn what_is_learned_twice_keeps_its_first_name() {
        let known = named("first", KEY);
        let again = SecretString::from(KEY.to_owned());
        known.learn([("second", &again)]);
        assert_eq!(known.redact(KEY), "[redacted: first]");
    }

    proptest! {
        #[test]
        fn no_half_of_a_secret_survives(secret in "[!-~]{16,60}", before in "[ -~]{0,20}", after in "[ -~é]{0,20}") {
            let known = named("", &secret);
            let half = &secret[..secret.len().div_ceil(2)];
            for text in [format!("{before}{secret}{after}"), format!("{before}{half}{after}"), format!("{before}{}{after}", hex::encode(&secret))] {
                let clean = known.redact(&text).into_owned();
                prop_assert!(clean.contains("[redacted]") && !clean.contains(half), "{clean}");
            }
        }

        #[test]
        fn a_stream_is_masked_however_it_is_cut(cuts in proptest::collection::vec(1usize..9, 1..40)) {
            let known = named("", KEY);
            let text = format!("the key is {KEY}, the half {} and {}", &KEY[..14], hex::encode(KEY));
            let (mut held, mut out, mut rest) = (String::new(), String::new(), text.as_str());
            for cut in cuts.iter().cycle() {
                let mut at = (*cut).min(rest.len());
                while !rest.is_char_boundary(at) { at += 1; }
                held.push_str(&rest[..at]);
                rest = &rest[at..];
                let safe = known.safe_len(&held);
                out.push_str(&known.redact(&held[..safe]));
                held = held[safe..].to_owned();
                if rest.is_empty() { break; }
            }
            out.push_str(&known.redact(&held));
            prop_assert_eq!(out, known.redact(&text).into_owned());
        }
    }
}
