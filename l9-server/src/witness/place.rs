//! The place of a witness as it is configured: a path or an address.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize, Serializer};

use super::address::Address;
use crate::config::Problem;

/// A file or folder, or an address where checkpoints are posted.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub(crate) struct Place(String);

impl Place {
    /// The file or folder, if it is one.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        (!self.is_address()).then(|| Path::new(&self.0).to_owned())
    }

    /// The address, if it is one.
    ///
    /// # Errors
    /// As [`Address::parse`].
    pub(super) fn address(&self) -> Result<Option<Address>, Problem> {
        self.is_address().then(|| Address::parse(&self.0)).transpose()
    }

    fn is_address(&self) -> bool {
        let scheme = self.0.split_once(':').map_or("", |(scheme, _)| scheme);
        self.0.contains("://") || ["http", "https"].iter().any(|web| scheme.eq_ignore_ascii_case(web))
    }

    /// For people: an address without its query, and nothing of one that does not parse.
    fn shown(&self) -> Cow<'_, str> {
        match self.address() {
            Ok(None) => Cow::Borrowed(&self.0),
            Ok(Some(address)) => Cow::Owned(address.to_string()),
            Err(_) => Cow::Borrowed("[redacted]"),
        }
    }
}

impl From<&str> for Place {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.shown())
    }
}

impl JsonSchema for Place {
    fn schema_name() -> Cow<'static, str> {
        "Place".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_path_or_an_address() {
        for path in ["/mnt/witness/checkpoints", "witness.notes", r"C:\witness", "./http"] {
            assert_eq!(Place::from(path).path().as_deref(), Some(Path::new(path)));
            assert_eq!(Place::from(path).address().unwrap(), None);
        }
        for address in ["https://w/l9", "HTTP://127.0.0.1", "http:/127.0.0.1", "https:w", "ftp://w"] {
            assert_eq!(Place::from(address).path(), None, "{address} must not become a file");
        }
        let shown = |text| serde_json::to_value(Place::from(text)).unwrap();
        assert_eq!(shown("https://w/l9?key=hunter2"), "https://w/l9");
        assert_eq!(shown("https://me:hunter2@w/l9"), "[redacted]");
    }
}
