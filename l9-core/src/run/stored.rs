//! Values within events: small ones inline, large ones as artifacts by reference.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::Digest;
use crate::json;

/// A value within an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stored {
    /// The value itself.
    Inline(Value),
    /// Sealed beside the journal.
    Artifact {
        /// Its address: HMAC-SHA-256 of its canonical form under 32 random bytes that are
        /// sealed with it, so that the record commits to the value and reveals nothing.
        id: Digest,
        /// Bytes of its canonical form.
        bytes: u64,
    },
}

impl Stored {
    /// Its address, if it is kept as an artifact.
    #[must_use]
    pub fn artifact(&self) -> Option<Digest> {
        match self {
            Self::Artifact { id, .. } => Some(*id),
            Self::Inline(_) => None,
        }
    }
}

impl From<&str> for Stored {
    fn from(text: &str) -> Self {
        Self::Inline(Value::String(text.to_owned()))
    }
}

impl From<Value> for Stored {
    fn from(value: Value) -> Self {
        Self::Inline(json::normal(value))
    }
}
