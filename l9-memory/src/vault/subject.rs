//! Keys of data subjects: what is about somebody is sealed under a key of its own, so that it is
//! gone, wherever its bytes went, once the key is.
//!
//! A key is random, lies in the database sealed under the tenant's key, and is known by an id
//! that says nothing.

use std::collections::BTreeMap;

use l9_core::digest::HmacKey;
use l9_core::id::TenantId;
use l9_core::vault::{Place, Vault};
use l9_core::{Error, Result};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::keyring::KEY_BYTES;
use super::sealed;

/// Keys by their ids, opened.
#[derive(Default)]
pub(crate) struct SubjectKeys(BTreeMap<Uuid, Zeroizing<[u8; KEY_BYTES]>>);

impl SubjectKeys {
    /// A new key: its id, and the key as it is to be kept.
    pub(crate) fn make(vault: &dyn Vault, tenant: &TenantId) -> Result<(Uuid, Vec<u8>)> {
        let (mut id, mut key) = ([0; 16], Zeroizing::new([0; KEY_BYTES]));
        rand::fill(&mut id);
        rand::fill(&mut *key);
        let id = uuid::Builder::from_random_bytes(id).into_uuid();
        Ok((id, vault.seal(tenant, &place(&id), &*key)?))
    }

    /// Takes in a key as it is kept.
    pub(crate) fn add(&mut self, vault: &dyn Vault, tenant: &TenantId, id: Uuid, kept: &[u8]) -> Result<()> {
        let plain = Zeroizing::new(vault.open(tenant, &place(&id), kept)?);
        let key = plain.as_slice().try_into().map(Zeroizing::new);
        let key =
            key.map_err(|_| Error::corrupt(format!("the key {id} of a data subject has {} bytes", plain.len())))?;
        self.0.insert(id, key);
        Ok(())
    }

    /// Whether it has all of these.
    pub(crate) fn has(&self, ids: &[Uuid]) -> bool {
        ids.iter().all(|id| self.0.contains_key(id))
    }

    /// Seals under the keys of these ids; under the tenant's if there are none.
    pub(crate) fn seal(
        &self,
        vault: &dyn Vault,
        tenant: &TenantId,
        ids: &[Uuid],
        place: &Place<'_>,
        plain: &[u8],
    ) -> Result<Vec<u8>> {
        if ids.is_empty() {
            return vault.seal(tenant, place, plain);
        }
        let (ids, key) = self.joined(ids).ok_or_else(|| Error::internal("a key of a data subject was not brought"))?;
        sealed::seal_of_subjects(&ids, &key, tenant, place, plain)
    }

    /// Opens what was sealed under the tenant's key or keys of subjects; `None` if one of those
    /// is gone.
    pub(crate) fn open(
        &self,
        vault: &dyn Vault,
        tenant: &TenantId,
        place: &Place<'_>,
        bytes: &[u8],
    ) -> Result<Option<Vec<u8>>> {
        let ids = sealed::subject_keys(bytes);
        if ids.is_empty() {
            return vault.open(tenant, place, bytes).map(Some);
        }
        self.joined(&ids).map(|(_, key)| sealed::open(&key, tenant, place, bytes)).transpose()
    }

    /// The ids in their order, and one key of all of theirs.
    fn joined(&self, ids: &[Uuid]) -> Option<(Vec<Uuid>, HmacKey)> {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        let mut key = Zeroizing::new(Vec::with_capacity(ids.len() * KEY_BYTES));
        for id in &ids {
            key.extend_from_slice(&**self.0.get(id)?);
        }
        let key = HmacKey::new(&key);
        Some((ids, key))
    }
}

fn place(id: &Uuid) -> Place<'_> {
    Place { table: "subject_key", row: id.as_bytes(), column: "key" }
}

#[cfg(test)]
mod tests {
    use l9_core::ErrorKind;

    use super::super::Keyring;
    use super::*;

    const PLACE: Place<'static> = Place { table: "memory", row: b"row", column: "entry" };

    /// Two keys of a tenant, and both as they are kept.
    fn two(vault: &Keyring, tenant: &TenantId) -> (SubjectKeys, [(Uuid, Vec<u8>); 2]) {
        let made = [(); 2].map(|()| SubjectKeys::make(vault, tenant).unwrap());
        let mut keys = SubjectKeys::default();
        made.iter().for_each(|(id, kept)| keys.add(vault, tenant, *id, kept).unwrap());
        (keys, made)
    }

    #[test]
    fn what_is_sealed_under_two_subjects_opens_only_with_both() {
        let (vault, tenant) = (Keyring::ephemeral(), TenantId::default_tenant());
        let (keys, made) = two(&vault, &tenant);
        let ids = [made[1].0, made[0].0];
        let bytes = keys.seal(&vault, &tenant, &ids, &PLACE, b"words").unwrap();
        assert_eq!(sealed::subject_keys(&bytes).len(), 2);
        assert_eq!(keys.open(&vault, &tenant, &PLACE, &bytes).unwrap().as_deref(), Some(&b"words"[..]));
        for (id, kept) in &made {
            let mut one = SubjectKeys::default();
            one.add(&vault, &tenant, *id, kept).unwrap();
            assert_eq!(one.open(&vault, &tenant, &PLACE, &bytes).unwrap(), None);
        }
        assert_eq!(SubjectKeys::default().open(&vault, &tenant, &PLACE, &bytes).unwrap(), None);
        assert!(vault.open(&tenant, &PLACE, &bytes).is_err(), "the tenant's key does not open it");
    }

    #[test]
    fn what_is_moved_or_changed_does_not_open() {
        let (vault, tenant) = (Keyring::ephemeral(), TenantId::default_tenant());
        let (keys, made) = two(&vault, &tenant);
        let bytes = keys.seal(&vault, &tenant, &[made[0].0], &PLACE, b"words").unwrap();
        let elsewhere = Place { row: b"other", ..PLACE };
        assert_eq!(keys.open(&vault, &tenant, &elsewhere, &bytes).unwrap_err().kind(), ErrorKind::Corrupt);
        let other = TenantId::new("other").unwrap();
        assert!(SubjectKeys::default().add(&vault, &other, made[0].0, &made[0].1).is_err());
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let opened = keys.open(&vault, &tenant, &PLACE, &changed);
            assert!(!matches!(opened, Ok(Some(_))), "byte {at}");
            assert!(!matches!(keys.open(&vault, &tenant, &PLACE, &bytes[..at]), Ok(Some(_))), "cut at {at}");
        }
    }

    #[test]
    fn what_is_about_nobody_is_sealed_under_the_tenants_key() {
        let (vault, tenant) = (Keyring::ephemeral(), TenantId::default_tenant());
        let keys = SubjectKeys::default();
        let bytes = keys.seal(&vault, &tenant, &[], &PLACE, b"words").unwrap();
        assert_eq!(vault.open(&tenant, &PLACE, &bytes).unwrap(), b"words");
        assert_eq!(keys.open(&vault, &tenant, &PLACE, &bytes).unwrap().as_deref(), Some(&b"words"[..]));
    }
}
