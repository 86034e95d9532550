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

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    use super::*;

    /// Without the guest's paths being read before, so that the kernel alone holds it.
    #[test]
    fn the_kernel_lets_nothing_out_of_a_folder() {
        let machine = tempfile::tempdir().unwrap();
        let (inside, outside) = (machine.path().join("inside"), machine.path().join("outside"));
        fs::create_dir(&inside).unwrap();
        fs::write(&outside, "treasure").unwrap();
        fs::write(inside.join("note"), "granted").unwrap();
        symlink(&outside, inside.join("link")).unwrap();
        symlink("note", inside.join("beside")).unwrap();
        let folder = File::open(&inside).unwrap();
        let absolute = outside.display().to_string();
        let read = |opened: Result<OwnedFd>| {
            let mut text = String::new();
            opened.map(|file| File::from(file).read_to_string(&mut text).map(|_| text).unwrap())
        };
        let (flags, mode) = (OFlags::RDONLY, Mode::empty());
        for path in ["../outside", "./../outside", "link", &absolute] {
            assert!(open_beneath(&folder, path, flags, mode).is_err(), "{path}");
            // Control: the very same call without what holds it.
            assert_eq!(read(openat2(&folder, path, flags, mode, ResolveFlags::empty())).unwrap(), "treasure", "{path}");
        }
        assert!(open_beneath(&folder, "beside", flags, mode).is_err(), "a link is not followed wherever it leads");
        assert_eq!(read(open_beneath(&folder, "note", flags, mode)).unwrap(), "granted");
    }
}
