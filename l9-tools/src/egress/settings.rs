//! What the direct egress may reach, and how long it waits for a connection.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::origin::Origin;

/// What an operator names for [`Direct`](super::Direct).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The only origins that may be connected to, compared exactly.
    pub origins: Vec<Origin>,
    /// Whether a listed origin may be at a private address. An operator who lists one means
    /// it; a tool's grant must say so.
    pub allow_private: bool,
    /// The longest wait for a connection, name lookup and TLS included, in milliseconds.
    pub connect_ms: u64,
    /// How long an unused connection is kept, in milliseconds.
    pub keep_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { origins: Vec::new(), allow_private: true, connect_ms: 10_000, keep_ms: 60_000 }
    }
}

impl Settings {
    /// The defaults with these origins.
    #[must_use]
    pub fn to(origins: impl IntoIterator<Item = Origin>) -> Self {
        Self { origins: origins.into_iter().collect(), ..Self::default() }
    }

    pub(super) fn connect(&self) -> Duration {
        Duration::from_millis(self.connect_ms)
    }

    pub(super) fn keep(&self) -> Duration {
        Duration::from_millis(self.keep_ms)
    }
}
