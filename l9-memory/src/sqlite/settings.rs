//! What an operator may set.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Settings of a SQLite database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The file; it and its folder are made on first use.
    pub path: PathBuf,
    /// When a commit counts as done.
    pub synchronous: Synchronous,
    /// How long to wait for another process that writes, in milliseconds.
    pub busy_timeout_ms: u64,
    /// How many reads may run at once.
    pub read_pool_size: u32,
}

/// When a commit counts as done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Synchronous {
    /// When it is flushed to the disk: it survives the loss of power.
    #[default]
    Full,
    /// When it is handed to the operating system: it survives the death of the process,
    /// and the loss of power may take the newest commits back.
    Normal,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            path: PathBuf::from(".l9/l9.db"),
            synchronous: Synchronous::default(),
            busy_timeout_ms: 5_000,
            read_pool_size: 4,
        }
    }
}

impl Settings {
    /// The defaults, over another file.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), ..Self::default() }
    }

    pub(super) fn busy_timeout(&self) -> Duration {
        Duration::from_millis(self.busy_timeout_ms)
    }
}
