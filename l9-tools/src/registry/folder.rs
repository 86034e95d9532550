//! Manifests from a folder: every `*.yaml`, `*.yml` and `*.json` of it, errors with file
//! and field.

use std::path::{Path, PathBuf};

use l9_core::tool::Manifest;
use l9_core::{Error, Result};

use super::manifest::{from_json, from_yaml};

/// A manifest and the file it stands in.
#[derive(Debug, Clone)]
pub struct Found {
    /// The file.
    pub path: PathBuf,
    /// What it says.
    pub manifest: Manifest,
}

/// Reads the manifests of a folder, in the order of their file names.
///
/// # Errors
/// `Invalid` for a folder or file that cannot be read and for a file that holds no
/// manifest; the message names the file, the field and the mend.
pub fn from_folder(folder: &Path) -> Result<Vec<Found>> {
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
    files.into_iter().map(read).collect()
}

fn read(path: PathBuf) -> Result<Found> {
    let text = std::fs::read_to_string(&path).map_err(|error| in_file(&path, &Error::invalid(error.to_string())))?;
    let is_json = path.extension().is_some_and(|ending| ending == "json");
    let manifest = if is_json { from_json(text.as_bytes()) } else { from_yaml(&text) };
    match manifest {
        Ok(manifest) => Ok(Found { path, manifest }),
        Err(error) => Err(in_file(&path, &error)),
    }
}

/// The error with the file it is about before it.
#[must_use]
pub fn in_file(path: &Path, error: &Error) -> Error {
    Error::new(error.kind(), format!("{}: {error}", path.display()))
}
