//! Verification of a bundle, from nothing but its bytes and what the verifier trusts: the
//! log's key and, where there is one, a checkpoint that was kept elsewhere.
//!
//! It must not know a database, a vault or the kinds of events.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::thread;

use serde::Serialize;

use super::artifacts::{Reference, references};
use super::bundle::{ArtifactLine, FORMAT, Head, RecordLine, RunEnd, read};
use super::checkpoint::{Checkpoint, SignedCheckpoint};
use super::erasure::{Erased, Erasure};
use super::horizon::Horizon;
use super::note::VerifyingKey;
use super::tree::{leaf_hash, root_of_some, verify_consistency};
use crate::digest::{Digest, hmac, sha256};
use crate::id::{RunId, TenantId};
use crate::run::record_header;
use crate::time::Timestamp;
use crate::{Error, Result};

/// How many faults are named.
const NAMED: usize = 50;
/// So many lines are worth a thread.
const LINES: usize = 1_024;
/// The largest integer that every JSON reader keeps exact.
pub(super) const EXACT: u64 = (1 << 53) - 1;

/// What a verifier trusts.
#[derive(Debug, Clone, Copy)]
pub struct Trust<'a> {
    /// The key that signs the log.
    pub key: &'a VerifyingKey,
    /// A note of a checkpoint that was kept where the log's operator cannot change it.
    pub head: Option<&'a str>,
}

/// What a bundle proves, or why it proves nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Whether all of it holds.
    pub ok: bool,
    /// The run.
    pub run: Option<RunId>,
    /// The run's tenant.
    pub tenant: Option<TenantId>,
    /// Whether the run has ended.
    pub end: Option<RunEnd>,
    /// Records in the bundle.
    pub records: u64,
    /// Bodies that were re-hashed.
    pub bodies: u64,
    /// Bodies that have expired under the published horizon.
    pub expired: u64,
    /// Bodies that a signed erasure covers.
    pub erased: u64,
    /// Artifacts that were re-hashed.
    pub artifacts: u64,
    /// The checkpoint that everything is proved against.
    pub checkpoint: Option<Checkpoint>,
    /// The size of the trusted head that the checkpoint continues.
    pub trusted: Option<u64>,
    /// What does not hold.
    pub faults: Vec<Finding>,
}

/// A fault and its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Where: `head`, `checkpoint`, `record 3`, `artifact …`, `tree`, `trusted head`; `note` and
    /// `order` of a statement.
    pub place: String,
    /// What.
    pub what: String,
}

/// A record whose own fields hold.
struct Checked {
    seq: u64,
    epoch: u64,
    at: i64,
    run: RunId,
    kind: String,
    leaf: u64,
    prev: Digest,
    hash: Digest,
    expired: bool,
    references: Vec<Reference>,
}

/// Verifies a bundle.
#[must_use]
pub fn verify(bundle: &[u8], trust: &Trust<'_>) -> Verdict {
    let mut verdict = Verdict::default();
    if let Err(finding) = walk(bundle, trust, &mut verdict) {
        verdict.fault(finding.place, finding.what);
    }
    verdict.ok = verdict.faults.is_empty();
    verdict
}

/// Stops where nothing sensible can be said of what follows.
fn walk(bundle: &[u8], trust: &Trust<'_>, verdict: &mut Verdict) -> Result<(), Finding> {
    let lines = lines(bundle)?;
    let head: Head = read(lines[0], &mut Vec::new()).map_err(|error| at("head", &error))?;
    if head.format != FORMAT {
        return Err(finding("head", format!("the form {:?} is not known: use a newer verifier", head.format)));
    }
    let wanted = 1 + head.records.saturating_add(head.artifacts);
    if head.records == 0 || wanted != lines.len() as u64 {
        let what = format!(
            "it says {} records and {} artifacts, and {} lines follow",
            head.records,
            head.artifacts,
            lines.len() - 1
        );
        return Err(finding("head", what));
    }
    let (records, artifacts) = lines[1..].split_at(usize::try_from(head.records).unwrap_or(usize::MAX));
    (verdict.run, verdict.tenant, verdict.end) = (Some(head.run), Some(head.tenant.clone()), Some(head.end));
    verdict.records = head.records;

    let checkpoint = SignedCheckpoint::open(trust.key, &head.checkpoint).map_err(|error| at("checkpoint", &error))?;
    let checkpoint = checkpoint.checkpoint;
    verdict.checkpoint = Some(checkpoint.clone());
    let checked = check_records(records, &head.tenant, verdict);
    if checked.len() as u64 == head.records {
        chain(&checked, &head, verdict);
        tree(&checked, &head, &checkpoint, verdict);
        missing(&checked, &head, &checkpoint, trust, verdict);
        check_artifacts(artifacts, &checked, verdict);
    }
    consistency(&head, &checkpoint, verdict);
    if let Some(note) = trust.head {
        trusted(note, &head, &checkpoint, trust, verdict)?;
    }
    Ok(())
}

