//! A secret that signs, such as the audit log's, in a file. It seals nothing, so
//! whoever has it can forge what it signs and read no word.

use std::path::Path;

use l9_core::Result;
use zeroize::Zeroizing;

use super::key_file::{self, KeyFile};
use super::keyring::KEY_BYTES;

/// The secret in a file; `None` if there is no file.
///
/// # Errors
/// `Denied` for a key that others may read, `Corrupt` for a file that is no key.
pub fn open(path: &Path) -> Result<Option<Zeroizing<[u8; KEY_BYTES]>>> {
    key_file::read(file(path))
}

/// Reads the secret; the first use makes one, from the given bytes if there are any.
///
/// # Errors
/// As [`open`], and `Unavailable` when the file cannot be made.
pub fn open_or_create(path: &Path, given: Option<[u8; KEY_BYTES]>) -> Result<Zeroizing<[u8; KEY_BYTES]>> {
    match open(path)? {
        Some(key) => Ok(key),
        None => key_file::create(file(path), given.map(Zeroizing::new)),
    }
}

fn file(path: &Path) -> KeyFile<'_> {
    KeyFile { path, name: "signing key" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_use_makes_a_key_and_what_is_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.key");
        assert_eq!(open(&path).unwrap(), None);
        let first = open_or_create(&path, Some([7; 32])).unwrap();
        assert_eq!(*first, [7; 32]);
        assert_eq!(open_or_create(&path, Some([8; 32])).unwrap(), first);
        assert_eq!(open(&path).unwrap(), Some(first.clone()));
        assert_ne!(open_or_create(&folder.path().join("other.key"), None).unwrap(), first);
    }
}
