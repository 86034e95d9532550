//! What an operator may set.

use std::time::Duration;

use l9_core::{Error, Result};
use redis::{ConnectionInfo, IntoConnectionInfo as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::link::Link;

/// Settings of a Redis server, or of a cluster of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where it is: `redis://HOST:PORT/DATABASE`, or `rediss://` for TLS. Of a cluster one server
    /// or several, with commas between them: the others are learned of the first that answers.
    #[serde(skip_serializing)]
    pub url: Option<SecretString>,
    /// The password, unless it stands in the address.
    #[serde(skip_serializing)]
    pub password: Option<SecretString>,
    /// Whether the server is one of a Redis Cluster.
    pub cluster: bool,
    /// How long to wait for a connection, in milliseconds.
    pub connect_timeout_ms: u64,
    /// How long to wait for an answer, in milliseconds.
    pub answer_timeout_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { url: None, password: None, cluster: false, connect_timeout_ms: 2_000, answer_timeout_ms: 2_000 }
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
        self.servers().map(drop)
    }

    /// The servers that the address names, with the password.
    fn servers(&self) -> Result<Vec<ConnectionInfo>> {
        if self.url.is_none() {
            return Err(Error::invalid("redis.url is not set: set REDIS_URL"));
        }
        self.addresses()
            .map(|address| {
                // Not the fault's own words: they may have the password.
                let info: ConnectionInfo = address.into_connection_info().map_err(|_| wrong())?;
                if self.cluster && info.redis_settings().db() != 0 {
                    return Err(Error::invalid(
                        "redis.url names a database and a cluster has but one: take the number away, or unset redis.cluster",
                    ));
                }
                let Some(password) = &self.password else { return Ok(info) };
                let with = info.redis_settings().clone().set_password(password.expose_secret());
                Ok(info.set_redis_settings(with))
            })
            .collect()
    }

    /// The address of each server that is named, with the password that stands in it.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        let most = if self.cluster { usize::MAX } else { 1 };
        self.url.iter().flat_map(move |url| url.expose_secret().splitn(most, ',')).map(str::trim)
    }

    /// The way to the server or the cluster, and how it is shown, without the password.
    pub(super) fn link(&self) -> Result<(Link, String)> {
        let servers = self.servers()?;
        let shown: Vec<String> = servers.iter().map(|server| server.addr().to_string()).collect();
        let (connect, answer) =
            (Duration::from_millis(self.connect_timeout_ms), Duration::from_millis(self.answer_timeout_ms));
        let first = servers.first().cloned().ok_or_else(wrong)?;
        let link =
            if self.cluster { Link::cluster(servers, connect, answer) } else { Link::server(first, connect, answer) };
        Ok((link.map_err(|_| wrong())?, shown.join(", ")))
    }

    /// The passwords of the settings and within the addresses, to be masked.
    #[must_use]
    pub fn passwords(&self) -> Vec<SecretString> {
        let servers = self.addresses().filter_map(|address| address.into_connection_info().ok());
        let within = servers.filter_map(|info| info.redis_settings().password().map(SecretString::from));
        within.chain(self.password.iter().cloned()).collect()
    }
}

/// The refusal of an address.
fn wrong() -> Error {
    Error::invalid(
        "redis.url is no address of a Redis server: write redis://HOST:PORT, or rediss://HOST:PORT for TLS; \
         several with commas between them, alike but for host and port, are a cluster, with redis.cluster",
    )
}
