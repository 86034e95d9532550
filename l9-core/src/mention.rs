//! A name looked for in what is kept: in texts, in numbers, in JSON however deep it is quoted, and in
//! JSON within strings of JSON. To tell where it may stand, it is looked for as it is written and also
//! within a longer word; to erase what mentions it, as whole words in any case.

use memchr::memmem::Finder;
use serde_json::Value;
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;
use unicode_segmentation::UnicodeSegmentation as _;

/// How many times a name is looked for as it stands in a string of JSON within a string of JSON.
const QUOTED: usize = 4;
/// How deep JSON within strings of JSON is opened.
const DEEP: usize = 6;
/// How many bytes around a place are looked at to tell whether a word ends there.
const AROUND: usize = 256;

/// A name to look for.
#[derive(Debug)]
pub struct Name {
    /// The name as it is, and as it stands in a string of JSON, in one within that, and so on;
    /// none of an empty one.
    forms: Vec<Finder<'static>>,
    /// The number that it is, if it is one.
    number: Option<f64>,
    whole: bool,
}

impl Name {
    /// Looks for this name as it is written, also within a longer word; an empty one stands nowhere.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self::of(name, false)
    }

    /// Looks for this name as whole words, in any case and compatible form of its letters. A word
    /// ends where Unicode ends it (UAX 29), and at whatever is no letter, digit or underscore, so
    /// that `Ann` is in `Ann's` and `ann@example.org`, and not in `Annual`.
    #[must_use]
    pub fn whole(name: &str) -> Self {
        Self::of(name, true)
    }

    fn of(name: &str, whole: bool) -> Self {
        let mut forms: Vec<String> = Some(name.to_owned()).filter(|name| !name.is_empty()).into_iter().collect();
        while let Some(last) = forms.last().filter(|_| forms.len() <= QUOTED) {
            let quoted = Value::from(last.as_str()).to_string();
            let form = quoted[1..quoted.len() - 1].to_owned();
            if form == *last {
                break;
            }
            forms.push(form);
        }
        let form = |form: &String| Finder::new(if whole { folded(form) } else { form.clone() }.as_bytes()).into_owned();
        let number = name.parse().ok().filter(|number: &f64| number.is_finite());
        Self { forms: forms.iter().map(form).collect(), number, whole }
    }

    /// Whether it stands in a value, its fields' names included.
    #[must_use]
    pub fn is_in_value(&self, value: &Value) -> bool {
        self.is_in_json(value, DEEP)
    }

    /// Whether it stands in the bytes of a JSON text.
    #[must_use]
    pub fn is_in_bytes(&self, json: &[u8]) -> bool {
        // How the text is written tells nothing of where words end in it.
        let written = || if self.whole { self.has_form(&String::from_utf8_lossy(json)) } else { self.has_bytes(json) };
        match serde_json::from_slice(json) {
            Ok(value) => !self.whole && written() || self.is_in_json(&value, DEEP),
            Err(_) => written(),
        }
    }

    fn has_bytes(&self, bytes: &[u8]) -> bool {
        self.forms.iter().any(|form| form.find(bytes).is_some())
    }

    fn has_form(&self, text: &str) -> bool {
        if !self.whole {
            return self.has_bytes(text.as_bytes());
        }
        let text = folded(text);
        self.forms.iter().any(|form| has_whole(&text, form))
    }

    fn is_within(&self, text: &str, deep: usize) -> bool {
        if self.has_form(text) {
            return true;
        }
        // What an escape hides, such as a letter that is written as its number; and numbers, however
        // they are written.
        let opens = |text: &str| text.starts_with(['{', '[', '"']);
        deep > 0
            && opens(text.trim_start())
            && serde_json::from_str(text).is_ok_and(|value| self.is_in_json(&value, deep - 1))
    }

    fn is_in_json(&self, value: &Value, deep: usize) -> bool {
        match value {
            Value::String(text) => self.is_within(text, deep),
            Value::Array(items) => items.iter().any(|item| self.is_in_json(item, deep)),
            Value::Object(fields) => {
                fields.iter().any(|(name, field)| self.is_within(name, deep) || self.is_in_json(field, deep))
            }
            // However either is written.
            Value::Number(number) => {
                self.number.is_some() && self.number == number.as_f64() || self.has_form(&number.to_string())
            }
            Value::Bool(_) | Value::Null => false,
        }
    }
}

