//! One file, read whole: a regular one, and no more of it than it may have.
//!
//! Under any name in a folder may stand a pipe or a link to a device, so nothing here waits
//! for a writer or reads without end.

use std::fs::File;
use std::io::{Error, ErrorKind, Read as _, Result};
use std::path::Path;

/// Reads a regular file of at most so many bytes, through links.
///
/// # Errors
/// From the system, `InvalidInput` for what is no regular file, `FileTooLarge` for one with
/// more bytes.
pub fn read_regular(path: &Path, most: u64) -> Result<Vec<u8>> {
    let file = open(path)?;
    if !file.metadata()?.is_file() {
        return Err(Error::new(ErrorKind::InvalidInput, "it is no regular file: put one there"));
    }
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(Error::new(
            ErrorKind::FileTooLarge,
            format!("it has more than {most} bytes, the most it may have"),
        ));
    }
    Ok(bytes)
}

/// Like [`read_regular`], for text.
///
/// # Errors
/// As [`read_regular`], and `InvalidData` for what is not UTF-8.
pub(super) fn read_text(path: &Path, most: u64) -> Result<String> {
    let bytes = read_regular(path, most)?;
    String::from_utf8(bytes).map_err(|_| Error::new(ErrorKind::InvalidData, "it is not UTF-8"))
}

#[cfg(unix)]
fn open(path: &Path) -> Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;

    use rustix::fs::OFlags;

    // A pipe that nobody writes to must not hold the opening up.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

#[cfg(not(unix))]
fn open(path: &Path) -> Result<File> {
    File::open(path)
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use super::*;

    #[test]
    fn pipes_devices_folders_and_what_is_too_large_are_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "12345").unwrap();
        symlink("file", at("link")).unwrap();
        for name in ["file", "link"] {
            assert_eq!(read_regular(&at(name), 5).unwrap(), b"12345");
            let error = read_regular(&at(name), 4).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::FileTooLarge);
            assert!(error.to_string().contains("more than 4 bytes"), "{error}");
        }
        assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
        symlink("/dev/zero", at("zero")).unwrap();
        for name in ["pipe", "zero", "."] {
            let error = read_regular(&at(name), 5).unwrap_err().to_string();
            assert!(error.contains("no regular file"), "{name}: {error}");
        }
        assert_eq!(read_regular(&at("none"), 5).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn text_is_utf_8() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, b"\xff").unwrap();
        assert_eq!(read_text(&file, 5).unwrap_err().kind(), ErrorKind::InvalidData);
        fs::write(&file, "five").unwrap();
        assert_eq!(read_text(&file, 5).unwrap(), "five");
    }
}
