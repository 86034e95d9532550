//! What may be asked of a run from outside. A command is never appended by whoever
//! asks: it waits in the run's inbox until the lease's owner turns it into events.

use serde::{Deserialize, Serialize};

use crate::id::{CommandId, RunId, TenantId};
use crate::journal::StoredCommand;
use crate::json;
use crate::vault::{Place, Vault};
use crate::{Error, Result};

/// The most bytes of a reason or a sender.
const TEXT_BYTES: usize = 4096;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Command {
    /// Stop: nothing new starts, what runs is given a grace, then the run closes.
    Cancel {
        /// Why.
        reason: String,
    },
}

/// Who asks what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandRequest {
    /// The sender's own id: the same command is carried out once.
    pub id: CommandId,
    /// Who asks.
    pub by: String,
    /// What is asked.
    pub command: Command,
}

impl CommandRequest {
    pub(crate) fn seal(&self, vault: &dyn Vault, tenant: &TenantId, run: RunId) -> Result<StoredCommand> {
        let Command::Cancel { reason } = &self.command;
        if reason.len() > TEXT_BYTES || self.by.len() > TEXT_BYTES {
            return Err(Error::invalid(format!("a command's reason and sender have at most {TEXT_BYTES} bytes each")));
        }
        let sealed = vault.seal(tenant, &place(&row(run, &self.id)), &json::canonical(self)?)?;
        Ok(StoredCommand { id: self.id.clone(), sealed })
    }

    pub(crate) fn open(vault: &dyn Vault, tenant: &TenantId, run: RunId, stored: &StoredCommand) -> Result<Self> {
        let plain = vault.open(tenant, &place(&row(run, &stored.id)), &stored.sealed)?;
        json::parse_as(&plain, &json::Bounds::default())
    }
}

fn row(run: RunId, id: &CommandId) -> Vec<u8> {
    [run.as_bytes().as_slice(), id.as_str().as_bytes()].concat()
}

fn place(row: &[u8]) -> Place<'_> {
    Place { table: "inbox", row, column: "command" }
}