/// A text as texts are compared whose case does not matter.
fn folded(text: &str) -> String {
    // One letter for another, by way of the large ones: some small ones have the same.
    text.nfkc().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

/// Whether a form of a name stands in a text as whole words.
fn has_whole(text: &str, form: &Finder<'_>) -> bool {
    let (mut from, long) = (0, form.needle().len());
    while let Some(found) = form.find(&text.as_bytes()[from..]) {
        let at = from + found;
        if is_bound(text, at) && is_bound(text, at + long) {
            return true;
        }
        from = at + text[at..].chars().next().map_or(1, char::len_utf8);
    }
    false
}

/// Whether a word ends or begins at a place in a text.
fn is_bound(text: &str, at: usize) -> bool {
    let (before, after) = text.split_at(at);
    let (Some(last), Some(first)) = (before.chars().next_back(), after.chars().next()) else { return true };
    let in_words = |char: char| char.is_alphanumeric() || char == '_' || is_combining_mark(char);
    if !in_words(last) || !in_words(first) || is_escaped(before) {
        return true;
    }
    // Within letters it is for Unicode to say: in some scripts nothing stands between words.
    let (least, most) = (text.floor_char_boundary(at.saturating_sub(AROUND)), text.floor_char_boundary(at + AROUND));
    let start = text[least..at].rfind(char::is_whitespace).map_or(least, |space| least + space);
    let end = text[at..most].find(char::is_whitespace).map_or(most, |space| at + space);
    text[start..end].split_word_bound_indices().any(|(bound, _)| start + bound == at)
}

/// Whether a text ends with an escape of JSON, which quoting puts before a name.
fn is_escaped(text: &str) -> bool {
    let bytes = text.as_bytes();
    let short = bytes.len().checked_sub(2).map(|at| &bytes[at..]);
    let long = bytes.len().checked_sub(6).map(|at| &bytes[at..]);
    short.is_some_and(|end| end[0] == b'\\' && b"bfnrt".contains(&end[1]))
        || long.is_some_and(|end| end.starts_with(b"\\u") && end[2..].iter().all(u8::is_ascii_hexdigit))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Name;

    #[test]
    fn a_name_is_found_however_it_is_quoted() {
        for name in ["Ada", r#"Ada "the \ countess" L."#, "Zoë\tÜ", "née\n"] {
            let looked = Name::new(name);
            let mut value = json!({"a": [1, {"who": format!("it is {name}!")}]});
            for depth in 0..5 {
                assert!(looked.is_in_value(&value), "{name:?} at {depth}");
                assert!(looked.is_in_bytes(value.to_string().as_bytes()), "{name:?} at {depth}");
                value = json!({"arguments": value.to_string()});
            }
            assert!(looked.is_in_value(&json!({ name: null })));
            // A piece of JSON amid words.
            let words = format!("so I call {} now", json!({"name": json!({"name": name}).to_string()}));
            assert!(looked.is_in_value(&Value::from(words)));
            assert!(!looked.is_in_value(&json!("Bob")) && !looked.is_in_value(&json!({"Bob": ["Bea", 1, null]})));
        }
        // A number is a name too.
        for (name, number) in
            [("4711", json!(4711)), ("4711", json!(4711.0)), ("-3.50", json!(-3.5)), ("471", json!(4711))]
        {
            let value = json!({"metadata": {"customer": [number]}});
            assert!(Name::new(name).is_in_value(&value), "{name} in {value}");
        }
        assert!(!Name::new("4712").is_in_value(&json!([4711, 47.12, true])));
        for name in ["+491701234567", "-3.50"] {
            let text = json!({"phone": 491_701_234_567_u64, "share": -3.5}).to_string();
            assert!(Name::new(name).is_in_value(&json!(text)) && Name::whole(name).is_in_value(&json!(text)), "{name}");
        }
        // As some write what is not ASCII.
        let written = json!({"arguments": "{\"name\":\"Zo\\u00eb\"}"});
        let looked = Name::new("Zoë");
        assert!(looked.is_in_value(&written) && looked.is_in_bytes(written.to_string().as_bytes()));
        assert!(looked.is_in_bytes(br#"{"name":"Zo\u00EB"}"#));
        assert!(!Name::new("").is_in_value(&json!(["anything", ""])) && !Name::new("").is_in_bytes(b"\"\""));
    }

    #[test]
    fn a_whole_name_is_found_in_no_longer_word() {
        let said = |name: &str, text: &str| Name::whole(name).is_in_value(&json!({"text": text}));
        for (name, text) in [
            ("Ann", "Ann"),
            ("Ann", "So says Ann, and"),
            ("Ann", "ANN's hat, or ann\u{2019}s"),
            ("ann", "Write to Ann@example.org."),
            ("Ann", "Annual Ann-Marie"),
            ("anna ann", "banna anna ann"),
            ("a a", "xa a a"),
            ("Stra\u{df}e", "die STRASSE hinab"),
            ("Zo\u{eb}", "it is zoe\u{308}!"),
            ("\u{39d}\u{3af}\u{3ba}\u{3bf}\u{3c2}", "\u{39d}\u{38a}\u{39a}\u{39f}\u{3a3}."),
            ("\u{738b}", "\u{738b}\u{3055}\u{3093}\u{306f}"),
            ("@ada", "to x@ada"),
            ("ada@example.org", "<Ada@Example.org>"),
            ("4711", "customer 4711"),
        ] {
            assert!(said(name, text), "{name:?} in {text:?}");
        }
        for (name, text) in [
            ("Ann", "Annual"),
            ("Ann", "Joann, Hannah, mann"),
            ("Ann", "Ann7 ann_lee"),
            ("Zoe", "Zoe\u{308}"),
            ("471", "4711"),
            ("", "anything"),
            ("\u{43d}\u{430}", "\u{430}\u{43d}\u{43d}\u{430}"),
        ] {
            assert!(!said(name, text), "{name:?} in {text:?}");
        }
    }

    #[test]
    fn what_hardly_ends_a_word_is_looked_through_in_a_line() {
        // Each `eva` begins a word, and Unicode must say that none ends after it.
        let text = r#"{"tool":"calc/evaluate"},"#.repeat(40_000);
        assert!(!Name::whole("eva").is_in_value(&json!(text)));
        assert!(Name::whole("eva").is_in_value(&json!(format!("{text}(eva)"))));
    }

    #[test]
    fn a_whole_name_is_found_however_it_is_quoted() {
        for name in ["Ada", r#"Ada "the \ countess" L."#, "Zo\u{eb}\t\u{dc}", "n\u{e9}e\n"] {
            let looked = Name::whole(name);
            let mut value = json!({"a": [1, {"who": format!("it is\n{}!", name.to_uppercase())}]});
            for depth in 0..5 {
                assert!(looked.is_in_value(&value), "{name:?} at {depth}");
                assert!(looked.is_in_bytes(value.to_string().as_bytes()), "{name:?} at {depth}");
                value = json!({"arguments": value.to_string()});
            }
            assert!(looked.is_in_value(&json!({ name: null })));
            let words = format!("so I call {} now", json!({"name": json!({"name": name}).to_string()}));
            assert!(looked.is_in_value(&Value::from(words)));
        }
        let looked = Name::whole("Ann");
        assert!(!looked.is_in_bytes(br#"{"n":"\nAnnual"}"#) && looked.is_in_bytes(br#"{"n":"\nAnn"}"#));
        assert!(looked.is_in_value(&Value::from(r#"I said "a\nAnn" there"#)));
        assert!(Name::whole("4711").is_in_value(&json!({"id": 4711})));
        assert!(!Name::whole("471").is_in_value(&json!({"id": 4711})));
    }
}
