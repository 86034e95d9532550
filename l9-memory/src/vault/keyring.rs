//! The vault over one root key in a file. Every tenant has keys of its own, derived
//! from the root and never stored.
//!
//! ```text
//! key id        = HMAC-SHA-256(root, "l9.key-id.1")[..4]
//! tenant key    = HKDF-Expand(root, "l9.vault.1" ‖ 0 ‖ purpose ‖ 0 ‖ tenant, 32)
//! ```
//!
//! (RFC 5869 section 2.3; its extraction is for keys that are not uniform, and a root
//! key is.)
//!
//! Nothing here draws from a seeded entropy: keys and nonces are the system's own.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use l9_core::digest::{Digest, HmacKey, hmac};
use l9_core::entropy::{Entropy as _, SystemEntropy};
use l9_core::id::TenantId;
use l9_core::vault::{Place, Vault};
use l9_core::{Error, Result};
use zeroize::Zeroizing;

use super::key_file::{self, KeyFile};
use super::sealed;

/// Bytes of every key.
pub(super) const KEY_BYTES: usize = 32;
/// A key in memory, wiped when it is dropped.
pub(super) type Key = Zeroizing<[u8; KEY_BYTES]>;

/// Seals, opens and tokenises under keys that are derived from one root key.
pub struct Keyring {
    path: PathBuf,
    root: Key,
    id: [u8; 4],
    tenants: RwLock<HashMap<TenantId, Arc<TenantKeys>>>,
}

struct TenantKeys {
    seal: HmacKey,
    token: HmacKey,
}

impl Keyring {
    /// Reads the root key; the first use makes one.
    ///
    /// # Errors
    /// `Denied` for a key that others may read, `Corrupt` for a file that is no key,
    /// `Unavailable` when the file can be neither read nor made.
    pub fn open_or_create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let root = match key_file::read(file(path))? {
            Some(root) => root,
            None => key_file::create(file(path), None)?,
        };
        Ok(Self::new(path, root))
    }

    /// Reads the root key of a database that was sealed with it.
    ///
    /// # Errors
    /// As [`Keyring::open_or_create`], and `NotFound` when the file is missing: a new
    /// key could not open what the lost one sealed.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let root = key_file::read(file(path))?.ok_or_else(|| {
            Error::not_found(format!(
                "the root key file {} is missing and the database is sealed with it: restore the file from its backup",
                path.display()
            ))
        })?;
        Ok(Self::new(path, root))
    }

    /// A new root key that is in no file: what it seals is gone with it.
    #[must_use]
    pub fn ephemeral() -> Self {
        let mut root = Zeroizing::new([0; KEY_BYTES]);
        SystemEntropy.fill("root-key", &mut *root);
        Self::new(Path::new("no file"), root)
    }

    /// Which root key this is: 8 hex digits that reveal nothing of it.
    #[must_use]
    pub fn key_id(&self) -> String {
        hex::encode(self.id)
    }

    fn new(path: &Path, root: Key) -> Self {
        let mut id = [0; 4];
        id.copy_from_slice(&hmac(&*root, &[b"l9.key-id.1"]).as_bytes()[..4]);
        Self { path: path.to_owned(), root, id, tenants: RwLock::default() }
    }

    fn keys(&self, tenant: &TenantId) -> Arc<TenantKeys> {
        let known = self.tenants.read().unwrap_or_else(PoisonError::into_inner).get(tenant).cloned();
        if let Some(keys) = known {
            return keys;
        }
        let keys = Arc::new(TenantKeys { seal: self.derive("seal", tenant), token: self.derive("token", tenant) });
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(tenants.entry(tenant.clone()).or_insert(keys))
    }

    fn derive(&self, purpose: &str, tenant: &TenantId) -> HmacKey {
        let info: [&[u8]; 6] = [b"l9.vault.1", b"\0", purpose.as_bytes(), b"\0", tenant.as_str().as_bytes(), b"\x01"];
        HmacKey::new(&*Zeroizing::new(*hmac(&*self.root, &info).as_bytes()))
    }
}

impl Vault for Keyring {
    fn seal(&self, tenant: &TenantId, place: &Place<'_>, plain: &[u8]) -> Result<Vec<u8>> {
        sealed::seal(self.id, &self.keys(tenant).seal, tenant, place, plain)
    }

