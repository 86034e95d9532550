//! Witnesses: whoever keeps checkpoints where the operator of the database cannot change
//! them. A cut tail or a rewritten past shows only against such a copy.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::checkpoint::SignedCheckpoint;
use super::sequencer::Sequencer;
use crate::time::Clock;
use crate::{Error, Result};

/// The wait after a first failure; it doubles with each further one, up to the longest.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// Keeps checkpoints. Its `Debug` says where, without secrets.
#[async_trait]
pub trait Witness: fmt::Debug + Send + Sync {
    /// Keeps one, in a time that is bounded; one that it has already, it keeps once.
    ///
    /// # Errors
    /// `Unavailable` or `Denied` when it cannot.
    async fn keep(&self, checkpoint: &SignedCheckpoint) -> Result<()>;
}

/// Hands a witness the newest checkpoint until told that there are no more. The log does
/// not wait: what came while the witness was busy or away is passed over but for the newest,
/// which covers it.
pub async fn inform(
    witness: Arc<dyn Witness>,
    sequencer: Arc<Sequencer>,
    clock: Arc<dyn Clock>,
    last: CancellationToken,
) {
    let mut checkpoints = sequencer.checkpoints();
    let (mut held, mut outage) = (0, Outage::default());
    loop {
        let parting = last.is_cancelled();
        checkpoints.mark_unchanged();
        if let Some(newest) = sequencer.newest().await.filter(|newest| newest.checkpoint.size > held) {
            match witness.keep(&newest).await {
                Ok(()) => {
                    held = newest.checkpoint.size;
                    outage.ends(&*witness);
                }
                Err(error) => outage.goes_on(&*witness, &error),
            }
        }
        if parting {
            return;
        }
        let next = async {
            match outage.wait() {
                Some(wait) => clock.sleep(wait).await,
                // It ends with the sequencer only, which is held here.
                None => drop(checkpoints.changed().await),
            }
        };
        tokio::select! {
            () = next => {}
            () = last.cancelled() => {}
        }
    }
}

/// How long a witness has been away. It is told when that begins and ends, or a witness that
/// is gone would fill the disk with it.
#[derive(Default)]
struct Outage {
    failures: u32,
}

impl Outage {
    fn goes_on(&mut self, witness: &dyn Witness, error: &Error) {
        metrics::counter!("l9_audit_witness_failures_total").increment(1);
        if self.failures == 0 {
            tracing::warn!(?witness, %error, "the witness gets no checkpoints; the newest is tried until it does");
        } else {
            tracing::debug!(?witness, %error, "the witness gets no checkpoints");
        }
        self.failures = self.failures.saturating_add(1);
    }

    fn ends(&mut self, witness: &dyn Witness) {
        let failures = std::mem::take(&mut self.failures);
        if failures > 0 {
            tracing::warn!(?witness, failures, "the witness gets checkpoints again");
        }
    }

    /// How long until the next attempt; `None` while all is well.
    fn wait(&self) -> Option<Duration> {
        let doublings = self.failures.checked_sub(1)?;
        Some(FIRST.saturating_mul(2_u32.saturating_pow(doublings)).min(LONGEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_a_minute_and_begins_anew() {
        let mut outage = Outage::default();
        let after = |failures| Outage { failures }.wait().map(|wait| wait.as_secs());
        assert_eq!(
            [0, 1, 2, 3, 6, 7, 8, u32::MAX].map(after),
            [0, 1, 2, 4, 32, 60, 60, 60].map(|s| (s > 0).then_some(s))
        );
        outage.failures = 9;
        #[derive(Debug)]
        struct Nowhere;
        #[async_trait]
        impl Witness for Nowhere {
            async fn keep(&self, _: &SignedCheckpoint) -> Result<()> {
                Ok(())
            }
        }
        outage.ends(&Nowhere);
        assert_eq!(outage.wait(), None);
    }
}
