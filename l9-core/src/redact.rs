//! What must not leave: secrets are masked in outputs, errors, deltas and logs.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

/// What stands in place of a masked secret.
const MASK: &str = "[redacted]";

/// Masks what must not leave.
pub trait Redactor: fmt::Debug + Send + Sync {
    /// The text with every secret masked; borrowed if there was none.
    fn redact<'a>(&self, text: &'a str) -> Cow<'a, str>;

    /// How many trailing bytes of a stream must be held back, because a secret could
    /// still complete in them: the longest secret's length less one.
    fn hold_back(&self) -> usize;
}

/// Masks every string within a value; tells whether anything was masked.
pub fn redact_value(redactor: &dyn Redactor, value: &mut Value) -> bool {
    let mut masked = false;
    match value {
        Value::String(text) => {
            if let Cow::Owned(clean) = redactor.redact(text) {
                *text = clean;
                masked = true;
            }
        }
        Value::Array(items) => {
            for item in items {
                masked |= redact_value(redactor, item);
            }
        }
        Value::Object(fields) => {
            let secret = |key: &&String| matches!(redactor.redact(key), Cow::Owned(_));
            let keys: Vec<String> = fields.keys().filter(secret).cloned().collect();
            for key in keys {
                if let Some(inner) = fields.remove(&key) {
                    fields.insert(redactor.redact(&key).into_owned(), inner);
                    masked = true;
                }
            }
            for (_, item) in fields.iter_mut() {
                masked |= redact_value(redactor, item);
            }
        }
        _ => {}
    }
    masked
}

/// Masks the exact secrets it knows, plain and in base64 and hex.
#[derive(Default)]
pub struct KnownSecrets {
    forms: Vec<SecretString>,
}

impl KnownSecrets {
    /// Knows these secrets; those shorter than eight bytes are ignored, since masking
    /// them would mask ordinary text.
    #[must_use]
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a SecretString>) -> Self {
        let mut forms = Vec::new();
        for secret in secrets {
            let plain = secret.expose_secret();
            if plain.len() < 8 {
                continue;
            }
            for form in [
                plain.to_owned(),
                STANDARD.encode(plain),
                STANDARD_NO_PAD.encode(plain),
                URL_SAFE_NO_PAD.encode(plain),
                hex::encode(plain),
                hex::encode_upper(plain),
                within_base64(plain, 0),
                within_base64(plain, 1),
                within_base64(plain, 2),
            ] {
                forms.push(SecretString::from(form));
            }
        }
        forms.sort_by_key(|form| std::cmp::Reverse(form.expose_secret().len()));
        Self { forms }
    }
}

/// What a secret looks like within the base64 of a longer text, such as `user:secret`,
/// when it begins `offset` bytes after a multiple of three. The digits that depend on its
/// neighbours are left out.
fn within_base64(plain: &str, offset: usize) -> String {
    let padded = [&[0; 2][..offset], plain.as_bytes()].concat();
    let digits = STANDARD_NO_PAD.encode(&padded);
    let end = if padded.len() % 3 == 0 { digits.len() } else { digits.len() - 1 };
    let start = if offset == 0 { 0 } else { offset + 1 };
    digits[start..end].to_owned()
}

impl fmt::Debug for KnownSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KnownSecrets({} forms)", self.forms.len())
    }
}

impl Redactor for KnownSecrets {
    fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut out = Cow::Borrowed(text);
        for form in &self.forms {
            if out.contains(form.expose_secret()) {
                out = Cow::Owned(out.replace(form.expose_secret(), MASK));
            }
        }
        out
    }

    fn hold_back(&self) -> usize {
        self.forms.first().map_or(0, |form| form.expose_secret().len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_are_masked_in_every_encoding_and_place() {
        let secrets = KnownSecrets::new([&SecretString::from("sk-0123456789".to_owned())]);
        let mut value = json!({"a": ["x sk-0123456789 y"], "sk-0123456789": STANDARD.encode("sk-0123456789")});
        assert!(redact_value(&secrets, &mut value));
        assert_eq!(value, json!({"a": ["x [redacted] y"], "[redacted]": "[redacted]"}));
        for user in ["", "u", "us", "use:"] {
            let basic = STANDARD.encode(format!("{user}sk-0123456789!"));
            assert!(secrets.redact(&basic).contains("[redacted]"), "{user} {basic}");
        }
        assert!(matches!(secrets.redact("nothing here"), Cow::Borrowed(_)));
        assert!(!format!("{secrets:?}").contains("0123"));
    }
}
