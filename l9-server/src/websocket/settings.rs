//! The bounds of a WebSocket connection. Times are whole seconds.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The bounds of every WebSocket connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// Bytes of one message.
    pub(crate) message_bytes: usize,
    /// Messages a second that a client may send for long.
    pub(crate) rate: u32,
    /// Messages that it may send at once.
    pub(crate) burst: u32,
    /// Runs that one connection may follow.
    pub(crate) subscriptions: usize,
    /// Events that wait for one connection, over all its runs.
    pub(crate) queue: usize,
    /// How often a client is pinged.
    pub(crate) ping: u64,
    /// How long a client may be silent, pongs included.
    pub(crate) idle: u64,
    /// How long one message may take to be written.
    pub(crate) write: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            message_bytes: 1 << 20,
            rate: 100,
            burst: 200,
            subscriptions: 64,
            queue: 32,
            ping: 20,
            idle: 60,
            write: 30,
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
            ("message_bytes", self.message_bytes as u64),
            ("rate", u64::from(self.rate)),
            ("burst", u64::from(self.burst)),
            ("subscriptions", self.subscriptions as u64),
            ("queue", self.queue as u64),
            ("ping", self.ping),
            ("write", self.write),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Err(l9::Error::invalid(format!("server.http.websocket.{name} is 0: use 1 or more")));
        }
        if self.idle <= self.ping {
            return Err(l9::Error::invalid("server.http.websocket.idle must be longer than ping"));
        }
        Ok(())
    }

    pub(super) fn ping(&self) -> Duration {
        Duration::from_secs(self.ping)
    }

    pub(super) fn idle(&self) -> Duration {
        Duration::from_secs(self.idle)
    }

    pub(super) fn write(&self) -> Duration {
        Duration::from_secs(self.write)
    }
}
