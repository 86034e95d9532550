//! What an operator may set.

use std::time::Duration;

use l9_core::{Error, Result};
use redis::{ConnectionInfo, IntoConnectionInfo as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

/// Settings of a Redis server.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where it is: `redis://HOST:PORT/DATABASE`, or `rediss://` for TLS.
    #[serde(skip_serializing)]
    pub url: Option<SecretString>,
    /// The password, unless it stands in the address.
    #[serde(skip_serializing)]
    pub password: Option<SecretString>,
    /// How long to wait for a connection, in milliseconds.
    pub connect_timeout_ms: u64,
    /// How long to wait for an answer, in milliseconds.
    pub answer_timeout_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { url: None, password: None, connect_timeout_ms: 2_000, answer_timeout_ms: 2_000 }
    }
}

impl Settings {
    /// The defaults, over a server.
    #[must_use]
    pub fn at(url: impl Into<SecretString>) -> Self {
        Self { url: Some(url.into()), ..Self::default() }
    }

    /// Whether the settings name a server.
    ///
    /// # Errors
    /// `Invalid` without an address, or for one that is none.
    pub fn check(&self) -> Result<()> {
        self.connection().map(drop)
    }

    /// Where the server is, with the password.
    ///
    /// # Errors
    /// As [`Settings::check`].
    pub fn connection(&self) -> Result<ConnectionInfo> {
        let url = self.url.as_ref().ok_or_else(|| Error::invalid("redis.url is not set: set REDIS_URL"))?;
        // Not the fault's own words: they may have the password.
        let info: ConnectionInfo = url.expose_secret().into_connection_info().map_err(|_| wrong())?;
        let Some(password) = &self.password else { return Ok(info) };
        let with = info.redis_settings().clone().set_password(password.expose_secret());
        Ok(info.set_redis_settings(with))
    }

    /// The passwords of the settings and within the address, to be masked.
    #[must_use]
    pub fn passwords(&self) -> Vec<SecretString> {
        let url = self.url.as_ref().and_then(|url| url.expose_secret().into_connection_info().ok());
        let within = url.and_then(|info| info.redis_settings().password().map(SecretString::from));
        self.password.iter().cloned().chain(within).collect()
    }

    pub(super) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    pub(super) fn answer_timeout(&self) -> Duration {
        Duration::from_millis(self.answer_timeout_ms)
    }
}

/// The refusal of an address.
pub(super) fn wrong() -> Error {
    Error::invalid("redis.url is no address of a Redis server: write redis://HOST:PORT, or rediss://HOST:PORT for TLS")
}