    fn open(&self, tenant: &TenantId, place: &Place<'_>, bytes: &[u8]) -> Result<Vec<u8>> {
        if let Some(other) = sealed::key_id(bytes).filter(|other| *other != self.id) {
            return Err(Error::corrupt(format!(
                "a {} {} was sealed under root key {}, but {} holds root key {}: restore the root key file from its backup",
                place.table,
                place.column,
                hex::encode(other),
                self.path.display(),
                self.key_id()
            )));
        }
        sealed::open(&self.keys(tenant).seal, tenant, place, bytes)
    }

    fn token(&self, tenant: &TenantId, purpose: &str, data: &[u8]) -> Digest {
        let length = u64::try_from(purpose.len()).unwrap_or(u64::MAX).to_be_bytes();
        self.keys(tenant).token.sign(&[b"l9.token.1", &length, purpose.as_bytes(), data])
    }
}

fn file(path: &Path) -> KeyFile<'_> {
    KeyFile { path, name: "root key" }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("path", &self.path).field("key_id", &self.key_id()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use l9_core::ErrorKind;

    const PLACE: Place<'static> = Place { table: "journal", row: b"row", column: "body" };

    fn keyring() -> (tempfile::TempDir, Keyring) {
        let folder = tempfile::tempdir().unwrap();
        let keyring = Keyring::open_or_create(folder.path().join("keys/root.key")).unwrap();
        (folder, keyring)
    }

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_after_a_restart_and_never_looks_the_same() {
        let (folder, keyring) = keyring();
        let one = keyring.seal(&tenant("a"), &PLACE, b"words").unwrap();
        let two = keyring.seal(&tenant("a"), &PLACE, b"words").unwrap();
        assert_ne!(one, two);
        let again = Keyring::open(folder.path().join("keys/root.key")).unwrap();
        assert_eq!(again.key_id(), keyring.key_id());
        assert_eq!(again.open(&tenant("a"), &PLACE, &one).unwrap(), b"words");
        assert_eq!(again.token(&tenant("a"), "p", b"x"), keyring.token(&tenant("a"), "p", b"x"));
    }

    #[test]
    fn moved_ciphertext_does_not_open() {
        let (_folder, keyring) = keyring();
        let bytes = keyring.seal(&tenant("a"), &PLACE, b"words").unwrap();
        for (who, place) in [
            ("b", PLACE),
            ("a", Place { table: "memory", ..PLACE }),
            ("a", Place { row: b"other", ..PLACE }),
            ("a", Place { column: "text", ..PLACE }),
        ] {
            let error = keyring.open(&tenant(who), &place, &bytes).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{who} {place:?}");
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let (_folder, keyring) = keyring();
        let bytes = keyring.seal(&tenant("a"), &PLACE, b"words").unwrap();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                assert!(keyring.open(&tenant("a"), &PLACE, &changed).is_err(), "byte {at} bit {bit}");
            }
            assert!(keyring.open(&tenant("a"), &PLACE, &bytes[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn another_root_key_is_named_with_the_mend() {
        let ((_one, first), (_two, second)) = (keyring(), keyring());
        let bytes = first.seal(&tenant("a"), &PLACE, b"words").unwrap();
        let error = second.open(&tenant("a"), &PLACE, &bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        for part in [first.key_id().as_str(), second.key_id().as_str(), "restore the root key file from its backup"] {
            assert!(error.to_string().contains(part), "{error}");
        }
    }

    #[test]
    fn tokens_are_apart_by_tenant_purpose_and_data() {
        let (_folder, keyring) = keyring();
        let token = |who: &str, purpose: &str, data: &[u8]| keyring.token(&tenant(who), purpose, data);
        let all = [
            token("a", "p", b"x"),
            token("b", "p", b"x"),
            token("a", "q", b"x"),
            token("a", "p", b"y"),
            token("a", "px", b""),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(all[at + 1..].iter().all(|other| other != one));
        }
    }

    #[test]
    fn debug_shows_no_key() {
        let (_folder, keyring) = keyring();
        let shown = format!("{keyring:?}");
        assert!(!shown.contains(&hex::encode(*keyring.root)), "{shown}");
    }
}
