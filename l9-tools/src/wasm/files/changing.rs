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
use super::room::{Wanted, fits, walk};
use crate::wasm::host::bindings::l9::tool::files::Error;

/// How long until a lock that others hold is tried again.
const AGAIN: Duration = Duration::from_millis(2);

/// What a new file may: its owner everything, the group and others read, as far as the
/// process's umask has it.
const FILE_MODE: Mode = Mode::from_raw_mode(0o644);
const FOLDER_MODE: Mode = Mode::from_raw_mode(0o755);

/// The right to change a mount; the lock goes with the folder.
#[derive(Debug)]
pub(super) struct Changing {
    folder: Folder,
    ended: CancellationToken,
}

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
            going_on(ended)?;
            match flock(&folder.root, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { folder, ended: ended.clone() }),
                Err(Errno::WOULDBLOCK) => std::thread::sleep(AGAIN),
                Err(error) => return Err(Error::Failed(format!("the mount {mount} cannot be locked: {error}"))),
            }
        }
    }

    /// Writes beside the file first, so that nobody ever reads a half of it.
    pub(super) fn write(&self, path: &str, contents: &[u8]) -> Result<(), Error> {
        let inner = Inner::parse(path)?;
        let parent = self.folder.parent(&inner)?;
        let failed = |error| refused(path, error);
        let before = match self.folder.look(&inner) {
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
        let written = written.and_then(|()| self.going_on());
        let placed = written.and_then(|()| renameat(&parent, PART, &parent, inner.name).map_err(failed));
        if placed.is_err() {
            let _ = unlinkat(&parent, PART, AtFlags::empty());
        }
        placed
    }

    pub(super) fn append(&self, path: &str, contents: &[u8]) -> Result<(), Error> {
        let inner = Inner::parse(path)?;
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = match open_beneath(&self.folder.root, inner.text, flags, Mode::empty()) {
            Err(Errno::NOENT) => return self.write(path, contents),
            file => file.map_err(|error| refused(path, error))?,
        };
        if regular(path, &file)?.st_nlink > 1 {
            let message = format!("{} has another name as well, under which it may not be changed", shown(path));
            return Err(Error::Denied(message));
        }
        self.room(contents.len(), 0, 0)?;
        self.going_on()?;
        // A part of it may be there by now, which `failed` alone leaves open.
        fill(path, File::from(file), contents).map_err(|error| match error {
            Error::NoSpace(message) => Error::Failed(message),
            error => error,
        })
    }

    pub(super) fn make_folder(&self, path: &str) -> Result<(), Error> {
        let inner = Inner::parse(path)?;
        self.room(0, 0, 1)?;
        let parent = self.folder.parent(&inner)?;
        self.going_on()?;
        mkdirat(parent, inner.name, FOLDER_MODE).map_err(|error| refused(path, error))
    }

    pub(super) fn rename(&self, path: &str, to: &str) -> Result<(), Error> {
        let (from, into) = (Inner::parse(path)?, Inner::parse(to)?);
        let (parent, other) = (self.folder.parent(&from)?, self.folder.parent(&into)?);
        self.nameable(&from, &into)?;
        self.going_on()?;
        let flags = RenameFlags::NOREPLACE;
        renameat_with(parent, from.name, other, into.name, flags).map_err(|error| match error {
            Errno::EXIST => refused(to, error),
            error => refused(path, error),
        })
    }

    pub(super) fn remove(&self, path: &str) -> Result<(), Error> {
        let inner = Inner::parse(path)?;
        let parent = self.folder.parent(&inner)?;
        self.going_on()?;
        let removed = match unlinkat(&parent, inner.name, AtFlags::empty()) {
            Err(Errno::ISDIR) => {
                // What a crash left there is the host's, and no guest can name it.
                let folder = open_beneath(&parent, inner.name, OFlags::PATH | OFlags::DIRECTORY, Mode::empty());
                let _ = folder.and_then(|folder| unlinkat(folder, PART, AtFlags::empty()));
                unlinkat(&parent, inner.name, AtFlags::REMOVEDIR)
            }
            removed => removed,
        };
        removed.map_err(|error| refused(path, error))
    }

    /// Refuses to put a folder where what it holds could not be named any more: a mount whose
    /// paths have no end could not be counted either.
    fn nameable(&self, from: &Inner<'_>, into: &Inner<'_>) -> Result<(), Error> {
        let folder = match open_beneath(&self.folder.root, from.text, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())
        {
            Err(_) => return Ok(()),
            Ok(folder) => folder,
        };
        let mut within = Ok(());
        let walked = walk(&folder, &self.ended, &mut |path, _| {
            within = Inner::parse(&format!("{}/{path}", into.text)).map(drop);
            within.is_ok()
        });
        walked.and(within)
    }

    fn room(&self, bytes: usize, freed: u64, files: u64) -> Result<(), Error> {
        fits(&self.folder, &self.ended, Wanted { bytes: bytes as u64, freed, files })
    }

    /// Refuses to change anything for a call that has ended: asked right before each change.
    fn going_on(&self) -> Result<(), Error> {
        going_on(&self.ended)
    }
}

