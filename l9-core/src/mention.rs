//! A name looked for in what is kept, as it is written and also within a longer word: in texts,
//! in JSON however deep it is quoted, and in JSON within strings of JSON.

use memchr::memmem::Finder;
use serde_json::Value;

/// How many times a name is looked for as it stands in a string of JSON within a string of JSON.
const QUOTED: usize = 4;
/// How deep JSON within strings of JSON is opened.
const DEEP: usize = 6;

/// A name to look for.
#[derive(Debug)]
pub struct Name {
    /// The name as it is, and as it stands in a string of JSON, in one within that, and so on;
    /// none of an empty one.
    forms: Vec<Finder<'static>>,
}

impl Name {
    /// Looks for this name; an empty one stands nowhere.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut forms: Vec<String> = Some(name.to_owned()).filter(|name| !name.is_empty()).into_iter().collect();
        while let Some(last) = forms.last().filter(|_| forms.len() <= QUOTED) {
            let quoted = Value::from(last.as_str()).to_string();
            let form = quoted[1..quoted.len() - 1].to_owned();
            if form == *last {
                break;
            }
            forms.push(form);
        }
        Self { forms: forms.iter().map(|form| Finder::new(form).into_owned()).collect() }
    }

    /// Whether it stands in a value, its fields' names included.
    #[must_use]
    pub fn is_in_value(&self, value: &Value) -> bool {
        self.is_in_json(value, DEEP)
    }

    /// Whether it stands in the bytes of a JSON text.
    #[must_use]
    pub fn is_in_bytes(&self, json: &[u8]) -> bool {
        self.has_form(json) || serde_json::from_slice(json).is_ok_and(|value| self.is_in_json(&value, DEEP))
    }

    fn has_form(&self, bytes: &[u8]) -> bool {
        self.forms.iter().any(|form| form.find(bytes).is_some())
    }

    fn is_within(&self, text: &str, deep: usize) -> bool {
        if self.has_form(text.as_bytes()) {
            return true;
        }
        // What only an escape hides, such as a letter that is written as its number.
        let opens = |text: &str| text.starts_with(['{', '[', '"']);
        deep > 0
            && text.contains('\\')
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
            _ => false,
        }
    }
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
        // As some write what is not ASCII.
        let written = json!({"arguments": "{\"name\":\"Zo\\u00eb\"}"});
        let looked = Name::new("Zoë");
        assert!(looked.is_in_value(&written) && looked.is_in_bytes(written.to_string().as_bytes()));
        assert!(looked.is_in_bytes(br#"{"name":"Zo\u00EB"}"#));
        assert!(!Name::new("").is_in_value(&json!(["anything", ""])) && !Name::new("").is_in_bytes(b"\"\""));
    }
}
