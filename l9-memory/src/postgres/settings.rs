//! What an operator may set.

use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

/// Settings of a PostgreSQL database.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where it is: `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`, with the parameters
    /// that libpq knows (`sslmode`, `sslrootcert`, `host` for a socket's folder).
    #[serde(skip_serializing)]
    pub url: SecretString,
    /// The most connections of this process, at least two: one appends, the others do
    /// everything else.
    pub pool_size: u32,
    /// How long to wait for a connection, in milliseconds.
    pub pool_timeout_ms: u64,
    /// How long to wait for an answer before the connection is given up, in milliseconds.
    pub answer_timeout_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: SecretString::from("postgresql://localhost/l9"),
            pool_size: 10,
            pool_timeout_ms: 5_000,
            answer_timeout_ms: 30_000,
        }
    }
}

impl Settings {
    /// The defaults, over another database.
    #[must_use]
    pub fn at(url: impl Into<SecretString>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }

    pub(super) fn pool_timeout(&self) -> Duration {
        Duration::from_millis(self.pool_timeout_ms)
    }

    pub(super) fn answer_timeout(&self) -> Duration {
        Duration::from_millis(self.answer_timeout_ms)
    }
}