fn lines(bundle: &[u8]) -> Result<Vec<&[u8]>, Finding> {
    let whole = bundle.strip_suffix(b"\n").ok_or_else(|| finding("bundle", "it is empty or its last line is cut"))?;
    let ends = memchr::memchr_iter(b'\n', whole).chain([whole.len()]);
    let mut from = 0;
    Ok(ends
        .map(|end| {
            let line = &whole[from..end];
            from = end + 1;
            line
        })
        .collect())
}

/// Every record by its own fields; several threads share many.
fn check_records(lines: &[&[u8]], tenant: &TenantId, verdict: &mut Verdict) -> Vec<Checked> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(lines.len() / LINES + 1);
    let part = lines.len().div_ceil(threads).max(1);
    let check = |from: usize, lines: &[&[u8]]| -> Vec<Result<Checked, Finding>> {
        let mut again = Vec::new();
        let named = |at: usize| format!("record {at}");
        (from..)
            .zip(lines)
            .map(|(at, line)| {
                check_record(line, tenant, &mut again).map_err(|error| finding(named(at), error.message()))
            })
            .collect()
    };
    let outcomes: Vec<Result<Checked, Finding>> = thread::scope(|scope| {
        let parts: Vec<_> =
            lines.chunks(part).enumerate().map(|(at, lines)| scope.spawn(move || check(at * part, lines))).collect();
        let lost = || vec![Err(finding("bundle", "a thread of the verifier was lost"))];
        parts.into_iter().flat_map(|part| part.join().unwrap_or_else(|_| lost())).collect()
    });
    let mut checked = Vec::with_capacity(outcomes.len());
    for outcome in outcomes {
        match outcome {
            Ok(record) => {
                verdict.bodies += u64::from(!record.expired);
                checked.push(record);
            }
            Err(Finding { place, what }) => verdict.fault(place, what),
        }
    }
    checked
}

fn check_record(line: &[u8], tenant: &TenantId, again: &mut Vec<u8>) -> Result<Checked> {
    let line: RecordLine = read(line, again)?;
    let RecordLine { at, body, commitment, epoch, hash, kind, leaf, prev, run, seq, version } = line;
    if kind.is_empty() || !kind.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'.' | b'_')) {
        return Err(Error::corrupt("its kind is not of lowercase letters, dots and underscores"));
    }
    if [seq, epoch, leaf, at.unsigned_abs()].into_iter().any(|number| number > EXACT) {
        return Err(Error::corrupt("a number is beyond 2^53"));
    }
    let header = record_header(Timestamp::from_millis(at), epoch, &kind, run, seq, tenant, version);
    if sha256(&[header.as_bytes(), commitment.as_bytes(), prev.as_bytes()]) != hash {
        return Err(Error::corrupt("its hash is not that of its fields"));
    }
    let mut found = Vec::new();
    if let Some(body) = &body {
        if hmac(body.key.as_bytes(), &[body.payload.as_bytes()]) != commitment {
            return Err(Error::corrupt("its payload is not what was committed to"));
        }
        found = references(&body.payload)?;
    }
    Ok(Checked { seq, epoch, at, run, kind, leaf, prev, hash, expired: body.is_none(), references: found })
}

