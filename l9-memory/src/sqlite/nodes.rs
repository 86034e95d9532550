//! Which owners of leases live. Each process holds a lock on a file of its own beside
//! the database; the operating system lets go of it when the process dies, however it
//! dies. So an owner whose lock can be had is dead.
//!
//! The folder is `<database>.nodes`. It is worth nothing on another machine.

use std::collections::HashMap;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use l9_core::{Error, ErrorKind, Result};

/// The locks of one process on one database.
#[derive(Debug)]
pub(super) struct Nodes {
    folder: PathBuf,
    held: Mutex<HashMap<String, File>>,
    /// Held while an owner is looked at: a second look at the same time would find the lock
    /// held by the first, and take a dead owner for a living one.
    looking: Mutex<()>,
}

impl Nodes {
    pub(super) fn new(database: &Path) -> Self {
        let mut folder = database.as_os_str().to_owned();
        folder.push(".nodes");
        Self { folder: folder.into(), held: Mutex::default(), looking: Mutex::default() }
    }

    /// Whether this process holds the owner's lock.
    pub(super) fn holds(&self, owner: &str) -> bool {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).contains_key(owner)
    }

    /// Takes the owner's lock until this process ends; tells whether it was not held
    /// before. Whoever only looks whether the owner lives holds it for a moment too, so
    /// that one refusal does not mean much.
    pub(super) fn hold(&self, owner: &str) -> Result<bool> {
        if self.holds(owner) {
            return Ok(false);
        }
        let path = self.path(owner);
        fs::create_dir_all(&self.folder).map_err(|error| unusable(&self.folder, error))?;
        if let Some(file) = lock(&path).map_err(|error| unusable(&path, error))? {
            self.held.lock().unwrap_or_else(PoisonError::into_inner).insert(owner.to_owned(), file);
            return Ok(true);
        }
        if self.holds(owner) {
            return Ok(false);
        }
        Err(Error::new(
            ErrorKind::Conflict,
            format!("another process runs as node {owner:?} on this database: give this one another node name"),
        ))
    }

    /// Whether the owner is known to be dead; its lock file is removed then.
    pub(super) fn is_dead(&self, owner: &str) -> bool {
        if self.holds(owner) {
            return false;
        }
        let path = self.path(owner);
        let _look = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        let file = match File::options().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(error) => return error.kind() == std::io::ErrorKind::NotFound,
        };
        if file.try_lock().is_err() {
            return false;
        }
        // Removed while it is locked: whoever opens it meanwhile finds out in `lock`.
        if is_same(&file, &path) {
            let _ = fs::remove_file(&path);
        }
        true
    }

    /// The owner's file; its name is the owner's where that is safe.
    fn path(&self, owner: &str) -> PathBuf {
        let safe = !owner.is_empty()
            && owner.len() <= 100
            && !owner.starts_with('.')
            && owner.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
        let name = if safe { owner.to_owned() } else { format!("%{}", l9_core::digest::sha256(&[owner.as_bytes()])) };
        self.folder.join(format!("{name}.lock"))
    }
}

/// Locks the file at a path; `None` if somebody else does, or it was removed meanwhile.
fn lock(path: &Path) -> std::io::Result<Option<File>> {
    let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(is_same(&file, path).then_some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether the path still leads to the open file.
#[cfg(unix)]
fn is_same(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let key = |data: fs::Metadata| (data.dev(), data.ino());
    matches!((file.metadata().map(key), fs::metadata(path).map(key)), (Ok(one), Ok(other)) if one == other)
}

/// Elsewhere an open file cannot be removed, so the path still leads to it.
#[cfg(not(unix))]
fn is_same(_file: &File, path: &Path) -> bool {
    path.exists()
}

fn unusable(path: &Path, error: std::io::Error) -> Error {
    Error::unavailable(format!("the node lock {} cannot be had", path.display())).caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_lives_as_long_as_its_lock_is_held() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("l9.db");
        let (mine, other) = (Nodes::new(&database), Nodes::new(&database));
        assert!(other.is_dead("one"), "nobody ever was");
        assert!(mine.hold("one").unwrap());
        assert!(!mine.hold("one").unwrap());
        assert!(!mine.is_dead("one") && !other.is_dead("one"));
        assert_eq!(other.hold("one").unwrap_err().kind(), ErrorKind::Conflict);
        drop(mine);
        assert!(other.is_dead("one"));
        assert_eq!(fs::read_dir(folder.path().join("l9.db.nodes")).unwrap().count(), 0, "its file is cleaned up");
        assert!(other.hold("one").unwrap());
    }

    #[test]
    fn many_looks_at_once_all_find_a_dead_owner_dead() {
        let folder = tempfile::tempdir().unwrap();
        let nodes = Nodes::new(&folder.path().join("l9.db"));
        for round in 0..200 {
            let owner = format!("node-{round}");
            fs::create_dir_all(&nodes.folder).unwrap();
            File::create(nodes.path(&owner)).unwrap();
            std::thread::scope(|scope| {
                let looks: Vec<_> = (0..4).map(|_| scope.spawn(|| nodes.is_dead(&owner))).collect();
                assert!(looks.into_iter().all(|look| look.join().unwrap()));
            });
        }
    }

    #[test]
    fn strange_owners_stay_in_the_folder() {
        let nodes = Nodes::new(Path::new("/data/l9.db"));
        for owner in ["", "..", "../../etc/passwd", "a/b", "\0", "x\u{1f600}", &"y".repeat(500)] {
            let path = nodes.path(owner);
            assert_eq!(path.parent().unwrap(), Path::new("/data/l9.db.nodes"), "{owner:?}");
            assert!(path.file_name().unwrap().len() < 120);
        }
        assert_ne!(nodes.path("a/b"), nodes.path("a_b"));
    }
}
