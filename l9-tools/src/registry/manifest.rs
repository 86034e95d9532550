//! Manifests as people write them: JSON or YAML, read within bounds, with errors that
//! name the field.

use l9_core::json::{self, Bounds};
use l9_core::tool::Manifest;
use l9_core::{Error, Result};
use serde_json::Value;
use serde_saphyr::UserMessageFormatter;

use crate::log::printable;

/// What a manifest may at most be.
pub(super) const BOUNDS: Bounds = Bounds { bytes: 1 << 20, depth: 64, values: 50_000 };

/// Reads a manifest from JSON.
///
/// # Errors
/// `Invalid` for text that is not bounded JSON without duplicate keys, or not of a
/// manifest's form; the message names the field, and no value: what was taken for a manifest
/// may be anything.
pub fn from_json(text: &[u8]) -> Result<Manifest> {
    typed(&json_value(text)?)
}

/// Reads a manifest from YAML.
///
/// # Errors
/// As [`from_json`]; YAML that is malformed is reported with line and column.
pub fn from_yaml(text: &str) -> Result<Manifest> {
    typed(&yaml_value(text)?)
}

/// Reads a manifest from a file.
///
/// # Errors
/// As [`from_json`], with line and column.
pub(super) fn from_file(text: &str, is_json: bool) -> Result<Manifest> {
    let value = if is_json { json_value(text.as_bytes()) } else { yaml_value(text) }?;
    typed(&value).map_err(|error| match place(text, is_json) {
        Some((line, column)) => Error::invalid(format!("{error} at line {line} column {column}")),
        None => error,
    })
}

fn json_value(text: &[u8]) -> Result<Value> {
    json::parse(text, &BOUNDS).map_err(|error| Error::invalid(without_values(&error.to_string())))
}

fn yaml_value(text: &str) -> Result<Value> {
    if text.len() > BOUNDS.bytes {
        return Err(Error::invalid(format!("{} bytes of YAML are over the limit of {}", text.len(), BOUNDS.bytes)));
    }
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    let value: Value = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let why = error.render_with_formatter(&UserMessageFormatter);
        Error::invalid(format!("malformed YAML: {}", printable(&without_values(&why), 600)))
    })?;
    // Through JSON's own border once more: YAML has values and nesting that JSON does not.
    json_value(value.to_string().as_bytes())
}

fn typed(value: &Value) -> Result<Manifest> {
    let refused = |why: &str| Error::invalid(format!("not a tool manifest: {}", printable(why, 600)));
    let manifest: Manifest = serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let cause = without_values(&error.into_inner().to_string());
        let mend = if path == "version" { "; write it as a quoted string such as \"1.0.0\"" } else { "" };
        if path == "." { refused(&cause) } else { refused(&format!("{path}: {cause}{mend}")) }
    })?;
    let read = serde_json::to_value(&manifest).map_err(|error| Error::internal(error.to_string()))?;
    match list_for_object(value, &read) {
        Some(path) if path.is_empty() => Err(refused("it is a list, and must be an object")),
        Some(path) => Err(refused(&format!("{}: it is a list, and must be an object", path.trim_start_matches('.')))),
        None => Ok(manifest),
    }
}

/// Where a list stands for an object: its items were taken for the fields in their order, which
/// the published schema does not allow.
fn list_for_object(given: &Value, read: &Value) -> Option<String> {
    match (given, read) {
        (Value::Array(_), Value::Object(_)) => Some(String::new()),
        (Value::Array(given), Value::Array(read)) => {
            let mut pairs = given.iter().zip(read).enumerate();
            pairs.find_map(|(at, (given, read))| Some(format!("[{at}]{}", list_for_object(given, read)?)))
        }
        (Value::Object(given), Value::Object(read)) => {
            let mut pairs = given.iter().filter_map(|(key, given)| Some((key, given, read.get(key)?)));
            pairs.find_map(|(key, given, read)| Some(format!(".{key}{}", list_for_object(given, read)?)))
        }
        _ => None,
    }
}

/// Where in a text something is not of a manifest's form.
fn place(text: &str, is_json: bool) -> Option<(u64, u64)> {
    if is_json {
        let error = serde_json::from_str::<Manifest>(text).err()?;
        return Some((error.line().try_into().ok()?, error.column().try_into().ok()?));
    }
    let at = serde_saphyr::from_str::<Manifest>(text).err()?.location()?;
    Some((at.line(), at.column()))
}

/// What an error says, without what stands in the text: that is known to be no manifest, so it may
/// be a secret. Names of fields stay.
fn without_values(message: &str) -> String {
    match message.strip_prefix("malformed JSON: ") {
        Some(rest) => format!("malformed JSON: {}", wanted(rest)),
        None => wanted(message),
    }
}

/// The readers' own words have the value before what they expected; the words of types begin with
/// the value in quotes.
fn wanted(message: &str) -> String {
    let expected = message.rsplit_once(", expected ").map(|(_, expected)| plain(expected));
    for what in ["invalid type: ", "invalid value: "] {
        if let (Some(found), Some(expected)) = (message.strip_prefix(what), &expected) {
            let kind: String = found.chars().take_while(|next| next.is_ascii_alphabetic() || *next == ' ').collect();
            return format!("{what}{}, expected {expected}", kind.trim());
        }
    }
    if let (true, Some(expected)) = (message.starts_with("unknown variant"), &expected) {
        return format!("unknown variant, expected {expected}");
    }
    if let (true, Some(expected)) = (message.starts_with("invalid length"), &expected) {
        return format!("expected {expected}");
    }
    if let Some(rest) = message.strip_prefix("integer ") {
        let rest = rest.trim_start_matches(|next: char| next.is_ascii_digit() || next == '-');
        return format!("an integer{rest}");
    }
    let Some(quoted) = message.strip_prefix('"') else { return message.to_owned() };
    let mut escaped = false;
    let end = quoted.find(|next| {
        let ends = next == '"' && !escaped;
        escaped = next == '\\' && !escaped;
        ends
    });
    format!("the text here{}", end.map_or("", |end| &quoted[end + 1..]))
}

/// What is expected, without the names of types.
fn plain(expected: &str) -> &str {
    let is_type = expected.starts_with("struct ") || expected.starts_with("internally tagged enum ");
    if is_type { "an object" } else { expected }
}

/// The JSON Schema of manifests, for editors and other programs.
#[must_use]
pub fn manifest_schema() -> Value {
    schemars::schema_for!(Manifest).to_value()
}
