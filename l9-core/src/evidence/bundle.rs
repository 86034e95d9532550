//! The form of an evidence bundle: lines of RFC 8785 JSON, each ended by a newline. First
//! the head, then the run's records in the order of seq, then the artifacts they refer to.
//!
//! Every value is a string, an integer below 2^53, a list or an object, so that any
//! language writes the canonical form with its own library. The fields below stand in the
//! order of their names: what is written here is canonical by itself.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::proof::ConsistencyProof;
use crate::digest::Digest;
use crate::id::{RunId, TenantId};
use crate::{Error, Result};

/// The version of the form.
pub const FORMAT: &str = "l9.evidence.1";

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// How many artifacts follow the records.
    pub artifacts: u64,
    /// The signed checkpoint that everything is proved against.
    pub checkpoint: String,
    /// That the checkpoint's tree begins with older ones, in rising order.
    pub consistency: Vec<Consistency>,
    /// Whether the run has ended.
    pub end: RunEnd,
    /// The statements that runs were erased of which bodies are missing, in the order of the runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub erasures: Vec<String>,
    /// [`FORMAT`].
    pub format: String,
    /// The published horizon, if a body is missing that no erasure covers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub horizon: Option<String>,
    /// The hashes of the largest subtrees without any of the records, from left to right.
    pub proof: Vec<Digest>,
    /// How many records follow.
    pub records: u64,
    /// The run.
    pub run: RunId,
    /// Its tenant.
    pub tenant: TenantId,
}

/// Whether a run has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunEnd {
    /// Its last record is `run.closed`.
    Closed,
    /// It may go on.
    Open,
}

/// That a tree begins with an older one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consistency {
    /// The older tree's size.
    pub from: u64,
    /// The proof (RFC 9162 section 2.1.4).
    pub hashes: Vec<Digest>,
    /// The older tree's root.
    pub root: Digest,
}

impl From<ConsistencyProof> for Consistency {
    fn from(proof: ConsistencyProof) -> Self {
        Self { from: proof.from, hashes: proof.hashes, root: proof.root }
    }
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordLine {
    /// When it was written, in milliseconds since 1970.
    pub at: i64,
    /// What it says; null if that has expired or was erased.
    pub body: Option<Body>,
    /// The payload's commitment.
    pub commitment: Digest,
    /// The lease under which it was written.
    pub epoch: u64,
    /// The record's hash.
    pub hash: Digest,
    /// The event's kind.
    pub kind: String,
    /// Its leaf.
    pub leaf: u64,
    /// The hash of the record before.
    pub prev: Digest,
    /// The run it was written by: another one's for what a fork shares.
    pub run: RunId,
    /// Its place in the chain.
    pub seq: u64,
    /// The version of the payload's form.
    pub version: u16,
}

/// What a record says, and what it takes to check it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Body {
    /// The key of the commitment.
    pub key: Digest,
    /// The event in RFC 8785 JSON, as text.
    pub payload: String,
}

/// A large value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArtifactLine {
    /// Its address: HMAC-SHA-256 of the value under the key.
    pub artifact: Digest,
    /// The key.
    pub key: Digest,
    /// The value in RFC 8785 JSON, as text.
    pub value: String,
}

/// Writes a bundle.
///
/// # Errors
/// `Internal` when a line cannot be written.
pub fn encode(head: &Head, records: &[RecordLine], artifacts: &[ArtifactLine]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    line(&mut out, head)?;
    records.iter().try_for_each(|record| line(&mut out, record))?;
    artifacts.iter().try_for_each(|artifact| line(&mut out, artifact))?;
    Ok(out)
}

fn line(out: &mut Vec<u8>, value: &impl Serialize) -> Result<()> {
    serde_json::to_writer(&mut *out, value)
        .map_err(|error| Error::internal(format!("a line of evidence cannot be written: {error}")))?;
    out.push(b'\n');
    Ok(())
}

/// Reads a line, which must be written as it would be here.
pub(super) fn read<T: DeserializeOwned + Serialize>(text: &[u8], again: &mut Vec<u8>) -> Result<T> {
    let value: T =
        serde_json::from_slice(text).map_err(|error| Error::corrupt(format!("it does not read: {error}")))?;
    again.clear();
    serde_json::to_writer(&mut *again, &value).map_err(|error| Error::internal(error.to_string()))?;
    if again == text { Ok(value) } else { Err(Error::corrupt("it is not written in the canonical form")) }
}
