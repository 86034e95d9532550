//! How much a mount holds, and whether more fits into what is granted.
//!
//! It is counted anew before every change, because other processes write as well; a count
//! that was kept would be wrong some day. Whoever changes something holds the mount's lock.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, statat};
use rustix::io::Errno;
use tokio_util::sync::CancellationToken;

use super::beneath::open_beneath;
use super::changing::going_on;
use super::folder::Folder;
use super::path::PART;
use crate::error::Grouped;
use crate::wasm::host::bindings::l9::tool::files::Error;

/// Files and folders that are counted at most.
const COUNTED: u64 = 1_000_000;

/// What a mount holds.
#[derive(Default)]
struct Held {
    /// Bytes of all regular files.
    bytes: u64,
    /// Names of all kinds: folders take room as well.
    files: u64,
}

/// What is about to be written.
pub(super) struct Wanted {
    pub(super) bytes: u64,
    /// Of what is there, what goes for it.
    pub(super) freed: u64,
    /// New names.
    pub(super) files: u64,
}

/// Refuses what does not fit any more.
pub(super) fn fits(folder: &Folder, ended: &CancellationToken, wanted: Wanted) -> Result<(), Error> {
    let (grant, Wanted { bytes, freed, files }) = (&folder.grant, wanted);
    if grant.quota.is_none() && grant.max_files.is_none() {
        return Ok(());
    }
    let most = grant.max_files.unwrap_or(COUNTED).min(COUNTED);
    let held = held(&folder.root, ended, most)?;
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
fn held(root: &OwnedFd, ended: &CancellationToken, most: u64) -> Result<Held, Error> {
    let mut held = Held::default();
    walk(root, ended, &mut |_, stat| {
        held.files += 1;
        if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
            held.bytes = held.bytes.saturating_add(stat.st_size.unsigned_abs());
        }
        held.files <= most
    })?;
    Ok(held)
}

/// Shows what a folder holds, with the path from it, until somebody has seen enough or the call
/// has ended. What the host itself writes for a moment is left out.
pub(super) fn walk(
    root: &OwnedFd,
    ended: &CancellationToken,
    visit: &mut dyn FnMut(&str, &Stat) -> bool,
) -> Result<(), Error> {
    let failed = |error| Error::Failed(format!("what is there cannot be counted: {error}"));
    let mut folders = vec![String::new()];
    while let Some(path) = folders.pop() {
        let folder = match open_beneath(root, &path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()) {
            // Gone since it was listed.
            Err(Errno::NOENT) => continue,
            folder => folder.map_err(failed)?,
        };
        for name in names(&folder).map_err(failed)? {
            going_on(ended)?;
            let Ok(stat) = statat(&folder, name.as_str(), AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let within = if path.is_empty() { name } else { format!("{path}/{name}") };
            if !visit(&within, &stat) {
                return Ok(());
            }
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                folders.push(within);
            }
        }
    }
    Ok(())
}

/// The names of a folder, as far as they are UTF-8 and a guest's to know.
pub(super) fn names(folder: impl AsFd) -> rustix::io::Result<impl Iterator<Item = String>> {
    let entries = Dir::read_from(folder)?.filter_map(|entry| entry.ok()?.file_name().to_str().ok().map(str::to_owned));
    Ok(entries.filter(|name| ![".", "..", PART].contains(&name.as_str())))
}
