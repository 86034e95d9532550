//! Takes a run out of the database as evidence.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::artifacts::references;
use super::bundle::{ArtifactLine, Body, Consistency, FORMAT, Head, RecordLine, RunEnd, encode};
use super::checkpoint::SignedCheckpoint;
use super::erasure::{Erased, Erasure};
use super::log::AuditLog;
use super::proof::Prover;
use crate::digest::Digest;
use crate::id::{RunId, TenantId};
use crate::journal::{RunRow, RunStore};
use crate::run::{Record, open_artifact_keyed, read_records};
use crate::vault::Vault;
use crate::{Error, ErrorKind, Result};

const PAGE: usize = 512;

/// From how many of the newest checkpoints there is a proof if none is asked for: whoever
/// kept one of them need not have it at hand when the bundle is made.
const OLDER: usize = 256;

/// A bundle, and what it is about.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// How many records there are.
    pub records: u64,
    /// How many of their bodies have expired; those that were erased do not count.
    pub expired: u64,
    /// The checkpoint that everything is proved against.
    pub checkpoint: SignedCheckpoint,
}

/// The evidence of one run against the newest checkpoint, with proofs from these older
/// sizes; from the newest checkpoints before it if none is given.
///
/// # Errors
/// `NotFound` for an unknown run, `Conflict` when no checkpoint covers it yet, `Corrupt`
/// when a record does not open, `Invalid` for a size beyond the checkpoint.
pub async fn export(
    store: &dyn RunStore,
    log: &Arc<dyn AuditLog>,
    vault: &dyn Vault,
    (tenant, run): (&TenantId, RunId),
    from: &[u64],
) -> Result<Bundle> {
    let row = store.run(tenant, run).await?.ok_or_else(|| Error::not_found(format!("run {run} does not exist")))?;
    let records = records(store, &row).await?;
    let leaves = leaves(log, tenant, &records).await?;
    let mut newest = log.newest(OLDER + 1).await?.into_iter();
    let covers = |checkpoint: &SignedCheckpoint| leaves.last().is_some_and(|leaf| *leaf < checkpoint.checkpoint.size);
    let checkpoint = newest.next().filter(covers).ok_or_else(|| uncovered(run))?;
    let older: Vec<u64> = if from.is_empty() {
        newest.map(|older| older.checkpoint.size).filter(|size| *size < checkpoint.checkpoint.size).collect()
    } else {
        from.to_vec()
    };
    let lines = records.iter().zip(&leaves).map(|(record, leaf)| line(record, *leaf, vault));
    let lines: Vec<RecordLine> = lines.collect::<Result<_>>()?;
    let artifacts = artifacts(store, vault, tenant, &lines).await?;
    let missing: BTreeSet<RunId> = lines.iter().filter(|line| line.body.is_none()).map(|line| line.run).collect();
    let erasures = if missing.is_empty() { BTreeMap::new() } else { erasures(&**log, tenant, &missing).await? };
    let is_expired = |line: &&RecordLine| line.body.is_none() && !erasures.contains_key(&line.run);
    let expired = lines.iter().filter(is_expired).count() as u64;
    let mut prover = Prover::new(Arc::clone(log), checkpoint);
    let head = Head {
        artifacts: artifacts.len() as u64,
        consistency: consistency(&mut prover, older).await?,
        checkpoint: prover.checkpoint().note.clone(),
        end: if row.status.is_closed() { RunEnd::Closed } else { RunEnd::Open },
        erasures: erasures.into_values().collect(),
        format: FORMAT.to_owned(),
        horizon: if expired > 0 { log.horizon(tenant).await?.map(|horizon| horizon.note) } else { None },
        proof: prover.others(&leaves).await?,
        records: lines.len() as u64,
        run,
        tenant: tenant.clone(),
    };
    let bytes = encode(&head, &lines, &artifacts)?;
    Ok(Bundle { bytes, records: head.records, expired, checkpoint: prover.checkpoint().clone() })
}

