//! How the server listens: caps, deadlines and bounds. Times are whole seconds.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::websocket;

/// The bounds of the HTTP server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// Connections at once; more wait in the listener's backlog.
    pub(crate) connections: usize,
    /// How long a client may take to send a request's headers.
    pub(crate) header_timeout: u64,
    /// How long a client may take to send a request's body.
    pub(crate) body_timeout: u64,
    /// How long a connection may stand without a request.
    pub(crate) keep_alive: u64,
    /// Concurrent requests of one HTTP/2 connection.
    pub(crate) streams: u32,
    /// Bytes of a request's body.
    pub(crate) body_bytes: usize,
    /// Bytes of a body that remembers many entries at once.
    pub(crate) bulk_bytes: usize,
    /// The longest a request may wait for its run.
    pub(crate) wait: u64,
    /// How often an event stream with nothing to tell says that it lives.
    pub(crate) heartbeat: u64,
    /// How long connections are given to end when the server stops.
    pub(crate) grace: u64,
    /// The bounds of WebSocket connections.
    pub(crate) websocket: websocket::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connections: 1024,
            header_timeout: 15,
            body_timeout: 30,
            keep_alive: 75,
            streams: 64,
            body_bytes: 1 << 20,
            bulk_bytes: 16 << 20,
            wait: 120,
            heartbeat: 15,
            grace: 10,
            websocket: websocket::Settings::default(),
        }
    }
}

impl Settings {
    /// Checks what the form alone cannot say.
    ///
    /// # Errors
    /// `Invalid`, naming the setting and the mend.
    pub(crate) fn validate(&self) -> l9::Result<()> {
        let positive = [
            ("connections", self.connections as u64),
            ("header_timeout", self.header_timeout),
            ("body_timeout", self.body_timeout),
            ("keep_alive", self.keep_alive),
            ("streams", u64::from(self.streams)),
            ("body_bytes", self.body_bytes as u64),
            ("bulk_bytes", self.bulk_bytes as u64),
            ("wait", self.wait),
            ("heartbeat", self.heartbeat),
        ];
        match positive.iter().find(|(_, value)| *value == 0) {
            Some((name, _)) => Err(l9::Error::invalid(format!("server.http.{name} is 0: use 1 or more"))),
            None => self.websocket.validate(),
        }
    }

    pub(super) fn header_timeout(&self) -> Duration {
        Duration::from_secs(self.header_timeout)
    }

    pub(super) fn body_timeout(&self) -> Duration {
        Duration::from_secs(self.body_timeout)
    }

    pub(super) fn keep_alive(&self) -> Duration {
        Duration::from_secs(self.keep_alive)
    }

    pub(super) fn wait(&self) -> Duration {
        Duration::from_secs(self.wait)
    }

    pub(super) fn heartbeat(&self) -> Duration {
        Duration::from_secs(self.heartbeat)
    }

    pub(super) fn grace(&self) -> Duration {
        Duration::from_secs(self.grace)
    }
}
