//! Texts and JSON with places that arguments fill in.
//!
//! An argument must never become more than the place it fills: in an address it is
//! percent-encoded and cannot be a dot segment or make a segment empty; in a header it
//! cannot hold a control character.

use l9_core::tool::ToolFault;
use serde_json::{Map, Value};

use crate::percent::climbs;

/// The place that stands for the call's idempotency key.
const KEY: &str = "$idempotency_key";

/// A text cut into what is written and what is filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Plain(String),
    /// A JSON pointer into the arguments, or [`KEY`].
    Place(String),
}

/// What fills the places of a template.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arguments<'a> {
    pub(super) input: &'a Value,
    pub(super) key: &'a str,
}

impl Arguments<'_> {
    /// The argument at that place, unless it is absent or `null`.
    fn at(&self, place: &str) -> Option<Value> {
        if place == KEY {
            return Some(Value::String(self.key.to_owned()));
        }
        self.input.pointer(place).filter(|value| !value.is_null()).cloned()
    }

    /// The argument as text.
    fn text(&self, place: &str) -> Result<String, Unfilled> {
        match self.at(place) {
            None => Err(Unfilled::Absent(place.to_owned())),
            Some(Value::String(text)) => Ok(text),
            Some(value @ (Value::Bool(_) | Value::Number(_))) => Ok(value.to_string()),
            Some(_) => Err(Unfilled::Unfit(format!(
                "the argument {place} is a list or an object: only text, numbers and booleans fit there"
            ))),
        }
    }
}

/// Why a template could not be filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unfilled {
    /// The argument is not there.
    Absent(String),
    /// The argument does not fit.
    Unfit(String),
}

impl From<Unfilled> for ToolFault {
    fn from(unfilled: Unfilled) -> Self {
        let message = match unfilled {
            Unfilled::Absent(place) => format!("the argument {place} is needed and absent: give it"),
            Unfilled::Unfit(message) => message,
        };
        ToolFault::new("invalid_input", message)
    }
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong with it, and the mend.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let (brace, after) = rest[at..].split_at(1);
            if let Some(doubled) = after.strip_prefix(brace) {
                plain.push_str(brace);
                rest = doubled;
                continue;
            }
            let place = after.split_once('}').filter(|_| brace == "{");
            let Some((name, after)) = place else {
                return Err(format!("has a {brace} without its other half, write {brace}{brace} for the character"));
            };
            if !plain.is_empty() {
                parts.push(Part::Plain(std::mem::take(&mut plain)));
            }
            parts.push(Part::Place(pointer(name)?));
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Plain(plain));
        }
        Ok(Self(parts))
    }

    /// The pointers of the arguments it names.
    pub(super) fn places(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Place(place) if place != KEY => Some(place.as_str()),
            _ => None,
        })
    }

    /// What is written before the first place.
    pub(super) fn head(&self) -> &str {
        match self.0.first() {
            Some(Part::Plain(text)) => text,
            _ => "",
        }
    }

    /// Whether nothing is filled in.
    pub(super) fn is_plain(&self) -> bool {
        !self.0.iter().any(|part| matches!(part, Part::Place(_)))
    }

    /// The text with its places filled, as it is.
    pub(super) fn text(&self, arguments: Arguments<'_>) -> Result<String, Unfilled> {
        self.fill(|place| arguments.text(place))
    }

    /// A header's value.
    pub(super) fn header(&self, arguments: Arguments<'_>) -> Result<String, Unfilled> {
        self.fill(|place| {
            let text = arguments.text(place)?;
            if text.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
                return Ok(text);
            }
            Err(Unfilled::Unfit(format!("the argument {place} stands in a header: use printable ASCII without breaks")))
        })
    }

    /// The value of a parameter: its places percent-encoded, and of what is written whatever would
    /// end the value or cannot stand there. What is encoded as it is written stays so.
    pub(super) fn encoded(&self, arguments: Arguments<'_>) -> Result<String, Unfilled> {
        let parts = self.0.iter().map(|part| match part {
            Part::Plain(text) => Ok(encode_rest(text)),
            Part::Place(place) => arguments.text(place).map(|text| encode(&text)),
        });
        parts.collect()
    }

    /// An address: places percent-encoded, and no segment of its path empty or a dot
    /// segment because of an argument.
    pub(super) fn address(&self, arguments: Arguments<'_>) -> Result<String, Unfilled> {
        let address = self.fill(|place| {
            let text = arguments.text(place)?;
            if text.is_empty() || climbs(&text) {
                return Err(Unfilled::Unfit(format!(
                    "the argument {place} is {text:?} and stands in an address: it must not be empty, nor hold . or .. as a segment"
                )));
            }
            Ok(encode(&text))
        })?;
        // Two arguments side by side may still make dots together.
        if !self.is_plain() && climbs(address.split(['?', '#']).next().unwrap_or_default()) {
            return Err(Unfilled::Unfit("the arguments make a dot segment of the address together".to_owned()));
        }
        Ok(address)
    }

    fn fill(&self, filled: impl Fn(&str) -> Result<String, Unfilled>) -> Result<String, Unfilled> {
        let mut whole = String::new();
        for part in &self.0 {
            match part {
                Part::Plain(text) => whole.push_str(text),
                Part::Place(place) => whole.push_str(&filled(place)?),
            }
        }
        Ok(whole)
    }
}

