//! A run's whole chain: what a fork shares is its parent's.

use crate::id::{RunId, TenantId};
use crate::journal::{ForkPoint, RunStore};
use crate::run::Record;
use crate::{Error, Result};

/// How many forks of forks are followed.
const GENERATIONS: usize = 1_000;

/// Up to `limit` records of a run from a seq on, in order, with those it shares.
///
/// # Errors
/// `Corrupt` when a run that it was forked from is missing, or a row cannot be read.
pub async fn read(
    store: &dyn RunStore,
    tenant: &TenantId,
    (run, fork): (RunId, Option<ForkPoint>),
    from: u64,
    limit: usize,
) -> Result<Vec<Record>> {
    let (run, end) = owner(store, tenant, (run, fork), from).await?;
    let wanted = end.map_or(limit, |end| limit.min(usize::try_from(end - from).unwrap_or(usize::MAX)));
    store.read(tenant, run, from, wanted).await
}

/// The run whose own record a seq is, and where its part ends, if it does.
async fn owner(
    store: &dyn RunStore,
    tenant: &TenantId,
    (mut run, mut fork): (RunId, Option<ForkPoint>),
    seq: u64,
) -> Result<(RunId, Option<u64>)> {
    let mut end = None;
    for _ in 0..GENERATIONS {
        let Some(point) = fork.filter(|point| seq < point.at) else { return Ok((run, end)) };
        let row = store.run(tenant, point.parent).await?;
        let row =
            row.ok_or_else(|| Error::corrupt(format!("run {run} was forked from {}, which is missing", point.parent)))?;
        end = Some(end.map_or(point.at, |end: u64| end.min(point.at)));
        (run, fork) = (row.run, row.fork);
    }
    Err(Error::corrupt(format!("run {run} is a fork of forks without end")))
}
