//! Manifests as people write them: JSON or YAML, read within bounds, with errors that
//! name the field.

use l9_core::json::{self, Bounds};
use l9_core::tool::Manifest;
use l9_core::{Error, Result};
use serde_json::Value;

/// What a manifest may at most be.
const BOUNDS: Bounds = Bounds { bytes: 1 << 20, depth: 64, values: 50_000 };

/// Reads a manifest from JSON.
///
/// # Errors
/// `Invalid` for text that is not bounded JSON without duplicate keys, or not of a
/// manifest's form; the message names the field.
pub fn from_json(text: &[u8]) -> Result<Manifest> {
    typed(&json::parse(text, &BOUNDS)?)
}

/// Reads a manifest from YAML.
///
/// # Errors
/// As [`from_json`]; YAML that is malformed is reported with line and column.
pub fn from_yaml(text: &str) -> Result<Manifest> {
    if text.len() > BOUNDS.bytes {
        return Err(Error::invalid(format!("{} bytes of YAML are over the limit of {}", text.len(), BOUNDS.bytes)));
    }
    let options = serde_saphyr::options! { strict_booleans: true };
    let value: Value = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        Error::invalid(format!("malformed YAML: {}", crate::log::printable(&error.to_string(), 600)))
    })?;
    // Through JSON's own border once more: YAML has values and nesting that JSON does not.
    typed(&json::parse(value.to_string().as_bytes(), &BOUNDS)?)
}

fn typed(value: &Value) -> Result<Manifest> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let cause = error.into_inner().to_string();
        let mend = if path == "version" { "; write it as a quoted string such as \"1.0.0\"" } else { "" };
        let message = if path == "." { cause } else { format!("{path}: {cause}") };
        Error::invalid(format!("not a tool manifest: {}{mend}", crate::log::printable(&message, 600)))
    })
}

/// The JSON Schema of manifests, for editors and other programs.
#[must_use]
pub fn manifest_schema() -> Value {
    schemars::schema_for!(Manifest).to_value()
}
