//! Which artifacts a payload refers to, without knowing its kind: a verifier must be able
//! to read payloads of kinds that came after it.
//!
//! A reference is an object whose one member is `artifact`, an object of `bytes` and `id`.
//! What stands under `inline` is somebody's value and refers to nothing; what stands under
//! `withheld` names a value that is in no bundle.

use serde_json::Value;

use crate::digest::Digest;
use crate::{Error, Result};

/// A reference to an artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Reference {
    pub(super) id: Digest,
    pub(super) bytes: u64,
}

/// The artifacts that a canonical payload refers to.
pub(super) fn references(payload: &str) -> Result<Vec<Reference>> {
    let mut found = Vec::new();
    // Nearly every payload has none, and need not be parsed to see it.
    if memchr::memmem::find(payload.as_bytes(), b"\"artifact\":{").is_some() {
        let value: Value = serde_json::from_str(payload)
            .map_err(|error| Error::corrupt(format!("the payload is no JSON: {error}")))?;
        walk(&value, &mut found);
    }
    Ok(found)
}

fn walk(value: &Value, found: &mut Vec<Reference>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| walk(item, found)),
        Value::Object(members) => {
            if let Some(reference) = members.get("artifact").filter(|_| members.len() == 1).and_then(reference) {
                return found.push(reference);
            }
            members
                .iter()
                .filter(|(name, _)| !["inline", "withheld"].contains(&name.as_str()))
                .for_each(|(_, value)| walk(value, found));
        }
        _ => {}
    }
}

fn reference(value: &Value) -> Option<Reference> {
    let members = value.as_object().filter(|members| members.len() == 2)?;
    let id = members.get("id")?.as_str()?.parse().ok()?;
    Some(Reference { id, bytes: members.get("bytes")?.as_u64()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_found_and_values_are_left_alone() {
        let id = "ab".repeat(32);
        let reference = format!(r#"{{"artifact":{{"bytes":70000,"id":"{id}"}}}}"#);
        let found = references(&format!(r#"{{"edits":{{"turn/1":{reference}}},"x":[{reference}]}}"#)).unwrap();
        assert_eq!(found, vec![Reference { id: id.parse().unwrap(), bytes: 70_000 }; 2]);
        assert_eq!(references(&format!(r#"{{"value":{{"inline":{reference}}}}}"#)).unwrap(), []);
        let withheld = format!(r#"{{"withheld":{{"bytes":1,"id":"{id}","shape":{reference}}}}}"#);
        assert_eq!(references(&format!(r#"{{"arguments":{withheld}}}"#)).unwrap(), []);
        assert_eq!(references(r#"{"artifact":{"bytes":1,"id":"short"}}"#).unwrap(), []);
        assert!(references(r#"{"artifact":{"#).is_err());
    }
}
