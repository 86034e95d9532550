//! The body of an answer as a stream that ends in time: capped in bytes, with a longest
//! pause between two pieces, and gone as soon as the permit is.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use l9_core::governor::Permit;
use l9_core::time::Clock;
use l9_core::{Error, ErrorKind, Result};
use tokio_util::sync::CancellationToken;

use super::gateway::Private;
use super::origin::Origin;

/// How long an exchange may go on, taken from the permit when it began.
#[derive(Clone)]
pub(super) struct Leash {
    clock: Arc<dyn Clock>,
    cancel: CancellationToken,
    lapses_at: Duration,
    idle: Duration,
}

impl Leash {
    pub(super) fn of(permit: &Permit, idle: Duration, clock: &Arc<dyn Clock>) -> Self {
        Self {
            clock: clock.clone(),
            cancel: permit.cancelled().clone(),
            lapses_at: clock.monotonic().saturating_add(permit.remaining()),
            idle,
        }
    }

    /// Without a permit, until `stop` fires.
    pub(super) fn until(stop: &CancellationToken, idle: Duration, clock: &Arc<dyn Clock>) -> Self {
        Self { clock: clock.clone(), cancel: stop.clone(), lapses_at: Duration::MAX, idle }
    }

    /// Waits for `work`, at most until the pause is too long or the permit is gone; those
    /// are looked at first, so nothing is done under a permit that has lapsed.
    pub(super) async fn hold<T>(&self, origin: &Origin, work: impl Future<Output = T>) -> Result<T> {
        let left = self.lapses_at.saturating_sub(self.clock.monotonic());
        let wait = self.idle.min(left);
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Error::new(ErrorKind::Cancelled, "it was cancelled")),
            () = self.clock.sleep(wait) => Err(if left <= self.idle {
                Error::new(ErrorKind::Denied, "the permit lapsed during the exchange: its deadline has passed")
            } else {
                Error::unavailable(format!("{origin} sent nothing for {} ms", self.idle.as_millis())).caused_by(Idle)
            }),
            done = work => Ok(done),
        }
    }
}

/// The cause of an error that is a pause too long, so that callers can tell it apart.
#[derive(Debug, thiserror::Error)]
#[error("idle")]
pub(crate) struct Idle;

/// The cause of an error that came before any byte was sent.
#[derive(Debug, thiserror::Error)]
#[error("nothing was sent")]
pub(crate) struct NotSent;

struct Rest {
    response: reqwest::Response,
    leash: Leash,
    origin: Origin,
    cap: u64,
    read: u64,
}

/// The body's pieces; the first error is the last item.
pub(super) fn stream(
    response: reqwest::Response,
    leash: Leash,
    origin: Origin,
    cap: u64,
) -> BoxStream<'static, Result<Bytes>> {
    let rest = Rest { response, leash, origin, cap, read: 0 };
    stream::unfold(Some(rest), |rest| async move {
        let mut rest = rest?;
        match rest.next().await {
            Ok(Some(piece)) => Some((Ok(piece), Some(rest))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    })
    .boxed()
}

impl Rest {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let piece = self.leash.hold(&self.origin, self.response.chunk()).await?;
        let piece = piece.map_err(|error| broken(&self.origin, "the answer broke off", error))?;
        if let Some(piece) = &piece {
            self.read = self.read.saturating_add(piece.len() as u64);
            if self.read > self.cap {
                return Err(Error::new(
                    ErrorKind::Exhausted,
                    format!("{} sent more than {} bytes", self.origin, self.cap),
                ));
            }
        }
        Ok(piece)
    }
}

/// Refuses a body in an encoding, which nobody asked for and nobody decodes.
pub(super) fn unencoded(headers: &[(String, String)], origin: &Origin) -> Result<()> {
    let encoded = |(name, value): &&(String, String)| {
        name == "content-encoding" && !value.trim().eq_ignore_ascii_case("identity") && !value.trim().is_empty()
    };
    let Some((_, encoding)) = headers.iter().find(encoded) else { return Ok(()) };
    let encoding = crate::log::printable(encoding, 40);
    let message = format!("{origin} answered in the encoding {encoding}, which was not asked for: it is not decoded");
    Err(Error::new(ErrorKind::Corrupt, message).caused_by(Encoded))
}

/// The cause of an error that is an answer in an encoding.
#[derive(Debug, thiserror::Error)]
#[error("encoded")]
pub(crate) struct Encoded;

/// An error of the connection, with its whole chain of causes and without the address,
/// which may hold more than the origin.
pub(super) fn broken(origin: &Origin, what: &str, error: reqwest::Error) -> Error {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        if let Some(private) = inner.downcast_ref::<Private>() {
            return Error::new(ErrorKind::Denied, private.to_string()).with("origin", origin);
        }
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    Error::unavailable(format!("{what}: {text}")).with("origin", origin)
}
