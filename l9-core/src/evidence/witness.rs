//! Witnesses: whoever keeps checkpoints where the operator of the database cannot change
//! them. A cut tail or a rewritten past shows only against such a copy.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::checkpoint::SignedCheckpoint;
use crate::Result;

/// Keeps checkpoints.
#[async_trait]
pub trait Witness: fmt::Debug + Send + Sync {
    /// Keeps one.
    ///
    /// # Errors
    /// `Unavailable` or `Denied` when it cannot.
    async fn keep(&self, checkpoint: &SignedCheckpoint) -> Result<()>;
}

/// Hands a witness the newest checkpoint until told that there are no more. The log does
/// not wait: what came while the witness was busy is passed over but for the newest.
pub async fn inform(
    witness: Arc<dyn Witness>,
    mut checkpoints: watch::Receiver<Option<SignedCheckpoint>>,
    last: CancellationToken,
) {
    loop {
        let more = tokio::select! {
            changed = checkpoints.changed() => changed.is_ok(),
            () = last.cancelled() => checkpoints.has_changed().unwrap_or(false),
        };
        if !more {
            return;
        }
        let newest = checkpoints.borrow_and_update().clone();
        let Some(newest) = newest else { continue };
        if let Err(error) = witness.keep(&newest).await {
            metrics::counter!("l9_audit_witness_failures_total").increment(1);
            tracing::warn!(%error, "a checkpoint did not reach the witness; the next one will be tried");
        }
    }
}
