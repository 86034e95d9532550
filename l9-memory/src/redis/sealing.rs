//! Entries as they lie in Redis.

use l9_core::id::TenantId;
use l9_core::memory::{Entry, NewEntry, Standing};
use l9_core::time::Timestamp;
use l9_core::vault::{Place, Vault};
use l9_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The form of a sealed entry: this byte, then JSON.
const VERSION: u8 = 1;

#[derive(Serialize, Deserialize)]
struct Kept {
    recorded_at: Timestamp,
    entry: NewEntry,
}

/// Seals an entry.
pub(super) fn seal(vault: &dyn Vault, tenant: &TenantId, entry: &Entry) -> Result<Vec<u8>> {
    let kept = Kept { recorded_at: entry.recorded_at, entry: entry.entry.clone() };
    let mut plain = vec![VERSION];
    serde_json::to_writer(&mut plain, &kept)
        .map_err(|error| Error::internal("an entry has no JSON form").caused_by(error))?;
    vault.seal(tenant, &place(&entry.id), &plain)
}

/// Opens a sealed entry.
pub(super) fn open(vault: &dyn Vault, tenant: &TenantId, id: Uuid, sealed: &[u8]) -> Result<Entry> {
    let named = |error: Error| Error::new(error.kind(), format!("memory {id} in Redis does not open")).caused_by(error);
    let plain = vault.open(tenant, &place(&id), sealed).map_err(named)?;
    match plain.split_first() {
        Some((&VERSION, json)) => {
            let kept = serde_json::from_slice(json).map_err(|error| named(Error::corrupt(error.to_string())))?;
            let Kept { recorded_at, entry } = kept;
            Ok(Entry { id, entry, recorded_at, standing: Standing::Current, superseded_by: None })
        }
        Some((version, _)) => Err(named(Error::new(
            ErrorKind::Newer,
            format!("its form is {version}, this L9 knows {VERSION}: upgrade it"),
        ))),
        None => Err(named(Error::corrupt("it is empty"))),
    }
}

fn place(id: &Uuid) -> Place<'_> {
    Place { table: "memory", row: id.as_bytes(), column: "short_term" }
}
