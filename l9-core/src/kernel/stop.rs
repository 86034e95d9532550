//! Stopping everything, and letting it go on.

use std::collections::BTreeSet;
use std::time::Duration;

use super::engine::Engine;
use crate::stop::{self, Scope, Stop};
use crate::time::Timestamp;
use crate::{Error, Result};

/// How often the store is asked what stands.
const EVERY: Duration = Duration::from_millis(500);

/// How often it is asked whether all is quiet.
const LOOK: Duration = Duration::from_millis(20);

/// What became of a stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// The stop that stands: the first one of its scope.
    pub stop: Stop,
    /// When no run that it holds had an owner any more; `None` if some still have.
    pub quiet_at: Option<Timestamp>,
    /// How many runs still have an owner. Each loses it when its lease runs out, and its
    /// owner starts nothing in the last two seconds of it.
    pub held: u64,
}

impl Engine {
    /// Stops a tenant, or all: nothing starts in this process from this moment on, nobody
    /// gets the lease of a run any more, and what is under way is stopped. Waits until all
    /// is quiet, at most `within`. What may be repeated begins anew when the run goes on.
    ///
    /// # Errors
    /// `Invalid` without a reason. When the store cannot be written, this process is stopped
    /// all the same, and others are not.
    pub async fn stop(&self, scope: Scope, by: &str, reason: &str, within: Duration) -> Result<Stopped> {
        stop::check_reason(reason)?;
        let parts = self.parts();
        let (stops, clock) = (parts.governor.stops(), &parts.clock);
        stops.stop(scope.clone());
        let stop = Stop { scope: scope.clone(), at: clock.now(), by: by.to_owned(), reason: reason.to_owned() };
        let stored = parts.store.stop(stop.seal(&*parts.vault)?).await?;
        let stop = Stop::open(&*parts.vault, &stored)?;
        // From here on the store says it, so that another process can lift it.
        self.learn_stops().await?;
        stops.unstop(&scope);
        tracing::warn!(%scope, by, "emergency stop");
        let until = clock.monotonic() + within;
        loop {
            let held = parts.store.held(&scope).await?;
            if held == 0 || clock.monotonic() >= until {
                let quiet_at = (held == 0).then(|| clock.now());
                return Ok(Stopped { stop, quiet_at, held });
            }
            clock.sleep(LOOK).await;
        }
    }

    /// Lifts a stop, so that the runs it held go on; tells which it was.
    ///
    /// # Errors
    /// `Invalid` without a reason, `NotFound` if none of that scope stands.
    pub async fn unstop(&self, scope: &Scope, by: &str, reason: &str) -> Result<Stop> {
        stop::check_reason(reason)?;
        let parts = self.parts();
        let stored = parts.store.unstop(scope).await?;
        let stop = stored.map(|stored| Stop::open(&*parts.vault, &stored)).transpose()?;
        parts.governor.stops().unstop(scope);
        self.learn_stops().await?;
        let stop = stop.ok_or_else(|| Error::not_found(format!("no stop of {scope} stands")))?;
        tracing::warn!(%scope, by, "emergency stop lifted");
        Ok(stop)
    }

    /// The stops that stand.
    ///
    /// # Errors
    /// From the backend only.
    pub async fn stops(&self) -> Result<Vec<Stop>> {
        let parts = self.parts();
        parts.store.stops().await?.iter().map(|stored| Stop::open(&*parts.vault, stored)).collect()
    }

    /// Learns which stops stand.
    ///
    /// # Errors
    /// From the backend only.
    pub async fn learn_stops(&self) -> Result<()> {
        let parts = self.parts();
        // What was read before a stop must not be learnt after it.
        let _learning = self.inner.learning.lock().await;
        let stored: BTreeSet<Scope> = parts.store.stops().await?.into_iter().map(|stop| stop.scope).collect();
        parts.governor.stops().learn(stored);
        Ok(())
    }

    /// Learns again and again, until it is dropped. Spawn it once.
    pub async fn watch_stops(self) {
        loop {
            self.parts().clock.sleep(EVERY).await;
            if let Err(error) = self.learn_stops().await {
                tracing::debug!(%error, "the stops were not read");
            }
        }
    }
}