/// JSON whose texts are templates: one that is nothing but a place becomes the argument as
/// it is; a member whose argument is absent is left out.
pub(super) fn json(template: &Value, arguments: Arguments<'_>) -> Result<Option<Value>, Unfilled> {
    Ok(match template {
        Value::String(text) => {
            let template = Template::parse(text).map_err(Unfilled::Unfit)?;
            match template.0.as_slice() {
                [Part::Place(place)] => arguments.at(place),
                _ => Some(Value::String(template.text(arguments)?)),
            }
        }
        Value::Array(items) => {
            let items = items.iter().map(|item| json(item, arguments)).collect::<Result<Vec<_>, _>>()?;
            Some(Value::Array(items.into_iter().flatten().collect()))
        }
        Value::Object(members) => {
            let mut filled = Map::new();
            for (name, member) in members {
                if let Some(value) = json(member, arguments)? {
                    filled.insert(name.clone(), value);
                }
            }
            Some(Value::Object(filled))
        }
        other => Some(other.clone()),
    })
}

/// Every character but the unreserved ones (RFC 3986, section 2.3) as its bytes.
pub(super) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// Every character that cannot stand in the value of a parameter (RFC 3986, section 3.4), or
/// would end it, as its bytes.
fn encode_rest(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for (at, character) in text.char_indices() {
        let stays = match character {
            '%' => text.as_bytes().get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)),
            '!' | '$' | '\'' | '(' | ')' | '*' | '+' | ',' | '/' | ':' | ';' | '=' | '?' | '@' => true,
            _ => false,
        };
        if stays {
            encoded.push(character);
        } else {
            encoded.push_str(&encode(character.encode_utf8(&mut [0; 4])));
        }
    }
    encoded
}

/// A place's name as a JSON pointer (RFC 6901).
fn pointer(name: &str) -> Result<String, String> {
    if name == KEY || (name.starts_with('/') && name.len() > 1) {
        return Ok(name.to_owned());
    }
    if !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')) {
        return Ok(format!("/{name}"));
    }
    Err(format!("has the place {{{name}}}, write {{name}}, {{/json/pointer}} or {{{KEY}}}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn address(template: &str, input: &Value) -> Result<String, Unfilled> {
        Template::parse(template).unwrap().address(Arguments { input, key: "k" })
    }

    #[test]
    fn places_are_names_pointers_and_the_key() {
        let input = json!({"a": 1, "b": {"c": true}, "t": "x y"});
        let template = Template::parse("{a}-{/b/c}-{t}-{$idempotency_key}-{{a}}").unwrap();
        assert_eq!(template.text(Arguments { input: &input, key: "k" }).unwrap(), "1-true-x y-k-{a}");
        assert_eq!(template.places().collect::<Vec<_>>(), ["/a", "/b/c", "/t"]);
        for wrong in ["{", "}", "{a", "a}", "{}", "{a b}", "{$other}"] {
            assert!(Template::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_argument_stays_within_its_segment() {
        let url = "https://h.example/v1/items/{id}/notes";
        let of = |id: &str| address(url, &json!({ "id": id }));
        assert_eq!(of("a/b?c#d@e:f\\").unwrap(), "https://h.example/v1/items/a%2Fb%3Fc%23d%40e%3Af%5C/notes");
        assert_eq!(of("%2f").unwrap(), "https://h.example/v1/items/%252f/notes");
        // Whoever decodes twice would see dots.
        for bad in ["", ".", "..", "%2e%2e", "../x", "x/..", "..\\x", "..;/x", "..%2fx", "%252e%252e%252fx", "..%5Cx"] {
            assert!(of(bad).is_err(), "{bad}");
        }
        assert!(address("https://h.example/{a}{b}/x", &json!({"a": ".", "b": "x"})).is_err());
        assert!(address("https://h.example/.{a}/x", &json!({"a": 1})).is_ok());
        assert!(address(url, &json!({"id": ["x"]})).is_err() && address(url, &json!({})).is_err());
    }

    #[test]
    fn what_is_written_of_a_parameter_stays_within_it() {
        let of = |template: &str| {
            let input = json!({"words": "x&y=é"});
            Template::parse(template).unwrap().encoded(Arguments { input: &input, key: "k" }).unwrap()
        };
        assert_eq!(of("repo:a/b {words}"), "repo:a/b%20x%26y%3D%C3%A9");
        assert_eq!(of("a b&c#{words}"), "a%20b%26c%23x%26y%3D%C3%A9");
        assert_eq!(of("100%25 100% é"), "100%25%20100%25%20%C3%A9");
    }

    #[test]
    fn a_body_keeps_types_and_leaves_out_what_is_absent() {
        let input = json!({"n": 3, "list": [1, 2], "name": "Ada"});
        let template =
            json!({"n": "{n}", "all": "{list}", "greeting": "hi {name}", "gone": "{more}", "fix": [1, "{more}"]});
        let filled = json(&template, Arguments { input: &input, key: "k" }).unwrap().unwrap();
        assert_eq!(filled, json!({"n": 3, "all": [1, 2], "greeting": "hi Ada", "fix": [1]}));
    }

    proptest! {
        #[test]
        fn no_argument_changes_the_shape_of_an_address(id in ".{1,40}") {
            let Ok(address) = address("https://h.example/v1/{id}/notes?q=1", &json!({ "id": id })) else { return Ok(()) };
            let uri: http::Uri = address.parse().unwrap();
            prop_assert_eq!(uri.host(), Some("h.example"));
            prop_assert_eq!(uri.path().split('/').count(), 4);
            prop_assert_eq!(uri.query(), Some("q=1"));
        }
    }
}
