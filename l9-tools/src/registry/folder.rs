//! Manifests from a folder: every `*.yaml`, `*.yml` and `*.json` of it, each with the
//! signature `NAME.sig` beside it if there is one; errors with file and field.

use std::io::ErrorKind as IoKind;
use std::path::{Path, PathBuf};

use l9_core::tool::Manifest;
use l9_core::{Error, Result};

use super::manifest::{BOUNDS, from_file};
use super::regular::read_text;

/// The most bytes of a signature.
const SIGNATURE_BYTES: u64 = 64 << 10;

/// A manifest and what stands beside it.
#[derive(Debug, Clone)]
pub struct Found {
    /// What it says.
    pub manifest: Manifest,
    /// The signature, if there is one.
    pub signature: Option<String>,
}

/// The files of a folder that hold manifests, in the order of their names.
///
/// # Errors
/// `Invalid` for a folder that cannot be read.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = |error: std::io::Error| {
        let message = format!("the tools folder {} cannot be read: make it, or name another", folder.display());
        Error::invalid(message).caused_by(error)
    };
    let mut files = Vec::new();
    for item in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = item.map_err(unreadable)?.path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        if path.is_file() && ending.is_some_and(|ending| matches!(ending, "yaml" | "yml" | "json")) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Reads a manifest and its signature.
///
/// # Errors
/// `Invalid` for a file that holds no manifest; the message names the file, the field and
/// the mend.
pub fn read(path: &Path) -> Result<Found> {
    let read = || {
        let text = read_text(path, BOUNDS.bytes as u64).map_err(|error| Error::invalid(error.to_string()))?;
        let is_json = path.extension().is_some_and(|ending| ending == "json");
        Ok(Found { manifest: from_file(&text, is_json)?, signature: signature(path)? })
    };
    read().map_err(|error| in_file(path, &error))
}

/// Where the signature of a manifest stands: the manifest's name and `.sig` behind it.
#[must_use]
pub fn signature_path(manifest: &Path) -> PathBuf {
    let mut name = manifest.as_os_str().to_owned();
    name.push(".sig");
    name.into()
}

fn signature(manifest: &Path) -> Result<Option<String>> {
    let path = signature_path(manifest);
    match read_text(&path, SIGNATURE_BYTES) {
        Ok(note) => Ok(Some(note)),
        Err(error) if error.kind() == IoKind::NotFound => Ok(None),
        Err(error) => Err(Error::invalid(format!("signature: {} cannot be read: {error}", path.display()))),
    }
}

/// The error with the file it is about before it.
#[must_use]
pub fn in_file(path: &Path, error: &Error) -> Error {
    Error::new(error.kind(), format!("{}: {error}", path.display()))
}
