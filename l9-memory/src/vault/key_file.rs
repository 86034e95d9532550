//! A key's file, for its owner only: 64 hex digits and a newline, or the lines of a root
//! key file.
//!
//! The first of its kind is never overwritten, and a half-written one never seen: it is
//! written beside its place, flushed, and linked in, which fails if another process
//! was first; then the other's counts. One that replaces another is renamed into its place.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind as IoKind, Read, Write};
use std::path::{Path, PathBuf};

use l9_core::{Error, ErrorKind, Result};
use zeroize::Zeroizing;

use super::keyring::{KEY_BYTES, Key};

/// No file of keys is larger: explicit token keys of some 50,000 tenants.
const MOST_BYTES: u64 = 8 << 20;

/// A key's file and what the key is called in messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeyFile<'a> {
    pub(super) path: &'a Path,
    pub(super) name: &'static str,
}

/// The text of a file that only its owner may read; `None` if there is no file.
pub(super) fn text(at: KeyFile<'_>) -> Result<Option<Zeroizing<String>>> {
    let file = match File::open(at.path) {
        Ok(file) => file,
        Err(error) if error.kind() == IoKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(at, "cannot be read", error)),
    };
    refuse_shared(at, &file)?;
    let length = file.metadata().map_or(0, |metadata| metadata.len()).min(MOST_BYTES);
    // With room for all of it, so that no copy is left behind by growing.
    let mut text = Zeroizing::new(String::with_capacity(usize::try_from(length).unwrap_or(0) + 2));
    file.take(MOST_BYTES).read_to_string(&mut text).map_err(|error| unusable(at, "cannot be read", error))?;
    Ok(Some(text))
}

/// The key in a file; `None` if there is no file.
pub(super) fn read(at: KeyFile<'_>) -> Result<Option<Key>> {
    let Some(text) = text(at)? else { return Ok(None) };
    let key = key_of(text.trim_end()).ok_or_else(|| {
        Error::corrupt(format!(
            "the {} file {} does not hold {} hex digits: restore it from its backup",
            at.name,
            at.path.display(),
            2 * KEY_BYTES
        ))
    })?;
    Ok(Some(key))
}

/// The key of 64 hex digits.
pub(super) fn key_of(digits: &str) -> Option<Key> {
    let mut key = Key::default();
    hex::decode_to_slice(digits, &mut *key).ok()?;
    Some(key)
}

/// A new key from the system's own source.
pub(super) fn random() -> Result<Key> {
    let mut key = Key::default();
    aws_lc_rs::rand::fill(&mut *key).map_err(|_| no_randomness())?;
    Ok(key)
}

/// Makes a key, random if none is given, or takes the one that another process made
/// meanwhile.
pub(super) fn create(at: KeyFile<'_>, given: Option<Key>) -> Result<Key> {
    let key = given.map_or_else(random, Ok)?;
    let mut text = Zeroizing::new(hex::encode(*key));
    text.push('\n');
    if create_text(at, &text)? {
        return Ok(key);
    }
    read(at)?.ok_or_else(|| unusable(at, "cannot be made", IoKind::NotFound.into()))
}

/// Makes a file of this text; tells whether it did, and no other process was first.
pub(super) fn create_text(at: KeyFile<'_>, text: &str) -> Result<bool> {
    let failed = |error| unusable(at, "cannot be made", error);
    make_folder(folder_of(at.path)).map_err(failed)?;
    let temporary = beside(at.path)?;
    let linked = write(&temporary, text).and_then(|()| fs::hard_link(&temporary, at.path));
    // What remains of the temporary file is a spare name of a key, or nothing.
    let removed = fs::remove_file(&temporary);
    match linked {
        Ok(()) => {
            removed.and_then(|()| sync_folder(folder_of(at.path))).map_err(failed)?;
            Ok(true)
        }
        Err(error) if error.kind() == IoKind::AlreadyExists => Ok(false),
        Err(error) => Err(failed(error)),
    }
}

/// Puts this text in the file's place; whoever reads sees the old or the new, whole.
pub(super) fn replace_text(at: KeyFile<'_>, text: &str) -> Result<()> {
    if text.len() as u64 > MOST_BYTES {
        return Err(Error::invalid(format!(
            "the {} file {} would have {} bytes, more than the {MOST_BYTES} that are read: it stays as it is",
            at.name,
            at.path.display(),
            text.len()
        )));
    }
    let temporary = beside(at.path)?;
    let placed = write(&temporary, text).and_then(|()| fs::rename(&temporary, at.path));
    placed.and_then(|()| sync_folder(folder_of(at.path))).map_err(|error| {
        // The old one stays in its place.
        let _ = fs::remove_file(&temporary);
        unusable(at, "cannot be replaced", error)
    })
}

fn beside(path: &Path) -> Result<PathBuf> {
    let mut suffix = [0; 8];
    aws_lc_rs::rand::fill(&mut suffix).map_err(|_| no_randomness())?;
    Ok(folder_of(path).join(format!(".key-{}.tmp", hex::encode(suffix))))
}

pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn no_randomness() -> Error {
    Error::unavailable("the operating system's random source failed")
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn make_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn refuse_shared(at: KeyFile<'_>, file: &File) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = file.metadata().map_err(|error| unusable(at, "cannot be read", error))?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Denied,
        format!(
            "the {} file {} can be read by others (mode {:03o}): run `chmod 600 {}`",
            at.name,
            at.path.display(),
            mode & 0o777,
            at.path.display()
        ),
    ))
}

#[cfg(not(unix))]
fn refuse_shared(_at: KeyFile<'_>, _file: &File) -> Result<()> {
    Ok(())
}

pub(super) fn unusable(at: KeyFile<'_>, what: &str, error: std::io::Error) -> Error {
    let kind = if error.kind() == IoKind::PermissionDenied { ErrorKind::Denied } else { ErrorKind::Unavailable };
    Error::new(kind, format!("the {} file {} {what}", at.name, at.path.display())).caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::Keyring;

    #[test]
    #[cfg(unix)]
    fn a_new_key_is_its_owners_alone_and_a_shared_one_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/root.key");
        Keyring::open_or_create(&path).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no temporary file stays");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = Keyring::open_or_create(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert!(error.to_string().contains("mode 640") && error.to_string().contains("chmod 600"), "{error}");
    }

    #[test]
    fn a_missing_key_is_never_replaced_when_the_database_needs_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.key");
        let error = Keyring::open(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("root.key") && error.to_string().contains("backup"), "{error}");
        assert!(!path.exists());
    }

    #[test]
    fn a_damaged_key_is_refused_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.key");
        Keyring::open_or_create(&path).unwrap();
        fs::write(&path, "not a key\n").unwrap();
        assert_eq!(Keyring::open_or_create(&path).unwrap_err().kind(), ErrorKind::Corrupt);
        assert_eq!(fs::read(&path).unwrap(), b"not a key\n");
    }

    #[test]
    fn processes_that_race_for_the_first_key_get_the_same_one() {
        for _ in 0..20 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("keys/root.key");
            let start = std::sync::Barrier::new(8);
            let ids: Vec<String> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..8)
                    .map(|_| {
                        scope.spawn(|| {
                            start.wait();
                            Keyring::open_or_create(&path).unwrap().key_id()
                        })
                    })
                    .collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        }
    }
}
