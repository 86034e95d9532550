//! The forms of sealed bytes: version 1 under a tenant's key, version 2 under the keys of data
//! subjects.
//!
//! ```text
//! 1 ‖ key id (4) ‖ nonce (24 random) ‖ AES-256-GCM ciphertext ‖ tag (16)
//! 2 ‖ count (2) ‖ key id (16) of each, rising ‖ nonce ‖ ciphertext ‖ tag
//! key   = HMAC-SHA-256(seal key, "l9.seal." ‖ the version's digit ‖ nonce[..12])
//! nonce of the cipher = nonce[12..]
//! aad   = (length ‖ bytes) of tenant, table, row, column, then the version byte
//! ```
//!
//! The seal key is the tenant's, or the subjects' keys one after another: if one of them is
//! gone, nothing opens.
//!
//! A key per message, so that random nonces never run out (NIST SP 800-38D section
//! 8.3 bounds one key to 2^32 of them).

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use l9_core::digest::HmacKey;
use l9_core::id::TenantId;
use l9_core::vault::Place;
use l9_core::{Error, ErrorKind, Result};
use uuid::Uuid;
use zeroize::Zeroizing;

/// Under a tenant's key.
pub(super) const VERSION: u8 = 1;
/// Under the keys of data subjects.
const OF_SUBJECTS: u8 = 2;
const ID_END: usize = 1 + 4;
const SUBJECT_BYTES: usize = 16;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;

/// The root key that sealed the bytes, if they are of this form.
pub(super) fn key_id(bytes: &[u8]) -> Option<[u8; 4]> {
    if *bytes.first()? != VERSION {
        return None;
    }
    bytes.get(1..ID_END)?.try_into().ok()
}

/// The keys of data subjects that the bytes are sealed under; none if a tenant's key seals them.
pub(crate) fn subject_keys(bytes: &[u8]) -> Vec<Uuid> {
    match bytes {
        [OF_SUBJECTS, high, low, rest @ ..] => {
            let count = u16::from_be_bytes([*high, *low]);
            rest.chunks_exact(SUBJECT_BYTES).take(count.into()).filter_map(|id| Uuid::from_slice(id).ok()).collect()
        }
        _ => Vec::new(),
    }
}

/// Seals under a tenant's key.
pub(super) fn seal(id: [u8; 4], key: &HmacKey, tenant: &TenantId, place: &Place<'_>, plain: &[u8]) -> Result<Vec<u8>> {
    let mut head = [VERSION; ID_END];
    head[1..].copy_from_slice(&id);
    seal_after(&head, key, tenant, place, plain)
}

/// Seals under the keys of data subjects, of these ids in their order.
pub(super) fn seal_of_subjects(
    ids: &[Uuid],
    key: &HmacKey,
    tenant: &TenantId,
    place: &Place<'_>,
    plain: &[u8],
) -> Result<Vec<u8>> {
    let count = u16::try_from(ids.len()).map_err(|_| {
        Error::invalid(format!("it is about {} data subjects, the limit is {}: split it", ids.len(), u16::MAX))
    })?;
    let [high, low] = count.to_be_bytes();
    let mut head = vec![OF_SUBJECTS, high, low];
    ids.iter().for_each(|id| head.extend_from_slice(id.as_bytes()));
    seal_after(&head, key, tenant, place, plain)
}

fn seal_after(head: &[u8], key: &HmacKey, tenant: &TenantId, place: &Place<'_>, plain: &[u8]) -> Result<Vec<u8>> {
    let (version, nonce_at) = (head[0], head.len());
    let plain_at = nonce_at + NONCE_BYTES;
    let mut out = Vec::with_capacity(plain_at + plain.len() + TAG_BYTES);
    out.extend_from_slice(head);
    out.resize(plain_at, 0);
    rand::fill(&mut out[nonce_at..]);
    let (cipher, nonce) = cipher(key, version, &out[nonce_at..plain_at])?;
    out.extend_from_slice(plain);
    let aad = Aad::from(aad(tenant, place, version));
    let tag = cipher.seal_in_place_separate_tag(nonce, aad, &mut out[plain_at..]).map_err(|_| {
        Error::internal(format!("a {} {} of {} bytes could not be sealed", place.table, place.column, plain.len()))
    })?;
    out.extend_from_slice(tag.as_ref());
    Ok(out)
}

/// Opens what was sealed in either form.
pub(super) fn open(key: &HmacKey, tenant: &TenantId, place: &Place<'_>, bytes: &[u8]) -> Result<Vec<u8>> {
    let nonce_at = match bytes {
        [VERSION, ..] => ID_END,
        [OF_SUBJECTS, high, low, ..] => 3 + SUBJECT_BYTES * usize::from(u16::from_be_bytes([*high, *low])),
        _ => 0,
    };
    let plain_at = nonce_at + NONCE_BYTES;
    let version = match bytes.first() {
        Some(&version @ (VERSION | OF_SUBJECTS)) if bytes.len() >= plain_at + TAG_BYTES => version,
        Some(&version) if version > OF_SUBJECTS => {
            return Err(Error::new(
                ErrorKind::Newer,
                format!(
                    "a {} {} has the sealed form {version}, which this L9 does not know: upgrade it",
                    place.table, place.column
                ),
            ));
        }
        _ => return Err(Error::corrupt(format!("a {} {} is not sealed bytes", place.table, place.column))),
    };
    let (cipher, nonce) = cipher(key, version, &bytes[nonce_at..plain_at])?;
    let mut plain = bytes[plain_at..].to_vec();
    let length = cipher
        .open_in_place(nonce, Aad::from(aad(tenant, place, version)), &mut plain)
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

fn cipher(key: &HmacKey, version: u8, nonce: &[u8]) -> Result<(LessSafeKey, Nonce)> {
    let failed = || Error::internal("a sealing key could not be made");
    let (salt, nonce) = nonce.split_at(12);
    let message_key = Zeroizing::new(*key.sign(&[b"l9.seal.", &[b'0' + version], salt]).as_bytes());
    let unbound = UnboundKey::new(&AES_256_GCM, &*message_key).map_err(|_| failed())?;
    Ok((LessSafeKey::new(unbound), Nonce::try_assume_unique_for_key(nonce).map_err(|_| failed())?))
}

fn aad(tenant: &TenantId, place: &Place<'_>, version: u8) -> Vec<u8> {
    let parts = [tenant.as_str().as_bytes(), place.table.as_bytes(), place.row, place.column.as_bytes()];
    let mut aad = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum::<usize>() + 1);
    for part in parts {
        aad.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        aad.extend_from_slice(part);
    }
    aad.push(version);
    aad
}
