//! The trait behind which keys live.
//!
//! Stored bytes are sealed to the place they are stored in, so that a row cannot be
//! moved; what must be found again without being read is a keyed token.

use std::fmt;

use crate::Result;
use crate::digest::Digest;
use crate::id::{RunId, TenantId};
use crate::journal::Head;
use crate::kernel;
use crate::run::{command, record, snapshot};
use crate::stop;
use crate::tool::ledger::change;

/// Where sealed bytes are stored; authenticated with them.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The kind of row, such as `journal`.
    pub table: &'static str,
    /// The row's key.
    pub row: &'a [u8],
    /// Which part of the row.
    pub column: &'static str,
}

/// A place that owns its row's key. Those of what the core seals are made here, so that
/// whoever seals anew finds them by the columns of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedPlace {
    /// As [`Place::table`].
    pub table: &'static str,
    /// As [`Place::row`].
    pub row: Vec<u8>,
    /// As [`Place::column`].
    pub column: &'static str,
}

impl OwnedPlace {
    /// The body of a record.
    #[must_use]
    pub fn record(run: RunId, seq: u64) -> Self {
        record::place(&record::row(run, seq)).to_owned()
    }

    /// The value of an artifact.
    #[must_use]
    pub fn artifact(id: &Digest) -> Self {
        record::artifact_place(id).to_owned()
    }

    /// The state of a run at a point of its chain.
    #[must_use]
    pub fn snapshot(run: RunId, head: &Head) -> Self {
        snapshot::place(&snapshot::row(run, head)).to_owned()
    }

    /// A command to a run.
    #[must_use]
    pub fn command(run: RunId, id: &str) -> Self {
        command::place(&command::row(run, id)).to_owned()
    }

    /// Why a run was given up.
    #[must_use]
    pub fn dead(run: RunId) -> Self {
        kernel::dead_place(&run).to_owned()
    }

    /// The order of a stop of this scope, as it is written.
    #[must_use]
    pub fn stop(scope: &str) -> Self {
        stop::place(scope).to_owned()
    }

    /// The order of a tool's change, by all that stands in the open of it: position, tool,
    /// version, contract, state and time, a line each.
    #[must_use]
    pub fn tool_change(open: &str) -> Self {
        change::place(open.as_bytes()).to_owned()
    }

    /// What stands of a schedule in one of its columns.
    #[must_use]
    pub fn schedule(series: &[u8], column: &'static str) -> Self {
        Place { table: "schedule", row: series, column }.to_owned()
    }

    /// The place.
    #[must_use]
    pub fn get(&self) -> Place<'_> {
        Place { table: self.table, row: &self.row, column: self.column }
    }
}

impl Place<'_> {
    /// A copy that owns its row's key.
    #[must_use]
    pub fn to_owned(&self) -> OwnedPlace {
        OwnedPlace { table: self.table, row: self.row.to_vec(), column: self.column }
    }
}

/// Seals, opens and tokenises for tenants.
pub trait Vault: fmt::Debug + Send + Sync {
    /// Encrypts and authenticates bytes for one place of one tenant.
    ///
    /// # Errors
    /// `Unavailable` when the tenant's key cannot be had.
    fn seal(&self, tenant: &TenantId, place: &Place<'_>, plain: &[u8]) -> Result<Vec<u8>>;

    /// Decrypts what [`Vault::seal`] made for the same tenant and place.
    ///
    /// # Errors
    /// `Corrupt` when the bytes were changed, moved, or sealed under another key.
    fn open(&self, tenant: &TenantId, place: &Place<'_>, sealed: &[u8]) -> Result<Vec<u8>>;

    /// A keyed token of the data: equal for equal data of one tenant and purpose,
    /// meaningless without the key.
    fn token(&self, tenant: &TenantId, purpose: &str, data: &[u8]) -> Digest;
}
