//! Archives: a closed run's own records, sealed as they are stored, in one file that is named
//! by the run's root, the hash of its last record. An archive is written before the bodies
//! go, and a body that comes back must be the one that the chain commits to.
//!
//! The form is JSON lines: a head, then a line for each record.

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::engine::Engine;
use crate::digest::Digest;
use crate::id::{RunId, TenantId};
use crate::journal::{Head, RunRow};
use crate::run::Record;
use crate::time::Timestamp;
use crate::{Error, ErrorKind, Result};

/// The form of an archive.
const FORMAT: &str = "l9.archive.1";

/// How many records are read at a time.
const PAGE: usize = 512;

/// Where archives are kept, each under its root.
#[async_trait]
pub trait Archive: std::fmt::Debug + Send + Sync {
    /// Keeps an archive, durable when it returns. One of the same root is the same.
    ///
    /// # Errors
    /// `Unavailable` or `Exhausted` when it cannot be kept.
    async fn put(&self, root: Digest, bytes: Vec<u8>) -> Result<()>;

    /// The archive of a root.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be read.
    async fn get(&self, root: Digest) -> Result<Option<Vec<u8>>>;
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct First {
    format: String,
    tenant: TenantId,
    run: RunId,
    from: u64,
    records: u64,
    root: Digest,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    seq: u64,
    epoch: u64,
    at: Timestamp,
    kind: String,
    version: u16,
    body: String,
    commitment: Digest,
    prev: Digest,
    hash: Digest,
}

impl From<&Record> for Line {
    fn from(record: &Record) -> Self {
        Self {
            seq: record.seq,
            epoch: record.epoch,
            at: record.at,
            kind: record.kind.clone(),
            version: record.version,
            body: STANDARD.encode(&record.body),
            commitment: record.commitment,
            prev: record.prev,
            hash: record.hash,
        }
    }
}

impl Line {
    fn record(self, tenant: &TenantId, run: RunId) -> Result<Record> {
        let Self { seq, epoch, at, kind, version, body, commitment, prev, hash } = self;
        let body =
            STANDARD.decode(body).map_err(|_| Error::corrupt(format!("the body of record {seq} is not base64")))?;
        Ok(Record { tenant: tenant.clone(), run, seq, epoch, at, kind, version, body, commitment, prev, hash })
    }
}

impl Engine {
    /// Keeps a closed run's own records under the run's root.
    pub(super) async fn archive(&self, row: &RunRow, archive: &dyn Archive) -> Result<()> {
        let records = self.own_records(row).await?;
        let from = row.own();
        let first = First {
            format: FORMAT.to_owned(),
            tenant: row.tenant.clone(),
            run: row.run,
            from,
            records: records.len() as u64,
            root: row.head.hash,
        };
        let mut bytes = line(&first)?;
        for record in &records {
            bytes.extend(line(&Line::from(record))?);
        }
        archive.put(row.head.hash, bytes).await
    }

    async fn own_records(&self, row: &RunRow) -> Result<Vec<Record>> {
        let mut records: Vec<Record> = Vec::new();
        let mut next = row.own();
        while next < row.head.next {
            let page = self.inner.parts.store.read(&row.tenant, row.run, next, PAGE).await?;
            let Some(last) = page.last() else {
                return Err(Error::corrupt(format!("record {next} of run {} is missing", row.run)));
            };
            next = last.seq + 1;
            records.extend(page);
        }
        Ok(records)
    }

    /// Brings the bodies of an archived run back; tells how many. Every record of the archive
    /// must continue the run's chain up to its root.
    ///
    /// # Errors
    /// `NotFound` for an unknown run or one that was never archived there, `Corrupt` for an
    /// archive that is not the run's.
    pub async fn restore(&self, tenant: &TenantId, run: RunId, archive: &dyn Archive) -> Result<u64> {
        let store = &self.inner.parts.store;
        let row = self.row(tenant, run).await?;
        let root = row.head.hash;
        let bytes = archive.get(root).await?.ok_or_else(|| {
            Error::not_found(format!("there is no archive of root {root} there: name the folder it was written to"))
        })?;
        let records = read(&bytes, &row)?;
        let own = self.own_records(&row).await?;
        let differs = |message: &str| Err(Error::corrupt(format!("the archive of root {root} {message}")));
        if own.len() != records.len() {
            return differs("has another number of records than the run");
        }
        if own.iter().zip(&records).any(|(kept, archived)| kept.hash != archived.hash) {
            return differs("is not of this run's chain");
        }
        for record in &records {
            record.open(&*self.inner.parts.vault)?;
        }
        store.refill(tenant, run, records).await
    }
}

/// Reads an archive and verifies that it is the run's.
fn read(bytes: &[u8], row: &RunRow) -> Result<Vec<Record>> {
    let wrong = |what: String| Error::corrupt(format!("the archive of root {}: {what}", row.head.hash));
    let text = std::str::from_utf8(bytes).map_err(|_| wrong("is not UTF-8".to_owned()))?;
    let mut lines = text.lines();
    let first: First = serde_json::from_str(lines.next().unwrap_or_default())
        .map_err(|error| wrong(format!("its head does not parse: {error}")))?;
    if first.format != FORMAT {
        return Err(Error::new(
            ErrorKind::Newer,
            format!("archives of the form {:?} are not known: upgrade L9", first.format),
        ));
    }
    if first.tenant != row.tenant || first.run != row.run || first.root != row.head.hash {
        return Err(wrong(format!("it is of run {}", first.run)));
    }
    let mut records: Vec<Record> = Vec::new();
    for (number, text) in lines.enumerate() {
        let line: Line = serde_json::from_str(text)
            .map_err(|error| wrong(format!("line {} does not parse: {error}", number + 2)))?;
        let record = line.record(&row.tenant, row.run)?;
        let before = records.last().map_or(Head { next: first.from, hash: record.prev }, Record::head);
        record.verify_after(&before)?;
        records.push(record);
    }
    if records.last().map(Record::head) != Some(row.head) || records.len() as u64 != first.records {
        return Err(wrong("it does not end in its root".to_owned()));
    }
    Ok(records)
}

fn line(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(value).map_err(|error| Error::internal(error.to_string()))?;
    bytes.push(b'\n');
    Ok(bytes)
}
