//! One mount in the hands of one host call, and what may be looked at in it.
//!
//! What is done here may block, so it runs where blocking is allowed. Messages name paths
//! as the guest wrote them, never where the mount is on the machine.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;

use l9_core::id::TenantId;
use l9_core::tool::FsGrant;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, mkdirat, open, statat};
use rustix::io::Errno;

use super::beneath::open_beneath;
use super::mounts::Mount;
use super::path::{Inner, shown};
use super::room::names;
use crate::error::Grouped;
use crate::wasm::host::bindings::l9::tool::files::{Entry, Error, Kind};

/// Entries of a folder that are listed.
const LISTED: usize = 10_000;
/// Bytes that are read at once.
const READ_BYTES: u64 = 1 << 20;

/// A mount that a manifest grants, opened.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) root: OwnedFd,
    pub(super) grant: FsGrant,
}

/// What was read, or how much it would have been if that is more than may be passed.
pub(super) enum ReadBytes {
    Read(Vec<u8>),
    TooMany,
}

impl Folder {
    /// Opens a mount for a tenant.
    pub(super) fn open(mount: &Mount, tenant: &TenantId, grant: &FsGrant) -> Result<Self, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let away = |error: Errno| Error::Failed(format!("the mount {} cannot be opened: {error}", grant.mount));
        let root = open(&mount.path, flags | OFlags::CLOEXEC, Mode::empty()).map_err(away)?;
        let root = if mount.shared {
            root
        } else {
            match mkdirat(&root, tenant.as_str(), Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(away(error)),
            }
            open_beneath(&root, tenant.as_str(), flags, Mode::empty()).map_err(away)?
        };
        Ok(Self { root, grant: grant.clone() })
    }

    pub(super) fn stat(&self, path: &str) -> Result<Entry, Error> {
        let path = Inner::parse(path)?;
        let stat = self.look(&path)?;
        Ok(entry(path.name.to_owned(), &stat))
    }

    pub(super) fn list(&self, path: &str) -> Result<Vec<Entry>, Error> {
        if !path.is_empty() {
            Inner::parse(path)?;
        }
        let folder = open_beneath(&self.root, path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty());
        let folder = folder.map_err(|error| refused(path, error))?;
        let mut names: Vec<String> = names(&folder).map_err(|error| refused(path, error))?.take(LISTED + 1).collect();
        if names.len() > LISTED {
            let message =
                format!("{} holds more than {} entries: too many to list", shown(path), Grouped(LISTED as u64));
            return Err(Error::Failed(message));
        }
        names.sort_unstable();
        let entries = names.into_iter().filter_map(|name| {
            let stat = statat(&folder, name.as_str(), AtFlags::SYMLINK_NOFOLLOW).ok()?;
            Some(entry(name, &stat))
        });
        Ok(entries.collect())
    }

    /// Reads, if it is at most so many bytes.
    pub(super) fn read(&self, path: &str, offset: u64, len: u32, most: u64) -> Result<ReadBytes, Error> {
        let inner = Inner::parse(path)?;
        // A pipe that nobody writes to must not hold the opening up.
        let file =
            open_beneath(&self.root, inner.text, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY, Mode::empty());
        let file = file.map_err(|error| refused(path, error))?;
        let size = regular(path, &file)?.st_size.unsigned_abs();
        let wanted = u64::from(len).min(READ_BYTES).min(size.saturating_sub(offset));
        if wanted > most {
            return Ok(ReadBytes::TooMany);
        }
        let mut bytes = vec![0; usize::try_from(wanted).unwrap_or(usize::MAX)];
        let read = read_at(&File::from(file), &mut bytes, offset);
        bytes.truncate(read.map_err(|error| Error::Failed(format!("{} cannot be read: {error}", shown(path))))?);
        Ok(ReadBytes::Read(bytes))
    }

    /// What stands under a path, without following it.
    pub(super) fn look(&self, path: &Inner<'_>) -> Result<Stat, Error> {
        let stat = statat(self.parent(path)?, path.name, AtFlags::SYMLINK_NOFOLLOW);
        stat.map_err(|error| refused(path.text, error))
    }

    /// The folder that a path stands in.
    pub(super) fn parent(&self, path: &Inner<'_>) -> Result<OwnedFd, Error> {
        let parent = open_beneath(&self.root, path.folder, OFlags::PATH | OFlags::DIRECTORY, Mode::empty());
        parent.map_err(|error| refused(path.text, error))
    }
}

/// Reads until there is no more or no room.
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < bytes.len() {
        match file.read_at(&mut bytes[read..], offset + read as u64) {
            Ok(0) => break,
            Ok(some) => read += some,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

/// Refuses an open file that is none.
pub(super) fn regular(path: &str, file: &OwnedFd) -> Result<Stat, Error> {
    let stat = fstat(file).map_err(|error| refused(path, error))?;
    fitting(path, &stat)?;
    Ok(stat)
}

/// Refuses what is no regular file.
pub(super) fn fitting(path: &str, stat: &Stat) -> Result<(), Error> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(()),
        FileType::Directory => Err(refused(path, Errno::ISDIR)),
        _ => Err(Error::Denied(format!("{} is neither a file nor a folder: it is never opened", shown(path)))),
    }
}

fn entry(name: String, stat: &Stat) -> Entry {
    let (kind, size) = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => (Kind::File, stat.st_size.unsigned_abs()),
        FileType::Directory => (Kind::Folder, 0),
        _ => (Kind::Other, 0),
    };
    Entry { name, kind, size }
}

/// What the system said, in the guest's terms.
pub(super) fn refused(path: &str, error: Errno) -> Error {
    let path = shown(path);
    match error {
        Errno::NOENT => Error::NotFound(format!("there is no {path}")),
        Errno::EXIST => Error::Exists(format!("{path} is there already")),
        Errno::LOOP => Error::Denied(format!("{path} is or passes a link: none is followed")),
        Errno::XDEV => Error::Denied(format!("{path} leaves the mount")),
        Errno::ACCESS | Errno::PERM | Errno::ROFS => {
            Error::Denied(format!("{path}: the system does not permit it ({error})"))
        }
        Errno::ISDIR => Error::NotFitting(format!("{path} is a folder")),
        Errno::NOTDIR => Error::NotFitting(format!("{path} is or passes a file where a folder is wanted")),
        Errno::NOTEMPTY => Error::NotFitting(format!("{path} is a folder that is not empty")),
        Errno::NOSPC | Errno::DQUOT | Errno::FBIG => {
            Error::NoSpace(format!("{path}: the disk has no room for it ({error})"))
        }
        Errno::NAMETOOLONG => Error::InvalidPath(format!("{path} is too long for the file system")),
        Errno::NXIO => Error::Denied(format!("{path} is neither a file nor a folder: it is never opened")),
        _ => Error::Failed(format!("{path}: {error}")),
    }
}
