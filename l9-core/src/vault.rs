//! The trait behind which keys live.
//!
//! Stored bytes are sealed to the place they are stored in, so that a row cannot be
//! moved; what must be found again without being read is a keyed token.

use std::fmt;

use crate::Result;
use crate::digest::Digest;
use crate::id::TenantId;

/// Where sealed bytes are stored; authenticated with them.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The kind of row, such as `journal`.
    pub table: &'static str,
    /// The row's key.
    pub row: &'a [u8],
    /// Which part of the row.
    pub column: &'static str,
}

/// Seals, opens and tokenises for tenants.
pub trait Vault: fmt::Debug + Send + Sync {
    /// Encrypts and authenticates bytes for one place of one tenant.
    ///
    /// # Errors
    /// `Unavailable` when the tenant's key cannot be had.
    fn seal(&self, tenant: &TenantId, place: &Place<'_>, plain: &[u8]) -> Result<Vec<u8>>;

    /// Decrypts what [`Vault::seal`] made for the same tenant and place.
    ///
    /// # Errors
    /// `Corrupt` when the bytes were changed, moved, or sealed under another key.
    fn open(&self, tenant: &TenantId, place: &Place<'_>, sealed: &[u8]) -> Result<Vec<u8>>;

    /// A keyed token of the data: equal for equal data of one tenant and purpose,
    /// meaningless without the key.
    fn token(&self, tenant: &TenantId, purpose: &str, data: &[u8]) -> Digest;
}
