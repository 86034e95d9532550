//! What a batch of appends says, as the columns that its statement takes.
//!
//! The place of an append in the batch counts from one, as the server counts rows.

use l9_core::journal::Append;

use super::rows::integer;
use crate::check;

/// What is said of the heads.
pub(super) struct Heads<'a> {
    pub(super) tenants: Vec<&'a str>,
    pub(super) runs: Vec<&'a [u8]>,
    pub(super) epochs: Vec<i64>,
    pub(super) nexts: Vec<i64>,
    pub(super) hashes: Vec<&'a [u8]>,
    pub(super) end_nexts: Vec<i64>,
    pub(super) end_hashes: Vec<&'a [u8]>,
    pub(super) ats: Vec<i64>,
    pub(super) statuses: Vec<&'static str>,
}

impl<'a> Heads<'a> {
    pub(super) fn of(appends: &[&'a Append]) -> Self {
        let last = |append: &'a Append| append.records.last();
        Self {
            tenants: appends.iter().map(|append| append.tenant.as_str()).collect(),
            runs: appends.iter().map(|append| append.run.as_bytes().as_slice()).collect(),
            epochs: appends.iter().map(|append| integer(append.epoch)).collect(),
            nexts: appends.iter().map(|append| integer(append.expected.next)).collect(),
            hashes: appends.iter().map(|append| append.expected.hash.as_bytes().as_slice()).collect(),
            end_nexts: appends.iter().map(|append| integer(check::end(append).next)).collect(),
            end_hashes: appends
                .iter()
                .map(|append| last(append).map_or(&append.expected.hash, |record| &record.hash).as_bytes().as_slice())
                .collect(),
            ats: appends.iter().map(|append| last(append).map_or(0, |record| record.at.as_millis())).collect(),
            statuses: appends.iter().map(|append| append.status.as_str()).collect(),
        }
    }
}

/// The records.
#[derive(Default)]
pub(super) struct Records<'a> {
    pub(super) places: Vec<i64>,
    pub(super) tenants: Vec<&'a str>,
    pub(super) runs: Vec<&'a [u8]>,
    pub(super) seqs: Vec<i64>,
    pub(super) epochs: Vec<i64>,
    pub(super) ats: Vec<i64>,
    pub(super) kinds: Vec<&'a str>,
    pub(super) versions: Vec<i32>,
    pub(super) bodies: Vec<&'a [u8]>,
    pub(super) commitments: Vec<&'a [u8]>,
    pub(super) prevs: Vec<&'a [u8]>,
    pub(super) hashes: Vec<&'a [u8]>,
}

impl<'a> Records<'a> {
    pub(super) fn of(appends: &[&'a Append]) -> Self {
        let mut out = Self::default();
        for (place, append) in (1..).zip(appends) {
            for record in &append.records {
                out.places.push(place);
                out.tenants.push(record.tenant.as_str());
                out.runs.push(record.run.as_bytes());
                out.seqs.push(integer(record.seq));
                out.epochs.push(integer(record.epoch));
                out.ats.push(record.at.as_millis());
                out.kinds.push(&record.kind);
                out.versions.push(i32::from(record.version));
                out.bodies.push(&record.body);
                out.commitments.push(record.commitment.as_bytes());
                out.prevs.push(record.prev.as_bytes());
                out.hashes.push(record.hash.as_bytes());
            }
        }
        out
    }
}

/// The commands that are carried out.
#[derive(Default)]
pub(super) struct Consumed<'a> {
    pub(super) places: Vec<i64>,
    pub(super) tenants: Vec<&'a str>,
    pub(super) runs: Vec<&'a [u8]>,
    pub(super) ids: Vec<&'a str>,
}

impl<'a> Consumed<'a> {
    pub(super) fn of(appends: &[&'a Append]) -> Self {
        let mut out = Self::default();
        for (place, append) in (1..).zip(appends) {
            for command in &append.consumed {
                out.places.push(place);
                out.tenants.push(append.tenant.as_str());
                out.runs.push(append.run.as_bytes());
                out.ids.push(command.as_str());
            }
        }
        out
    }
}

/// The artifacts that records refer to.
#[derive(Default)]
pub(super) struct Artifacts<'a> {
    pub(super) places: Vec<i64>,
    pub(super) tenants: Vec<&'a str>,
    pub(super) ids: Vec<&'a [u8]>,
    pub(super) bytes: Vec<&'a [u8]>,
}

impl<'a> Artifacts<'a> {
    pub(super) fn of(appends: &[&'a Append]) -> Self {
        let mut out = Self::default();
        for (place, append) in (1..).zip(appends) {
            for artifact in &append.artifacts {
                out.places.push(place);
                out.tenants.push(append.tenant.as_str());
                out.ids.push(artifact.id.as_bytes());
                out.bytes.push(&artifact.sealed);
            }
        }
        out
    }
}

/// The folded states.
#[derive(Default)]
pub(super) struct Snapshots<'a> {
    pub(super) places: Vec<i64>,
    pub(super) tenants: Vec<&'a str>,
    pub(super) runs: Vec<&'a [u8]>,
    pub(super) nexts: Vec<i64>,
    pub(super) hashes: Vec<&'a [u8]>,
    pub(super) bytes: Vec<&'a [u8]>,
}

impl<'a> Snapshots<'a> {
    pub(super) fn of(appends: &[&'a Append]) -> Self {
        let mut out = Self::default();
        for (place, append) in (1..).zip(appends) {
            if let Some(snapshot) = &append.snapshot {
                out.places.push(place);
                out.tenants.push(append.tenant.as_str());
                out.runs.push(append.run.as_bytes());
                out.nexts.push(integer(snapshot.head.next));
                out.hashes.push(snapshot.head.hash.as_bytes());
                out.bytes.push(&snapshot.sealed);
            }
        }
        out
    }
}
