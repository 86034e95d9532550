//! Records: events made durable, sealed and chained.
//!
//! `hash = SHA-256(header ‖ commitment ‖ prev)`, where `header` is the RFC 8785 form
//! of the record's open fields and `commitment = HMAC-SHA-256(key, payload)` under 32
//! random bytes that are sealed beside the payload. So the chain can be checked without
//! reading a payload, and a payload can be erased without breaking the chain.

use crate::digest::{Digest, hmac, sha256};
use crate::entropy::Entropy;
use crate::id::{RunId, TenantId};
use crate::journal::{Artifact, Head};
use crate::run::Event;
use crate::time::Timestamp;
use crate::vault::{Place, Vault};
use crate::{Error, ErrorKind, Result};

/// Bytes of the commitment's key, sealed before the payload.
const KEY_BYTES: usize = 32;

/// One link of a run's chain, as backends store it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The run's tenant.
    pub tenant: TenantId,
    /// The run.
    pub run: RunId,
    /// Its place in the chain, dense from 0.
    pub seq: u64,
    /// The lease under which it was written.
    pub epoch: u64,
    /// When it was written; never before the record before it.
    pub at: Timestamp,
    /// The event's kind.
    pub kind: String,
    /// The version of the event's form.
    pub version: u16,
    /// The sealed commitment key and payload.
    pub body: Vec<u8>,
    /// The payload's commitment.
    pub commitment: Digest,
    /// The hash of the record before.
    pub prev: Digest,
    /// This record's hash.
    pub hash: Digest,
}

impl Record {
    /// The canonical header (RFC 8785). Its values need no escaping: ids and kinds are
    /// printable ASCII by construction, and every number is below 2^53.
    #[must_use]
    pub fn header(&self) -> String {
        header(self.at, self.epoch, &self.kind, self.run, self.seq, &self.tenant, self.version)
    }

    /// The hash its fields should have.
    #[must_use]
    pub fn expected_hash(&self) -> Digest {
        sha256(&[self.header().as_bytes(), self.commitment.as_bytes(), self.prev.as_bytes()])
    }

    /// Checks that this record continues a chain that ended at `head`.
    ///
    /// # Errors
    /// `Corrupt`, naming what does not fit.
    pub fn verify_after(&self, head: &Head) -> Result<()> {
        let fault = if self.seq != head.next {
            format!("seq {} stands where {} should", self.seq, head.next)
        } else if self.prev != head.hash {
            "its prev is not the hash of the record before".to_owned()
        } else if self.expected_hash() != self.hash {
            "its hash is not that of its fields".to_owned()
        } else {
            return Ok(());
        };
        Err(Error::corrupt(format!("record {} of run {} does not verify: {fault}", self.seq, self.run)))
    }

    /// The chain's end after this record.
    #[must_use]
    pub fn head(&self) -> Head {
        Head { next: self.seq + 1, hash: self.hash }
    }

    /// Whether its body is gone and only the link of the chain stays.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        self.body.is_empty()
    }

    /// Opens the body and checks it against the commitment.
    ///
    /// # Errors
    /// `Corrupt` when the body does not open or is not what was committed to.
    pub fn open(&self, vault: &dyn Vault) -> Result<OpenRecord> {
        let named = |error: Error| {
            Error::new(error.kind(), format!("record {} of run {} does not open", self.seq, self.run)).caused_by(error)
        };
        if self.is_expired() {
            let message =
                format!("the body of record {} of run {} is gone: it expired or was erased", self.seq, self.run);
            return Err(Error::new(ErrorKind::Expired, message));
        }
        let row = row(self.run, self.seq);
        let mut plain = vault.open(&self.tenant, &place(&row), &self.body).map_err(named)?;
        if plain.len() < KEY_BYTES {
            return Err(named(Error::corrupt("its body is too short")));
        }
        let payload = plain.split_off(KEY_BYTES);
        if hmac(&plain, &[&payload]) != self.commitment {
            return Err(named(Error::corrupt("its payload is not what was committed to")));
        }
        let mut key = [0; KEY_BYTES];
        key.copy_from_slice(&plain);
        Ok(OpenRecord { key, payload })
    }
}

/// A record's body, opened and verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenRecord {
    /// The key of the commitment: an outsider needs it to check the payload.
    pub key: [u8; KEY_BYTES],
    /// The event's canonical payload.
    pub payload: Vec<u8>,
}

/// Turns events into records.
#[derive(Debug, Clone, Copy)]
pub struct Sealer<'a> {
    /// Seals the body.
    pub vault: &'a dyn Vault,
    /// Gives the commitment's key.
    pub entropy: &'a dyn Entropy,
}

