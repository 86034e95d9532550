//! Values within events: small ones inline, large ones as artifacts by reference.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::Digest;

/// A value within an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stored {
    /// The value itself.
    Inline(Value),
    /// Sealed beside the journal, under its keyed address.
    Artifact {
        /// The address.
        id: Digest,
        /// Bytes of its canonical form.
        bytes: u64,
    },
}

impl From<Value> for Stored {
    fn from(value: Value) -> Self {
        Self::Inline(value)
    }
}
