//! Which files a path means, and their text.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use l9_core::{Error, ErrorKind, Result};

use super::report::Skipped;

/// The largest file, in bytes.
const MAX_BYTES: u64 = 64 << 20;
/// Folders of version control that are not hidden by a dot.
const VERSION_CONTROL: &[&str] = &["CVS", "_darcs"];

/// How a file is cut into pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Markdown,
    JsonLines,
}

impl Format {
    /// By the file's extension; `None` for an unknown one.
    fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "txt" | "text" | "log" => Some(Self::Text),
            "md" | "markdown" => Some(Self::Markdown),
            "jsonl" | "ndjson" => Some(Self::JsonLines),
            _ => None,
        }
    }
}

/// The files a path means.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) found: Vec<(PathBuf, Format)>,
    pub(super) skipped: Vec<Skipped>,
    /// Whether the path is a file: then every fault is an error.
    pub(super) named: bool,
}

/// Finds the files of a path, in the order of their names.
pub(super) fn find(path: &Path) -> Result<Files> {
    let data = fs::metadata(path).map_err(|error| unreadable(path, error))?;
    let mut files = Files::default();
    if data.is_file() {
        files.named = true;
        files.found.push((path.to_owned(), Format::of(path).unwrap_or(Format::Text)));
    } else if data.is_dir() {
        let root = path.canonicalize().map_err(|error| unreadable(path, error))?;
        let mut walk = Walk { seen: HashSet::from([root.clone()]), root, files: &mut files };
        walk.folder(path).map_err(|error| unreadable(path, error))?;
    } else {
        return Err(Error::invalid(format!("{} is neither a file nor a folder", path.display())));
    }
    Ok(files)
}

struct Walk<'a> {
    root: PathBuf,
    /// Folders that were entered, by their real path: links may lead back.
    seen: HashSet<PathBuf>,
    files: &'a mut Files,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path) -> std::io::Result<()> {
        let mut entries = fs::read_dir(folder)?.collect::<std::io::Result<Vec<_>>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name();
            let hidden = name.to_str().is_some_and(|name| name.starts_with('.') || VERSION_CONTROL.contains(&name));
            if !hidden {
                self.entry(&folder.join(name));
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path) {
        let real = match path.canonicalize() {
            Ok(real) => real,
            Err(error) => return self.skip(path, format!("it cannot be read: {error}")),
        };
        if !real.starts_with(&self.root) {
            return self.skip(path, "it is a link out of the folder".into());
        }
        if real.is_dir() {
            if self.seen.insert(real)
                && let Err(error) = self.folder(path)
            {
                self.skip(path, format!("it cannot be read: {error}"));
            }
        } else if !real.is_file() {
            self.skip(path, "it is neither a file nor a folder".into());
        } else if let Some(format) = Format::of(path) {
            self.files.found.push((path.to_owned(), format));
        } else {
            self.skip(
                path,
                "it is neither text, Markdown nor JSON lines: name the file itself to take it as text".into(),
            );
        }
    }

    fn skip(&mut self, path: &Path, reason: String) {
        self.files.skipped.push(Skipped { path: path.to_owned(), reason });
    }
}

/// The text of a file.
pub(super) fn read(path: &Path) -> Result<String> {
    let file = File::open(path).map_err(|error| unreadable(path, error))?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| unreadable(path, error))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Error::invalid(format!("{} is larger than {} MiB: split it", path.display(), MAX_BYTES >> 20)));
    }
    if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
        return Err(Error::invalid(format!(
            "{} is not text: a NUL byte stands at offset {at}: convert it to text first",
            path.display()
        )));
    }
    String::from_utf8(bytes).map_err(|error| {
        Error::invalid(format!(
            "{} is not UTF-8: a bad byte stands at offset {}: convert it first, such as with `iconv -t UTF-8`",
            path.display(),
            error.utf8_error().valid_up_to()
        ))
    })
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    let kind = match error.kind() {
        std::io::ErrorKind::NotFound => ErrorKind::NotFound,
        std::io::ErrorKind::PermissionDenied => ErrorKind::Denied,
        _ => ErrorKind::Invalid,
    };
    Error::new(kind, format!("{} cannot be read: check the path and its permissions", path.display())).caused_by(error)
}
