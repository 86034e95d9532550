//! Events as people and clients see them.

use serde::Serialize;
use serde_json::Value;

use crate::digest::Digest;
use crate::id::RunId;
use crate::run::{Event, Record};
use crate::time::Timestamp;
use crate::vault::Vault;
use crate::{Error, Result};

/// One event of a run, opened: the body of `run.event` frames and of event lists.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EventView {
    /// The run.
    pub run_id: RunId,
    /// Its place, dense from 0.
    pub seq: u64,
    /// The lease under which it was written.
    pub epoch: u64,
    /// The hash of the record before.
    pub prev: Digest,
    /// The record's hash.
    pub hash: Digest,
    /// The event's kind.
    pub kind: String,
    /// The version of the event's form.
    pub version: u16,
    /// When it was written.
    pub at: Timestamp,
    /// The event's payload.
    pub data: Value,
}

impl EventView {
    /// Opens a record.
    ///
    /// # Errors
    /// `Corrupt` when it does not open, `Newer` when its kind is not known.
    pub fn of(record: &Record, vault: &dyn Vault) -> Result<(Self, Event)> {
        let payload = record.open(vault)?.payload;
        let event = Event::decode(&record.kind, record.version, &payload)?;
        // The payload's own JSON, so that an outsider can recompute what was committed to.
        let data = serde_json::from_slice(&payload).map_err(|error| Error::corrupt(error.to_string()))?;
        let view = Self {
            run_id: record.run,
            seq: record.seq,
            epoch: record.epoch,
            prev: record.prev,
            hash: record.hash,
            kind: record.kind.clone(),
            version: record.version,
            at: record.at,
            data,
        };
        Ok((view, event))
    }
}