/// Whether the call that wants it goes on.
pub(super) fn going_on(ended: &CancellationToken) -> Result<(), Error> {
    if ended.is_cancelled() { Err(Error::Failed("the call has ended".into())) } else { Ok(()) }
}

fn fill(path: &str, mut file: File, contents: &[u8]) -> Result<(), Error> {
    file.write_all(contents).map_err(|error| {
        let errno = Errno::from_io_error(&error);
        errno.map_or_else(|| Error::Failed(format!("{}: {error}", shown(path))), |errno| refused(path, errno))
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail")]

    use std::fs;

    use l9_core::id::TenantId;
    use l9_core::tool::FsGrant;

    use super::super::mounts::Mount;
    use super::*;

    fn changing(path: &std::path::Path, quota: Option<u64>, ended: &CancellationToken) -> Changing {
        let grant = FsGrant { mount: "work".into(), mode: Use::ReadWrite, quota, max_files: None };
        let mount = Mount { path: path.into(), shared: true };
        let folder = Folder::open(&mount, &TenantId::default_tenant(), &grant).unwrap();
        Changing::begin(folder, ended).unwrap()
    }

    #[test]
    fn a_call_that_ends_while_it_holds_the_lock_changes_nothing_more() {
        // With a quota the count ends as well; without one there is none.
        for quota in [Some(100), None] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("note"), "kept").unwrap();
            fs::create_dir(folder.path().join("empty")).unwrap();
            let ended = CancellationToken::new();
            let held = changing(folder.path(), quota, &ended);
            held.append("note", b"!").unwrap();
            ended.cancel();
            let results = [
                held.write("note", b"new"),
                held.append("note", b"more"),
                held.make_folder("made"),
                held.rename("note", "other"),
                held.remove("note"),
                held.remove("empty"),
            ];
            for result in results {
                let Err(Error::Failed(message)) = result else { panic!("{result:?}") };
                assert_eq!(message, "the call has ended");
            }
            assert_eq!(fs::read_to_string(folder.path().join("note")).unwrap(), "kept!");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nor is anything left beside it");
        }
    }

    #[test]
    fn what_a_crash_left_takes_no_room_and_goes_with_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("a")).unwrap();
        for left in ["", "a"] {
            fs::write(folder.path().join(left).join(PART), [b'x'; 90]).unwrap();
        }
        let held = changing(folder.path(), Some(100), &CancellationToken::new());
        held.write("b", &[b'x'; 60]).unwrap();
        held.append("b", &[b'x'; 40]).unwrap();
        assert!(matches!(held.append("b", b"x"), Err(Error::NoSpace(_))), "what is the guest's is counted");
        let names: Vec<String> = held.folder.list("").unwrap().into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(held.folder.list("a").unwrap().len(), 0);
        held.remove("a").unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
