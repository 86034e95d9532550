//! Values within events: small ones inline, large ones as artifacts by reference.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::Digest;
use crate::json;
use crate::tool::AuditDetail;

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
    /// Sealed beside the journal as well, and kept from whoever reads that: it is what a tool's
    /// manifest says of arguments in `audit.args`.
    Withheld {
        /// Its address, as an artifact's.
        id: Digest,
        /// Bytes of its canonical form.
        bytes: u64,
        /// What is shown in its place.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shape: Option<Value>,
    },
}

impl Stored {
    /// Its address, if it is kept beside the journal.
    #[must_use]
    pub fn artifact(&self) -> Option<Digest> {
        match self {
            Self::Artifact { id, .. } | Self::Withheld { id, .. } => Some(*id),
            Self::Inline(_) => None,
        }
    }

    /// What whoever reads the journal sees of it.
    #[must_use]
    pub fn shown(&self) -> Option<&Value> {
        match self {
            Self::Inline(value) => Some(value),
            Self::Withheld { shape, .. } => shape.as_ref(),
            Self::Artifact { .. } => None,
        }
    }

    /// How much of it that is.
    pub(crate) fn detail(&self) -> AuditDetail {
        match self {
            Self::Inline(_) | Self::Artifact { .. } => AuditDetail::Full,
            Self::Withheld { shape: Some(_), .. } => AuditDetail::Redacted,
            Self::Withheld { shape: None, .. } => AuditDetail::Hash,
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
