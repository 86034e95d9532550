//! The one way from a mount to what it holds: `openat2(2)`, which the kernel resolves.
//!
//! No `..`, no absolute path, no link and no magic link such as those of `/proc` is
//! followed, whatever changes while it is looked up. Nothing else here opens by a path.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Result;

/// Opens what stands beneath a folder.
pub(super) fn open_beneath(folder: impl AsFd, path: &str, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let path = if path.is_empty() { "." } else { path };
    openat2(folder, path, flags | OFlags::CLOEXEC, mode, resolve)
}