impl Sealer<'_> {
    /// The record of an event that continues `head`.
    ///
    /// # Errors
    /// `Internal` for a value without canonical form; the vault's own.
    pub fn record(
        &self,
        tenant: &TenantId,
        run: RunId,
        epoch: u64,
        head: &Head,
        at: Timestamp,
        event: &Event,
    ) -> Result<Record> {
        let payload = event.payload()?;
        self.record_of(tenant, run, epoch, head, at, (event.kind(), event.version(), &payload))
    }

    /// The record of a kind, version and canonical payload.
    pub(super) fn record_of(
        &self,
        tenant: &TenantId,
        run: RunId,
        epoch: u64,
        head: &Head,
        at: Timestamp,
        (kind, version, payload): (&str, u16, &[u8]),
    ) -> Result<Record> {
        let seq = head.next;
        let mut plain = Vec::with_capacity(KEY_BYTES + payload.len());
        plain.resize(KEY_BYTES, 0);
        self.entropy.fill(format_args!("run/{run}/record/{seq}"), &mut plain);
        let commitment = hmac(&plain, &[payload]);
        plain.extend_from_slice(payload);
        let row = row(run, seq);
        let body = self.vault.seal(tenant, &place(&row), &plain)?;
        let mut record = Record {
            tenant: tenant.clone(),
            run,
            seq,
            epoch,
            at,
            kind: kind.to_owned(),
            version,
            body,
            commitment,
            prev: head.hash,
            hash: Digest::ZERO,
        };
        record.hash = record.expected_hash();
        Ok(record)
    }

    /// Seals a large value beside the journal. Its address commits to it.
    ///
    /// # Errors
    /// The vault's own.
    pub fn artifact(&self, tenant: &TenantId, label: &str, plain: &[u8]) -> Result<Artifact> {
        let mut keyed = vec![0; KEY_BYTES];
        self.entropy.fill(format_args!("{label}"), &mut keyed);
        let id = hmac(&keyed, &[plain]);
        keyed.extend_from_slice(plain);
        Ok(Artifact { id, sealed: self.vault.seal(tenant, &artifact_place(&id), &keyed)? })
    }
}

/// The canonical header of a record with these fields.
pub(crate) fn header(
    at: Timestamp,
    epoch: u64,
    kind: &str,
    run: RunId,
    seq: u64,
    tenant: &TenantId,
    version: u16,
) -> String {
    let (mut digits, mut room) = (itoa::Buffer::new(), [0; 36]);
    let mut text = String::with_capacity(224 + kind.len());
    text += r#"{"at":"#;
    text += digits.format(at.as_millis());
    text += r#","epoch":"#;
    text += digits.format(epoch);
    text += r#","format":"l9.record.1","kind":""#;
    text += kind;
    text += r#"","run":""#;
    text += run.text(&mut room);
    text += r#"","seq":"#;
    text += digits.format(seq);
    text += r#","tenant":""#;
    text += tenant.as_str();
    text += r#"","version":"#;
    text += digits.format(version);
    text.push('}');
    text
}

/// Opens a large value and checks it against its address.
///
/// # Errors
/// `Corrupt` when it does not open or is not what its address commits to.
pub fn open_artifact(vault: &dyn Vault, tenant: &TenantId, id: Digest, sealed: &[u8]) -> Result<Vec<u8>> {
    open_artifact_keyed(vault, tenant, id, sealed).map(|(_, value)| value)
}

/// As [`open_artifact`], with the key of its address: an outsider needs it to check the
/// value.
pub(crate) fn open_artifact_keyed(
    vault: &dyn Vault,
    tenant: &TenantId,
    id: Digest,
    sealed: &[u8],
) -> Result<([u8; KEY_BYTES], Vec<u8>)> {
    let mut plain = vault.open(tenant, &artifact_place(&id), sealed)?;
    if plain.len() < KEY_BYTES {
        return Err(Error::corrupt(format!("artifact {id} is too short")));
    }
    let value = plain.split_off(KEY_BYTES);
    if hmac(&plain, &[&value]) == id {
        let mut key = [0; KEY_BYTES];
        key.copy_from_slice(&plain);
        Ok((key, value))
    } else {
        Err(Error::corrupt(format!("artifact {id} is not what its address commits to")))
    }
}

pub(crate) fn row(run: RunId, seq: u64) -> [u8; 24] {
    let mut row = [0; 24];
    row[..16].copy_from_slice(run.as_bytes());
    row[16..].copy_from_slice(&seq.to_be_bytes());
    row
}

pub(crate) fn place(row: &[u8]) -> Place<'_> {
    Place { table: "journal", row, column: "body" }
}

pub(crate) fn artifact_place(id: &Digest) -> Place<'_> {
    Place { table: "artifact", row: id.as_bytes(), column: "value" }
}
