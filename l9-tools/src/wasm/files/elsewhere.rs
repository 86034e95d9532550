//! Where there is no `openat2(2)`, nothing is opened, and settings with mounts are refused.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, Result};

/// Opens nothing.
pub(super) fn open_beneath(_: impl AsFd, _: &str, _: OFlags, _: Mode) -> Result<OwnedFd> {
    Err(Errno::NOSYS)
}
