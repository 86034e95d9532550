//! The trait behind which bytes leave the machine.
//!
//! Whoever wants to reach outside holds a permit; implementations decide where it
//! may connect. There is no second way out.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use secrecy::SecretString;

use crate::Result;
use crate::governor::Permit;
use crate::tool::Inject;

/// A secret that is put into a request when it leaves, and is in nobody's sight before.
#[derive(Debug, Clone)]
pub struct Injection {
    /// Where it is put.
    pub place: Inject,
    /// Its value.
    pub value: SecretString,
    /// The only host that it may be sent to, in lowercase.
    pub audience: String,
}

/// One HTTP request to leave the machine.
#[derive(Debug, Clone)]
pub struct EgressRequest {
    /// `GET`, `POST` …
    pub method: String,
    /// The absolute address.
    pub url: String,
    /// Headers that may be seen; credentials are none of them.
    pub headers: Vec<(String, String)>,
    /// Secrets, put in last, never logged, and never sent to another host or after a
    /// redirect to another origin.
    pub secrets: Vec<Injection>,
    /// The body.
    pub body: Bytes,
    /// The longest wait for response headers, and between two pieces of the body.
    pub idle: Duration,
    /// The most bytes of body.
    pub max_response_bytes: u64,
}

/// The answer; its body is streamed and capped.
pub struct EgressResponse {
    /// The HTTP status.
    pub status: u16,
    /// How many redirects were followed: that many requests had been answered before.
    pub redirects: u32,
    /// Response headers, names in lowercase.
    pub headers: Vec<(String, String)>,
    /// The body; an error ends it.
    pub body: BoxStream<'static, Result<Bytes>>,
}

impl EgressResponse {
    /// The first header of that lowercase name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for EgressResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EgressResponse").field("status", &self.status).finish_non_exhaustive()
    }
}

/// Lets bytes leave the machine.
#[async_trait]
pub trait Egress: fmt::Debug + Send + Sync {
    /// Sends one request under a permit that is still in force, and counts it there
    /// ([`Permit::draw`]) before the first byte leaves. A redirect is followed only where a
    /// grant says so, as a request of its own.
    ///
    /// # Errors
    /// `Denied` when the address is not allowed, the permit has lapsed, the request holds a
    /// secret in sight, or the run's budget does not hold it; `Unavailable` when the far side
    /// cannot be reached, `Invalid` for a malformed address.
    async fn send(&self, permit: &Permit, request: EgressRequest) -> Result<EgressResponse>;
}