/// Density, links, time and epochs, and where a fork leaves its parent.
fn chain(records: &[Checked], head: &Head, verdict: &mut Verdict) {
    let mut fault = |seq: u64, what: &str| verdict.fault(format!("record {seq}"), what);
    let mut before: Option<&Checked> = None;
    for (seq, record) in (0..).zip(records) {
        if record.seq != seq {
            fault(seq, &format!("seq {} stands where {seq} should", record.seq));
        }
        let prev = before.map_or(Digest::ZERO, |before| before.hash);
        if record.prev != prev {
            fault(seq, "its prev is not the hash of the record before");
        }
        match before {
            None if record.kind != "run.created" => fault(seq, "a run begins with run.created"),
            None => {}
            Some(before) => {
                if record.epoch < before.epoch {
                    fault(seq, "its epoch is below that of the record before");
                }
                if record.at < before.at {
                    fault(seq, "its time is before that of the record before");
                }
                if record.run != before.run && record.kind != "run.forked" {
                    fault(seq, "another run's records go on without run.forked");
                }
                if before.kind == "run.closed" && record.kind != "run.forked" {
                    fault(seq, "it stands after the run's end");
                }
            }
        }
        before = Some(record);
    }
    let Some(last) = before else { return };
    if last.run != head.run {
        fault(last.seq, "the last record is another run's");
    }
    let end = if last.kind == "run.closed" { RunEnd::Closed } else { RunEnd::Open };
    if end != head.end {
        verdict.fault("head", "whether the run has ended is not what its last record says: its tail may be cut");
    }
}

/// The root, rebuilt from the records.
fn tree(records: &[Checked], head: &Head, checkpoint: &Checkpoint, verdict: &mut Verdict) {
    let leaves: Vec<(u64, Digest)> = records.iter().map(|record| (record.leaf, leaf_hash(&record.hash))).collect();
    match root_of_some(checkpoint.size, &leaves, &head.proof) {
        Ok(root) if root == checkpoint.root => {}
        Ok(_) => verdict.fault("tree", "the records and the proof do not lead to the checkpoint's root"),
        Err(error) => verdict.fault("tree", error.message()),
    }
}

/// Whether every missing body is covered by an erasure of its run or the published horizon.
fn missing(records: &[Checked], head: &Head, checkpoint: &Checkpoint, trust: &Trust<'_>, verdict: &mut Verdict) {
    let erased = erased(records, head, checkpoint, trust, verdict);
    let missing = |record: &&Checked| record.expired && !erased.contains(&record.run);
    verdict.expired = records.iter().filter(missing).count() as u64;
    verdict.erased = records.len() as u64 - verdict.bodies - verdict.expired;
    let (first, note) = match (records.iter().find(missing), &head.horizon) {
        (None, None) => return,
        (None, Some(_)) => return verdict.fault("horizon", "there is one, and no body is missing that needs it"),
        (Some(first), None) => {
            let what = "its body is missing, and no horizon or erasure covers it";
            return verdict.fault(format!("record {}", first.seq), what);
        }
        (Some(first), Some(note)) => (first.seq, note),
    };
    let horizon = match Horizon::open(trust.key, note) {
        Ok(horizon) => horizon,
        Err(error) => return verdict.fault("horizon", error.message()),
    };
    let mut refuse =
        |what: &str| verdict.fault(format!("record {first}"), format!("its body is missing, and the horizon {what}"));
    if horizon.tenant != head.tenant {
        refuse("is another tenant's");
    }
    let last = records.last();
    if head.end != RunEnd::Closed || last.is_none_or(|last| last.at >= horizon.before.as_millis()) {
        refuse("does not reach to the run's end");
    }
    if horizon.size > checkpoint.size || (horizon.size == checkpoint.size && horizon.root != checkpoint.root) {
        refuse("belongs to another tree");
    }
}

/// The runs of which bodies are missing and that were erased.
fn erased(
    records: &[Checked],
    head: &Head,
    checkpoint: &Checkpoint,
    trust: &Trust<'_>,
    verdict: &mut Verdict,
) -> BTreeSet<RunId> {
    let mut runs = BTreeSet::new();
    for (at, note) in head.erasures.iter().enumerate() {
        let mut refuse = |what: &str| verdict.fault(format!("erasure {at}"), what);
        let erasure = match Erasure::open(trust.key, note) {
            Ok(erasure) => erasure,
            Err(error) => {
                refuse(error.message());
                continue;
            }
        };
        let Erased::Run(run) = erasure.what else {
            refuse("it is of memories, not of a run");
            continue;
        };
        let own = || records.iter().filter(|record| record.run == run);
        if erasure.tenant != head.tenant {
            refuse("it is another tenant's");
        } else if erasure.size > checkpoint.size || (erasure.size == checkpoint.size && erasure.root != checkpoint.root)
        {
            refuse("it belongs to another tree");
        } else if own().next().is_none() || own().any(|record| !record.expired) {
            refuse("not every body of its run is missing");
        } else if own().any(|record| record.at > erasure.at.as_millis()) {
            refuse("a record of its run is younger");
        } else if own().count() as u64 > erasure.count {
            refuse("its run has more records than it says");
        } else if runs.last().is_some_and(|last| *last >= run) {
            refuse("the erasures are not in the order of their runs");
        } else {
            runs.insert(run);
        }
    }
    runs
}

