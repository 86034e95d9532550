//! What somebody asked of a run, until its owner has carried it out.

use std::fmt;

use async_trait::async_trait;

use crate::Result;
use crate::id::{CommandId, RunId, TenantId};

/// A command as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCommand {
    /// The sender's id, unique within the run.
    pub id: CommandId,
    /// The sealed command.
    pub sealed: Vec<u8>,
}

/// Stores commands until the lease's owner turns them into events, once.
#[async_trait]
pub trait Inbox: fmt::Debug + Send + Sync {
    /// Keeps a command, durable when it returns, and makes a parked run due. A second
    /// command of the same id changes nothing; tells whether this was the first.
    ///
    /// # Errors
    /// `NotFound` for an unknown run, `Conflict` for a closed one.
    async fn post(&self, tenant: &TenantId, run: RunId, command: StoredCommand) -> Result<bool>;

    /// The commands that wait, in the order they came.
    ///
    /// # Errors
    /// From the backend only.
    async fn pending(&self, tenant: &TenantId, run: RunId) -> Result<Vec<StoredCommand>>;
}
