//! A vault for tests: it hides nothing, but notices what was moved.

use crate::digest::{Digest, sha256};
use crate::id::TenantId;
use crate::vault::{Place, Vault};
use crate::{Error, Result};

/// Puts a mark of the place before the bytes and checks it when they are opened.
#[derive(Debug, Clone, Copy, Default)]
pub struct PlainVault;

impl Vault for PlainVault {
    fn seal(&self, tenant: &TenantId, place: &Place<'_>, plain: &[u8]) -> Result<Vec<u8>> {
        Ok([mark(tenant, place, plain).as_bytes().as_slice(), plain].concat())
    }

    fn open(&self, tenant: &TenantId, place: &Place<'_>, sealed: &[u8]) -> Result<Vec<u8>> {
        match sealed.split_at_checked(32) {
            Some((head, plain)) if head == mark(tenant, place, plain).as_bytes() => Ok(plain.to_vec()),
            _ => Err(Error::corrupt(format!("a {} {} does not open", place.table, place.column))),
        }
    }

    fn token(&self, tenant: &TenantId, purpose: &str, data: &[u8]) -> Digest {
        sha256(&[tenant.as_str().as_bytes(), b"\0", purpose.as_bytes(), b"\0", data])
    }
}

fn mark(tenant: &TenantId, place: &Place<'_>, plain: &[u8]) -> Digest {
    let parts = [tenant.as_str().as_bytes(), place.table.as_bytes(), place.row, place.column.as_bytes(), plain];
    let lengths: Vec<u8> = parts.iter().flat_map(|part| (part.len() as u64).to_be_bytes()).collect();
    let mut hashed: Vec<&[u8]> = vec![&lengths];
    hashed.extend(parts);
    sha256(&hashed)
}