fn check_artifacts(lines: &[&[u8]], records: &[Checked], verdict: &mut Verdict) {
    let mut wanted: BTreeMap<Digest, u64> =
        records.iter().flat_map(|record| &record.references).map(|reference| (reference.id, reference.bytes)).collect();
    let mut again = Vec::new();
    let mut before = None;
    for (at, line) in lines.iter().enumerate() {
        let artifact: ArtifactLine = match read(line, &mut again) {
            Ok(artifact) => artifact,
            Err(error) => {
                verdict.fault(format!("artifact {at}"), error.message());
                continue;
            }
        };
        let id = artifact.artifact;
        let mut fault = |what: &str| verdict.fault(format!("artifact {id}"), what);
        if hmac(artifact.key.as_bytes(), &[artifact.value.as_bytes()]) != id {
            fault("it is not what its address commits to");
        }
        if before >= Some(id) {
            fault("artifacts stand in the order of their addresses, each once");
        }
        match wanted.remove(&id) {
            Some(bytes) if bytes == artifact.value.len() as u64 => {}
            Some(_) => fault("its length is not what the record says"),
            None => fault("no record refers to it"),
        }
        before = Some(id);
        verdict.artifacts += 1;
    }
    for id in wanted.keys() {
        verdict.fault(format!("artifact {id}"), "a record refers to it, and it is missing");
    }
}

fn consistency(head: &Head, checkpoint: &Checkpoint, verdict: &mut Verdict) {
    let mut before = None;
    for older in &head.consistency {
        let place = || format!("consistency from {}", older.from);
        if before >= Some(older.from) || older.from >= checkpoint.size {
            verdict.fault(place(), "proofs stand in the order of their sizes, each below the checkpoint's");
        }
        before = Some(older.from);
        let new = (checkpoint.size, &checkpoint.root);
        if let Err(error) = verify_consistency((older.from, &older.root), new, &older.hashes) {
            verdict.fault(place(), error.message());
        }
    }
}

/// Whether the checkpoint continues one that was kept elsewhere.
fn trusted(
    note: &str,
    head: &Head,
    checkpoint: &Checkpoint,
    trust: &Trust<'_>,
    verdict: &mut Verdict,
) -> Result<(), Finding> {
    const PLACE: &str = "trusted head";
    let kept = SignedCheckpoint::open(trust.key, note).map_err(|error| at(PLACE, &error))?.checkpoint;
    let refuse = |what: String| Err(finding(PLACE, what));
    if kept.size > checkpoint.size {
        return refuse(format!(
            "it covers {} records and the bundle's checkpoint only {}: the log was cut, or the bundle is older",
            kept.size, checkpoint.size
        ));
    }
    let root = if kept.size == checkpoint.size {
        checkpoint.root
    } else {
        match head.consistency.iter().find(|older| older.from == kept.size) {
            Some(older) => older.root,
            None => {
                return refuse(format!(
                    "the bundle has no proof from its size {}: export it with --from-head",
                    kept.size
                ));
            }
        }
    };
    if root != kept.root {
        return refuse(format!("the log was rewritten: its first {} records are not what they were then", kept.size));
    }
    verdict.trusted = Some(kept.size);
    Ok(())
}

impl Verdict {
    fn fault(&mut self, place: impl Into<String>, what: impl Into<String>) {
        if self.faults.len() < NAMED {
            self.faults.push(finding(place, what));
        }
    }
}

pub(super) fn at(place: &str, error: &Error) -> Finding {
    finding(place, error.message())
}

pub(super) fn finding(place: impl Into<String>, what: impl Into<String>) -> Finding {
    Finding { place: place.into(), what: what.into() }
}
