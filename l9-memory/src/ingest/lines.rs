//! JSON lines into entries: each line an object with its words in `text`, `content`,
//! `body` or `message`; its other plain fields become metadata. A line may also be an
//! entry in the form the API takes.

use std::path::Path;

use l9_core::memory::NewEntry;
use l9_core::{Error, Result, json};
use serde_json::{Map, Value};

/// The fields that may hold the words, the first that is there counts.
const TEXT_FIELDS: [&str; 4] = ["text", "content", "body", "message"];
/// What one line may be: an entry of the longest text, escaped.
const BOUNDS: json::Bounds = json::Bounds { bytes: 8 << 20, depth: 32, values: 100_000 };

/// The entries of a file; empty lines are left out.
pub(super) fn read(path: &Path, text: &str) -> Result<Vec<NewEntry>> {
    let lines = text.trim_start_matches('\u{feff}').lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(at, line)| {
            let at = at + 1;
            let mut entry = one(line).map_err(|error| {
                Error::invalid(format!("line {at} of {} is no memory: {}", path.display(), error.message()))
            })?;
            entry.position.get_or_insert_with(|| format!("line {at}"));
            Ok(entry)
        })
        .collect()
}

fn one(line: &str) -> Result<NewEntry> {
    let Value::Object(fields) = json::parse(line.as_bytes(), &BOUNDS)? else {
        return Err(Error::invalid("it is not an object"));
    };
    if let Ok(entry) = serde_json::from_value::<NewEntry>(Value::Object(fields.clone()))
        && !entry.text.is_empty()
    {
        return Ok(entry);
    }
    let (name, text) = TEXT_FIELDS
        .iter()
        .find_map(|name| {
            fields.get(*name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(|text| (*name, text))
        })
        .ok_or_else(|| Error::invalid(format!("it has no words in {}", TEXT_FIELDS.join(", "))))?;
    let plain = |value: &Value| !value.is_array() && !value.is_object() && !value.is_null();
    let metadata: Map<String, Value> = fields
        .iter()
        .filter(|(field, value)| *field != name && plain(value))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    Ok(NewEntry { text: text.to_owned(), metadata, ..NewEntry::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_entries() {
        let text = "{\"message\": \"hello\", \"user\": \"ada\", \"n\": 1, \"deep\": {}}\n\n{\"text\": \"hi\", \"key\": \"k\", \"position\": \"p\"}\n";
        let entries = read(Path::new("a.jsonl"), text).unwrap();
        assert_eq!((entries[0].text.as_str(), entries[0].position.as_deref()), ("hello", Some("line 1")));
        assert_eq!(entries[0].metadata, *serde_json::json!({"n": 1, "user": "ada"}).as_object().unwrap());
        assert_eq!((entries[1].key.as_deref(), entries[1].position.as_deref()), (Some("k"), Some("p")));
    }

    #[test]
    fn bad_lines_are_named() {
        for (bad, part) in [
            ("[1]", "not an object"),
            ("{\"x\": 1}", "no words in text"),
            ("{", "malformed"),
            ("{\"text\": \"\"}", "no words"),
        ] {
            let error =
                read(Path::new("logs/a.jsonl"), &format!("{{\"text\": \"fine\"}}\n{bad}\n")).unwrap_err().to_string();
            assert!(error.contains("line 2 of logs/a.jsonl") && error.contains(part), "{error}");
        }
    }
}