async fn records(store: &dyn RunStore, row: &RunRow) -> Result<Vec<Record>> {
    let mut records: Vec<Record> = Vec::new();
    while (records.len() as u64) < row.head.next {
        let left = usize::try_from(row.head.next).unwrap_or(usize::MAX) - records.len();
        let page = read_records(store, &row.tenant, (row.run, row.fork), records.len() as u64, PAGE.min(left)).await?;
        if page.is_empty() {
            let next = records.len();
            return Err(Error::corrupt(format!(
                "record {next} of run {} is missing: `audit verify` tells more",
                row.run
            )));
        }
        records.extend(page);
    }
    Ok(records)
}

/// The leaf of each record; what a fork shares has its parent's.
async fn leaves(log: &Arc<dyn AuditLog>, tenant: &TenantId, records: &[Record]) -> Result<Vec<u64>> {
    let mut leaves = Vec::with_capacity(records.len());
    for part in records.chunk_by(|one, next| one.run == next.run) {
        let (run, from) = (part[0].run, part[0].seq);
        let found = log.leaves_of(tenant, run, from, part.len()).await?;
        if found.len() != part.len() {
            return Err(uncovered(run));
        }
        leaves.extend(found);
    }
    Ok(leaves)
}

fn line(record: &Record, leaf: u64, vault: &dyn Vault) -> Result<RecordLine> {
    let body = match record.open(vault) {
        Ok(open) => Some(Body { key: Digest::from_bytes(open.key), payload: text(open.payload)? }),
        Err(error) if error.kind() == ErrorKind::Expired => None,
        Err(error) => return Err(error),
    };
    Ok(RecordLine {
        at: record.at.as_millis(),
        body,
        commitment: record.commitment,
        epoch: record.epoch,
        hash: record.hash,
        kind: record.kind.clone(),
        leaf,
        prev: record.prev,
        run: record.run,
        seq: record.seq,
        version: record.version,
    })
}

/// The newest statement of each of these runs that was erased.
async fn erasures(log: &dyn AuditLog, tenant: &TenantId, runs: &BTreeSet<RunId>) -> Result<BTreeMap<RunId, String>> {
    let notes = log.statements().await?.into_iter();
    let of_some = |note: String| match Erasure::peek(&note) {
        Some((whose, Erased::Run(run))) if whose == *tenant && runs.contains(&run) => Some((run, note)),
        _ => None,
    };
    Ok(notes.filter_map(of_some).collect())
}

async fn artifacts(
    store: &dyn RunStore,
    vault: &dyn Vault,
    tenant: &TenantId,
    lines: &[RecordLine],
) -> Result<Vec<ArtifactLine>> {
    let mut wanted = BTreeMap::new();
    for body in lines.iter().filter_map(|line| line.body.as_ref()) {
        wanted.extend(references(&body.payload)?.into_iter().map(|reference| (reference.id, ())));
    }
    let mut out = Vec::with_capacity(wanted.len());
    for id in wanted.into_keys() {
        let sealed = store.artifact(tenant, id).await?;
        let sealed = sealed.ok_or_else(|| Error::corrupt(format!("artifact {id} is missing")))?;
        let (key, value) = open_artifact_keyed(vault, tenant, id, &sealed)?;
        out.push(ArtifactLine { artifact: id, key: Digest::from_bytes(key), value: text(value)? });
    }
    Ok(out)
}

async fn consistency(prover: &mut Prover, mut sizes: Vec<u64>) -> Result<Vec<Consistency>> {
    sizes.sort_unstable();
    sizes.dedup();
    let mut proofs = Vec::with_capacity(sizes.len());
    let size = prover.checkpoint().checkpoint.size;
    // A head of the very same size needs no proof.
    for from in sizes.into_iter().filter(|from| (1..size).contains(from) || *from > size) {
        proofs.push(prover.consistency(from).await?.into());
    }
    Ok(proofs)
}

fn text(bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|_| Error::corrupt("a payload is not UTF-8"))
}

fn uncovered(run: RunId) -> Error {
    let message = format!("no checkpoint covers run {run} yet: try again in a moment");
    Error::new(ErrorKind::Conflict, message)
}
