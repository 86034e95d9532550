//! The form of sealed bytes, version 1:
//!
//! ```text
//! 1 ‖ key id (4) ‖ nonce (24 random) ‖ AES-256-GCM ciphertext ‖ tag (16)
//! key   = HMAC-SHA-256(tenant seal key, "l9.seal.1" ‖ nonce[..12])
//! nonce of the cipher = nonce[12..]
//! aad   = (length ‖ bytes) of tenant, table, row, column, then the version byte
//! ```
//!
//! A key per message, so that random nonces never run out (NIST SP 800-38D section
//! 8.3 bounds one key to 2^32 of them).

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use l9_core::digest::HmacKey;
use l9_core::id::TenantId;
use l9_core::vault::Place;
use l9_core::{Error, ErrorKind, Result};
use zeroize::Zeroizing;

const VERSION: u8 = 1;
const ID_END: usize = 1 + 4;
const NONCE_END: usize = ID_END + 24;
const TAG_BYTES: usize = 16;

/// The root key that sealed the bytes, if they are of this form.
pub(super) fn key_id(bytes: &[u8]) -> Option<[u8; 4]> {
    if *bytes.first()? != VERSION {
        return None;
    }
    bytes.get(1..ID_END)?.try_into().ok()
}

pub(super) fn seal(id: [u8; 4], key: &HmacKey, tenant: &TenantId, place: &Place<'_>, plain: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(NONCE_END + plain.len() + TAG_BYTES);
    out.push(VERSION);
    out.extend_from_slice(&id);
    out.resize(NONCE_END, 0);
    rand::fill(&mut out[ID_END..]);
    let (cipher, nonce) = cipher(key, &out[ID_END..NONCE_END])?;
    out.extend_from_slice(plain);
    let tag = cipher.seal_in_place_separate_tag(nonce, Aad::from(aad(tenant, place)), &mut out[NONCE_END..]).map_err(
        |_| Error::internal(format!("a {} {} of {} bytes could not be sealed", place.table, place.column, plain.len())),
    )?;
    out.extend_from_slice(tag.as_ref());
    Ok(out)
}

pub(super) fn open(key: &HmacKey, tenant: &TenantId, place: &Place<'_>, bytes: &[u8]) -> Result<Vec<u8>> {
    match bytes.first() {
        Some(&VERSION) if bytes.len() >= NONCE_END + TAG_BYTES => {}
        Some(&version) if version > VERSION => {
            return Err(Error::new(
                ErrorKind::Newer,
                format!(
                    "a {} {} has the sealed form {version}, which this L9 does not know: upgrade it",
                    place.table, place.column
                ),
            ));
        }
        _ => return Err(Error::corrupt(format!("a {} {} is not sealed bytes", place.table, place.column))),
    }
    let (cipher, nonce) = cipher(key, &bytes[ID_END..NONCE_END])?;
    let mut plain = bytes[NONCE_END..].to_vec();
    let length = cipher
        .open_in_place(nonce, Aad::from(aad(tenant, place)), &mut plain)
        .map(|plain| plain.len())
        .map_err(|_| {
            Error::corrupt(format!(
                "a {} {} does not open: it was changed, or moved from another row",
                place.table, place.column
            ))
        })?;
    plain.truncate(length);
    Ok(plain)
}

fn cipher(key: &HmacKey, nonce: &[u8]) -> Result<(LessSafeKey, Nonce)> {
    let failed = || Error::internal("a sealing key could not be made");
    let (salt, nonce) = nonce.split_at(12);
    let message_key = Zeroizing::new(*key.sign(&[b"l9.seal.1", salt]).as_bytes());
    let unbound = UnboundKey::new(&AES_256_GCM, &*message_key).map_err(|_| failed())?;
    Ok((LessSafeKey::new(unbound), Nonce::try_assume_unique_for_key(nonce).map_err(|_| failed())?))
}

fn aad(tenant: &TenantId, place: &Place<'_>) -> Vec<u8> {
    let parts = [tenant.as_str().as_bytes(), place.table.as_bytes(), place.row, place.column.as_bytes()];
    let mut aad = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum::<usize>() + 1);
    for part in parts {
        aad.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        aad.extend_from_slice(part);
    }
    aad.push(VERSION);
    aad
}
