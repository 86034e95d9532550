//! Where the server is.

use std::fmt;
use std::time::Duration;

use redis::ConnectionInfo;

/// Where the server is, and how long it is waited for.
#[derive(Clone)]
pub struct Connection {
    /// Its address and password.
    pub info: ConnectionInfo,
    /// How long to wait for a connection.
    pub connect: Duration,
    /// How long to wait for an answer.
    pub answer: Duration,
}

/// The password stays out of it.
impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("at", &self.info.addr().to_string()).finish_non_exhaustive()
    }
}
