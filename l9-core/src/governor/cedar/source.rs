//! The texts of policies, read from files. Nothing is understood here.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::digest::{Digest, sha256};
use crate::{Error, ErrorKind, Result};

/// The most bytes of one file, and of all together.
const FILE: u64 = 1 << 20;
const ALL: u64 = 4 << 20;

/// The most files of one folder.
const FILES: usize = 1024;

/// How files of policies end.
const EXTENSION: &str = "cedar";

/// One text of policies.
#[derive(Clone, PartialEq, Eq)]
pub struct Source {
    /// Where it stands, for people.
    pub name: String,
    /// The text.
    pub text: String,
}

impl Source {
    /// A text under a name.
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into() }
    }

    /// Line and column, both from 1, of a byte of the text.
    #[must_use]
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let mut end = offset.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &self.text[..end];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({}, {} bytes)", self.name, self.text.len())
    }
}

/// Reads a file of policies, or every file of a folder whose name ends with `.cedar`, in the
/// order of their names.
///
/// # Errors
/// `NotFound` for a path where nothing is, `Invalid` for an empty folder, a file that is too
/// large or is no UTF-8, `Unavailable` for what cannot be read.
pub fn read(path: &Path) -> Result<Vec<Source>> {
    let about = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    let files = if about.is_dir() { files(path)? } else { vec![path.to_owned()] };
    if files.is_empty() {
        let why = format!("policy folder {} holds no file that ends with .{EXTENSION}", path.display());
        return Err(Error::invalid(format!(
            "{why}: add one, or leave the setting out for the policies that come with L9"
        )));
    }
    if files.len() > FILES {
        return Err(Error::invalid(format!(
            "policy folder {} holds {} files: put them together into at most {FILES}",
            path.display(),
            files.len()
        )));
    }
    let mut bytes = 0;
    files
        .iter()
        .map(|file| {
            let source = read_file(file)?;
            bytes += source.text.len() as u64;
            if bytes > ALL {
                let why = format!("the policies in {} are larger than {ALL} bytes together", path.display());
                return Err(Error::invalid(format!("{why}: take some out")));
            }
            Ok(source)
        })
        .collect()
}

/// Reads several files and folders one after another.
///
/// # Errors
/// As [`read`].
pub fn read_all(paths: &[PathBuf]) -> Result<Vec<Source>> {
    let read = paths.iter().map(|path| read(path)).collect::<Result<Vec<_>>>()?;
    Ok(read.into_iter().flatten().collect())
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(|error| unreadable(folder, &error))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| unreadable(folder, &error))?.path();
        if path.extension().is_some_and(|extension| extension == EXTENSION) && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read_file(path: &Path) -> Result<Source> {
    let about = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    if about.len() > FILE {
        let why = format!("policy file {} has {} bytes", path.display(), about.len());
        return Err(Error::invalid(format!("{why}: split it into files of at most {FILE}")));
    }
    let bytes = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Error::invalid(format!("policy file {} is no UTF-8: save it as UTF-8", path.display())))?;
    Ok(Source { name: path.display().to_string(), text })
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    let kind = match error.kind() {
        std::io::ErrorKind::NotFound => ErrorKind::NotFound,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, format!("policies {} cannot be read: {error}", path.display()))
}

/// What texts of policies are, whatever they are called.
#[must_use]
pub fn digest(sources: &[Source]) -> Digest {
    let mut parts: Vec<&[u8]> = vec![b"l9.policy.1\0"];
    let lengths: Vec<[u8; 8]> = sources.iter().map(|source| (source.text.len() as u64).to_be_bytes()).collect();
    for (source, length) in sources.iter().zip(&lengths) {
        parts.extend([length.as_slice(), source.text.as_bytes()]);
    }
    sha256(&parts)
}
