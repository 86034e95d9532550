//! The runs that were given up.

use std::fmt;

use async_trait::async_trait;

use crate::Result;
use crate::id::{RunId, TenantId};
use crate::queue::Task;
use crate::time::Timestamp;

/// A run that was given up, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The run's tenant.
    pub tenant: TenantId,
    /// The run.
    pub run: RunId,
    /// When it was given up.
    pub at: Timestamp,
    /// Why, sealed.
    pub sealed: Vec<u8>,
}

/// Stores which runs were given up: dead letters outlive every queue.
#[async_trait]
pub trait DeadLetters: fmt::Debug + Send + Sync {
    /// Marks a run that nobody holds as given up: it is not due any more. Whoever redrives
    /// it, or sends it a command, makes it due again; whoever then gets its lease takes the
    /// mark away. Tells whether it is marked now: one that somebody holds, that is closed, or
    /// for which a command waits, is not.
    ///
    /// # Errors
    /// `NotFound` for an unknown run.
    async fn bury(&self, letter: DeadLetter) -> Result<bool>;

    /// The runs that are given up, of one tenant or of all, the longest dead first.
    ///
    /// # Errors
    /// From the backend only.
    async fn dead(&self, tenant: Option<&TenantId>, limit: usize) -> Result<Vec<DeadLetter>>;

    /// How many runs are given up, of one tenant or of all.
    ///
    /// # Errors
    /// From the backend only.
    async fn dead_count(&self, tenant: Option<&TenantId>) -> Result<u64>;

    /// Makes a run that is given up due at once; `None` if it is not given up.
    ///
    /// # Errors
    /// From the backend only.
    async fn redrive(&self, tenant: &TenantId, run: RunId) -> Result<Option<Task>>;
}
