//! Manifests of tools.

use l9::registry::{check, from_json, from_yaml};
use l9::tool::ContractHash;
use proptest::prelude::*;
use serde_json::json;

use crate::change::{JSON, changed, changes};

fn sound() -> Vec<u8> {
    let manifest = json!({
        "schema_version": 1, "id": "demo/send", "version": "1.0.0", "title": "Send",
        "description": "Sends a message to one person.", "runtime": {"kind": "native"},
        "input_schema": {
            "type": "object", "additionalProperties": false, "required": ["to"],
            "properties": {"to": {"type": "string", "pattern": "^[a-z]+$"}, "text": {"$ref": "#/$defs/text"}},
            "$defs": {"text": {"type": "string", "maxLength": 10}}
        },
        "effect": "keyed_write", "limits": {"fuel": 1000, "wall_ms": 10},
        "args": {"/to": {"role": "recipient", "constraint": {"pattern": "@example\\.com$"}}},
        "net": [{"scheme": "https", "host": "mail.example.com", "methods": ["POST"], "path_prefix": "/v1"}],
        "secrets": [{"handle": "mail", "audience": "mail.example.com", "inject": {"header": "Authorization"}}],
        "labels": {"output_integrity": "mixed", "output": {"/*/id": {"integrity": "trusted"}}}
    });
    manifest.to_string().into_bytes()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    /// What is read has a contract, and read again from its own words it has the same one.
    #[test]
    fn a_manifest_that_is_read_means_one_thing(changes in changes()) {
        let text = changed(&sound(), &changes, &JSON);
        let _ = from_yaml(&String::from_utf8_lossy(&text));
        if let Ok(manifest) = from_json(&text)
            && check(&manifest).is_ok()
        {
            let again = from_json(&serde_json::to_vec(&manifest).unwrap()).unwrap();
            prop_assert_eq!(ContractHash::of(&again).unwrap(), ContractHash::of(&manifest).unwrap());
            let words = serde_json::to_string(&manifest).unwrap();
            let yaml = from_yaml(&words).map_err(|error| TestCaseError::fail(format!("{error}: {words}")))?;
            prop_assert_eq!(ContractHash::of(&yaml).unwrap(), ContractHash::of(&manifest).unwrap());
            prop_assert!(manifest.id.as_str().is_ascii());
        }
    }
}

#[test]
fn what_is_changed_was_sound() {
    assert!(check(&from_json(&sound()).unwrap()).is_ok());
}
