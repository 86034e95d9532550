//! The trait behind which the changes of tools are stored, for all processes of a store.

use std::fmt;

use async_trait::async_trait;

use super::change::StoredToolChange;
use crate::Result;

/// Keeps every change of every tool, in one order.
#[async_trait]
pub trait ToolLedger: fmt::Debug + Send + Sync {
    /// Appends changes whose positions follow each other, and keeps statements of the audit
    /// log about them in the same transaction; durable when it returns, all or nothing.
    ///
    /// # Errors
    /// `Conflict` when the first position is not the next one: somebody else wrote since,
    /// so read what it was and decide again.
    async fn record(&self, changes: Vec<StoredToolChange>, statements: Vec<String>) -> Result<()>;

    /// The changes after a position, oldest first, at most so many.
    ///
    /// # Errors
    /// `Corrupt` for a row that cannot be read.
    async fn changes(&self, after: u64, limit: usize) -> Result<Vec<StoredToolChange>>;
}
