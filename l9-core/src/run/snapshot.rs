//! Snapshots: the folded state, sealed, so that a long run opens without its past.
//!
//! They are kept beside the journal and can be made again from it, so one that does not
//! open is left aside, and verification compares it with the fold.

use serde::{Deserialize, Serialize};

use super::state::RunState;
use crate::id::{RunId, TenantId};
use crate::journal::{Head, Snapshot};
use crate::vault::{Place, Vault};
use crate::{Error, ErrorKind, Result};

/// The version of the state's form; 2 has the principal's roles, 3 the labels of single results,
/// 4 a policy of the run's own, 5 each label once, 6 budgets of time and bytes, 7 plans, 8 the
/// labels of a plan's nodes in rows, 9 values that are withheld. A newer one is not read.
const VERSION: u32 = 9;

/// The first form with the labels of single results.
const LABELLED: u32 = 3;

/// The fewest records between snapshots.
const EVERY: u64 = 256;

/// A snapshot is due when its run has grown by one part in this many, so that the bytes of
/// all snapshots of a run stay in proportion to its length.
const GROWTH: u64 = 8;

#[derive(Deserialize)]
struct Kept {
    version: u32,
    state: RunState,
}

#[derive(Serialize)]
struct Keeping<'a> {
    version: u32,
    state: &'a RunState,
}

/// Whether a run that ends at `next` is due for a snapshot after one at `last`. One that
/// has ended is looked at again and again, and grows no more.
pub(super) fn is_due(last: u64, next: u64, closed: bool) -> bool {
    next - last >= if closed { EVERY } else { EVERY.max(last / GROWTH) }
}

/// Seals the state at the end of a chain.
pub(crate) fn seal(vault: &dyn Vault, tenant: &TenantId, run: RunId, head: Head, state: &RunState) -> Result<Snapshot> {
    let plain = serde_json::to_vec(&Keeping { version: VERSION, state })
        .map_err(|error| Error::internal(format!("the state of run {run} cannot be written: {error}")))?;
    let sealed = vault.seal(tenant, &place(&row(run, &head)), &plain)?;
    Ok(Snapshot { head, sealed })
}

/// Opens a snapshot; tells as well whether it has the labels of single results. One without
/// tells all of a run that has ended, and one that goes on must be folded from its journal.
///
/// # Errors
/// `Corrupt` when it does not open at that place of that run's chain, `Newer` for a form
/// this build does not know.
pub(crate) fn open(vault: &dyn Vault, tenant: &TenantId, run: RunId, snapshot: &Snapshot) -> Result<(RunState, bool)> {
    let plain = text(vault, tenant, run, snapshot)?;
    let kept: Kept = serde_json::from_slice(&plain)
        .map_err(|error| Error::corrupt(format!("the snapshot of run {run} does not parse: {error}")))?;
    if (1..=VERSION).contains(&kept.version) {
        Ok((kept.state, kept.version >= LABELLED))
    } else {
        Err(Error::new(ErrorKind::Newer, format!("the snapshot of run {run} has form {}", kept.version)))
    }
}

/// Opens a snapshot as the JSON it is.
///
/// # Errors
/// `Corrupt` when it does not open at that place of that run's chain.
pub(crate) fn text(vault: &dyn Vault, tenant: &TenantId, run: RunId, snapshot: &Snapshot) -> Result<Vec<u8>> {
    vault.open(tenant, &place(&row(run, &snapshot.head)), &snapshot.sealed)
}

pub(crate) fn row(run: RunId, head: &Head) -> Vec<u8> {
    [run.as_bytes().as_slice(), &head.next.to_be_bytes(), head.hash.as_bytes()].concat()
}

pub(crate) fn place(row: &[u8]) -> Place<'_> {
    Place { table: "snapshot", row, column: "state" }
}
