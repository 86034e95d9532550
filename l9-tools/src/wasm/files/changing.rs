//! A mount that is about to be changed: granted for writing, and locked against everybody
//! else who changes it, in this process or another.

use std::fs::File;
use std::io::Write as _;
use std::time::Duration;

use l9_core::tool::Mount as Use;
use rustix::fs::{
    AtFlags, FlockOperation, Mode, OFlags, RenameFlags, fchmod, flock, mkdirat, renameat, renameat_with, unlinkat,
};
use rustix::io::Errno;
use tokio_util::sync::CancellationToken;

use super::beneath::open_beneath;
use super::folder::{Folder, fitting, refused, regular};
use super::path::{Inner, PART, shown};
use super::room::fits;
use crate::wasm::host::bindings::l9::tool::files::Error;

/// How long until a lock that others hold is tried again.
const AGAIN: Duration = Duration::from_millis(2);

/// What a new file may: its owner everything, the group and others read, as far as the
/// process's umask has it.
const FILE_MODE: Mode = Mode::from_raw_mode(0o644);
const FOLDER_MODE: Mode = Mode::from_raw_mode(0o755);

/// The right to change a mount; the lock goes with the folder.
#[derive(Debug)]
pub(super) struct Changing(Folder);

impl Changing {
    /// Waits for the lock. Nothing is changed for a call that has ended meanwhile.
    #[expect(clippy::disallowed_methods, reason = "a lock of other processes is waited for in real time")]
    pub(super) fn begin(folder: Folder, ended: &CancellationToken) -> Result<Self, Error> {
        let mount = &folder.grant.mount;
        if folder.grant.mode != Use::ReadWrite {
            return Err(Error::Denied(format!("the mount {mount} is granted read_only: nothing is changed in it")));
        }
        // A thread that waits for others is given back as soon as its call has ended.
        loop {
            if ended.is_cancelled() {
                return Err(Error::Failed("the call has ended".into()));
            }
            match flock(&folder.root, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self(folder)),
                Err(Errno::WOULDBLOCK) => std::thread::sleep(AGAIN),
                Err(error) => return Err(Error::Failed(format!("the mount {mount} cannot be locked: {error}"))),
            }
        }
    }

    /// Writes beside the file first, so that nobody ever reads a half of it.
    pub(super) fn write(&self, path: &str, contents: &[u8]) -> Result<(), Error> {
        let inner = Inner::parse(path)?;
        let parent = self.0.parent(&inner)?;
        let failed = |error| refused(path, error);
        let before = match self.0.look(&inner) {
            Ok(stat) => fitting(path, &stat).map(|()| Some(stat))?,
            Err(Error::NotFound(_)) => None,
            Err(error) => return Err(error),
        };
        // One name for all: whoever holds the lock is alone, and what a crash left is replaced.
        match unlinkat(&parent, PART, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(failed(error)),
        }
        let freed = before.as_ref().map_or(0, |stat| stat.st_size.unsigned_abs());
        self.room(contents.len(), freed, u64::from(before.is_none()))?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let part = open_beneath(&parent, PART, flags, FILE_MODE).map_err(failed)?;
        let written = match &before {
            Some(stat) => fchmod(&part, Mode::from_raw_mode(stat.st_mode & 0o777)),
            None => Ok(()),
        };
        let written = written.map_err(failed).and_then(|()| fill(path, File::from(part), contents));
        let placed = written.and_then(|()| renameat(&parent, PART, &parent, inner.name).map_err(failed));
        if placed.is_err() {
            let _ = unlinkat(&parent, PART, AtFlags::empty());
        }
        placed
    }

    pub(super) fn append(&self, path: &str, contents: &[u8]) -> Result<(), Error> {
        let inner = Inner::parse(path)?;
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = match open_beneath(&self.0.root, inner.text, flags, Mode::empty()) {
            Err(Errno::NOENT) => return self.write(path, contents),
            file => file.map_err(|error| refused(path, error))?,
        };
        if regular(path, &file)?.st_nlink > 1 {
            let message = format!("{} has another name as well, under which it may not be changed", shown(path));
            return Err(Error::Denied(message));
        }
        self.room(contents.len(), 0, 0)?;
        fill(path, File::from(file), contents)
    }

    pub(super) fn make_folder(&self, path: &str) -> Result<(), Error> {
        let inner = Inner::parse(path)?;
        self.room(0, 0, 1)?;
        mkdirat(self.0.parent(&inner)?, inner.name, FOLDER_MODE).map_err(|error| refused(path, error))
    }

    pub(super) fn rename(&self, path: &str, to: &str) -> Result<(), Error> {
        let (from, into) = (Inner::parse(path)?, Inner::parse(to)?);
        let (parent, other) = (self.0.parent(&from)?, self.0.parent(&into)?);
        let flags = RenameFlags::NOREPLACE;
        renameat_with(parent, from.name, other, into.name, flags).map_err(|error| match error {
            Errno::EXIST => refused(to, error),
            error => refused(path, error),
        })
    }

    pub(super) fn remove(&self, path: &str) -> Result<(), Error> {
        let inner = Inner::parse(path)?;
        let parent = self.0.parent(&inner)?;
        let removed = match unlinkat(&parent, inner.name, AtFlags::empty()) {
            Err(Errno::ISDIR) => unlinkat(&parent, inner.name, AtFlags::REMOVEDIR),
            removed => removed,
        };
        removed.map_err(|error| refused(path, error))
    }

    fn room(&self, bytes: usize, freed: u64, files: u64) -> Result<(), Error> {
        fits(&self.0.root, &self.0.grant, bytes as u64, freed, files)
    }
}

fn fill(path: &str, mut file: File, contents: &[u8]) -> Result<(), Error> {
    file.write_all(contents).map_err(|error| {
        let errno = Errno::from_io_error(&error);
        errno.map_or_else(|| Error::Failed(format!("{}: {error}", shown(path))), |errno| refused(path, errno))
    })
}
