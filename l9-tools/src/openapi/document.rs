//! An OpenAPI document (3.0 or 3.1), read within bounds, and its references.

use l9_core::json::{self, Bounds};
use l9_core::{Error, Result};
use serde_json::Value;

/// What a document may at most be.
const BOUNDS: Bounds = Bounds { bytes: 16 << 20, depth: 100, values: 500_000 };
/// References that may lie behind each other.
const REFERENCES: usize = 32;

/// What could not be expressed, and where it stands in the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// A JSON pointer into the document.
    pub place: String,
    /// What became of it.
    pub what: String,
}

/// A document that was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Document<'a> {
    pub(super) root: &'a Value,
    /// Whether it is of 3.0, whose schemas are a dialect of their own.
    pub(super) is_3_0: bool,
}

/// Reads a document from JSON or YAML.
///
/// # Errors
/// `Invalid` for text that is neither, or over the bounds.
pub fn read(text: &str) -> Result<Value> {
    if text.len() > BOUNDS.bytes {
        return Err(Error::invalid(format!("{} bytes are over the limit of {}", text.len(), BOUNDS.bytes)));
    }
    if text.trim_start().starts_with('{') {
        return json::parse(text.as_bytes(), &BOUNDS);
    }
    let value: Value = serde_saphyr::from_str(text).map_err(|error| {
        Error::invalid(format!("malformed YAML: {}", crate::log::printable(&error.to_string(), 600)))
    })?;
    json::parse(value.to_string().as_bytes(), &BOUNDS)
}

impl<'a> Document<'a> {
    /// # Errors
    /// `Invalid` for another format or version.
    pub(super) fn of(root: &'a Value) -> Result<Self> {
        let version = root.get("openapi").and_then(Value::as_str).unwrap_or_default();
        let is_3_0 = version.starts_with("3.0");
        if !is_3_0 && !version.starts_with("3.1") {
            let shown = crate::log::printable(version, 20);
            return Err(Error::invalid(format!("openapi is {shown:?}: give a document of OpenAPI 3.0 or 3.1")));
        }
        Ok(Self { root, is_3_0 })
    }

    /// What a reference leads to, or the value itself, with its place.
    ///
    /// # Errors
    /// The place and the reason, for one that leads outside, nowhere or in a circle.
    pub(super) fn resolve(&self, value: &'a Value, place: &str) -> Result<(&'a Value, String), Warning> {
        let (mut value, mut place) = (value, place.to_owned());
        for _ in 0..REFERENCES {
            let Some(reference) = value.get("$ref").and_then(Value::as_str) else { return Ok((value, place)) };
            (value, place) = self.target(reference, &place)?;
        }
        Err(warning(&place, "its references lead in a circle"))
    }

    /// The place that a reference names.
    pub(super) fn target(&self, reference: &str, place: &str) -> Result<(&'a Value, String), Warning> {
        let shown = crate::log::printable(reference, 200);
        let pointer = reference.strip_prefix('#').filter(|pointer| pointer.is_empty() || pointer.starts_with('/'));
        let pointer =
            pointer.ok_or_else(|| warning(place, format!("{shown:?} leads out of the document: write it into it")))?;
        let pointer = crate::percent::decoded(pointer);
        match self.root.pointer(&pointer) {
            Some(found) => Ok((found, pointer)),
            None => Err(warning(place, format!("{shown:?} leads nowhere"))),
        }
    }
}

pub(super) fn warning(place: &str, what: impl Into<String>) -> Warning {
    Warning { place: place.to_owned(), what: what.into() }
}
