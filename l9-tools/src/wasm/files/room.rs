//! How much a mount holds, and whether more fits into what is granted.
//!
//! It is counted anew before every change, because other processes write as well; a count
//! that was kept would be wrong some day. Whoever changes something holds the mount's lock.

use std::os::fd::{AsFd, OwnedFd};

use l9_core::tool::FsGrant;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, statat};
use rustix::io::{Errno, Result};

use super::beneath::open_beneath;
use crate::error::Grouped;
use crate::wasm::host::bindings::l9::tool::files::Error;

/// Files and folders that are counted at most.
const COUNTED: u64 = 1_000_000;

/// What a mount holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    /// Bytes of all regular files.
    pub(super) bytes: u64,
    /// Names of all kinds: folders take room as well.
    pub(super) files: u64,
}

/// Refuses what does not fit any more: `bytes` more, of which `freed` are there already, and
/// so many new names.
pub(super) fn fits(
    root: &OwnedFd,
    grant: &FsGrant,
    bytes: u64,
    freed: u64,
    files: u64,
) -> std::result::Result<(), Error> {
    if grant.quota.is_none() && grant.max_files.is_none() {
        return Ok(());
    }
    let most = grant.max_files.unwrap_or(COUNTED).min(COUNTED);
    let held = held(root, most).map_err(|error| Error::Failed(format!("what is there cannot be counted: {error}")))?;
    if held.files.saturating_add(files) > most {
        let message = format!("the mount {} holds {} of {} files", grant.mount, Grouped(held.files), Grouped(most));
        return Err(Error::NoSpace(format!("{message}: remove one first")));
    }
    let wanted = held.bytes.saturating_sub(freed).saturating_add(bytes);
    match grant.quota.filter(|quota| wanted > *quota) {
        None => Ok(()),
        Some(quota) => Err(Error::NoSpace(format!(
            "the mount {} would hold {} bytes of {}: remove a file first",
            grant.mount,
            Grouped(wanted),
            Grouped(quota)
        ))),
    }
}

/// Counts until there is more than `most`. Links are counted and not followed.
pub(super) fn held(root: &OwnedFd, most: u64) -> Result<Held> {
    let mut held = Held::default();
    let mut folders = vec![String::new()];
    while let Some(path) = folders.pop() {
        let folder = match open_beneath(root, &path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()) {
            // Gone since it was listed.
            Err(Errno::NOENT) => continue,
            folder => folder?,
        };
        for name in names(&folder)? {
            held.files += 1;
            if held.files > most {
                return Ok(held);
            }
            let Ok(stat) = statat(&folder, name.as_str(), AtFlags::SYMLINK_NOFOLLOW) else { continue };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => held.bytes = held.bytes.saturating_add(stat.st_size.unsigned_abs()),
                FileType::Directory if path.is_empty() => folders.push(name),
                FileType::Directory => folders.push(format!("{path}/{name}")),
                _ => {}
            }
        }
    }
    Ok(held)
}

/// The names of a folder, as far as they are UTF-8.
pub(super) fn names(folder: impl AsFd) -> Result<impl Iterator<Item = String>> {
    let entries = Dir::read_from(folder)?.filter_map(|entry| entry.ok()?.file_name().to_str().ok().map(str::to_owned));
    Ok(entries.filter(|name| name != "." && name != ".."))
}
