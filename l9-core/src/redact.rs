//! What must not leave: secrets are masked in outputs, errors, deltas and logs, personal data
//! in logs.

mod forms;
mod known;
pub mod personal;
pub mod tokens;

use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

pub use known::KnownSecrets;

/// Masks what must not leave.
pub trait Redactor: fmt::Debug + Send + Sync {
    /// The text with every secret masked; borrowed if there was none.
    fn redact<'a>(&self, text: &'a str) -> Cow<'a, str>;

    /// How many bytes of a stream's text may be passed on: no secret that stands in them,
    /// or may still complete, goes on after them.
    fn safe_len(&self, text: &str) -> usize;
}

/// Masks every string within a value, and numbers that are secrets; tells whether anything
/// was masked.
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
        Value::Number(number) => {
            if let Cow::Owned(clean) = redactor.redact(&number.to_string()) {
                *value = Value::String(clean);
                masked = true;
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
    masked
}
