//! Which files a path means, and their bytes.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use l9_core::{Error, ErrorKind, Result};

use super::extract::Written;
use super::report::Skipped;

/// The largest file, in bytes.
const MAX_BYTES: u64 = 64 << 20;
/// Folders of version control that are not hidden by a dot.
const VERSION_CONTROL: &[&str] = &["CVS", "_darcs"];
/// Files that name what is left out of their folder.
const IGNORES: [&str; 2] = [".gitignore", ".ignore"];
/// What ends the name of source code.
const CODE: &[&str] = &[
    "bash",
    "bat",
    "c",
    "cc",
    "cfg",
    "clj",
    "cmake",
    "conf",
    "cpp",
    "cs",
    "css",
    "cxx",
    "dart",
    "elm",
    "erl",
    "ex",
    "exs",
    "f90",
    "fs",
    "go",
    "gradle",
    "graphql",
    "groovy",
    "h",
    "hcl",
    "hh",
    "hpp",
    "hrl",
    "hs",
    "hxx",
    "ini",
    "java",
    "jl",
    "js",
    "jsx",
    "kt",
    "kts",
    "less",
    "lisp",
    "lua",
    "m",
    "mjs",
    "mk",
    "ml",
    "mli",
    "mm",
    "nim",
    "nix",
    "pas",
    "php",
    "pl",
    "pm",
    "properties",
    "proto",
    "ps1",
    "py",
    "pyi",
    "r",
    "rb",
    "rs",
    "scala",
    "scm",
    "scss",
    "sh",
    "sol",
    "sql",
    "svelte",
    "swift",
    "tcl",
    "tf",
    "toml",
    "ts",
    "tsx",
    "v",
    "vb",
    "vhd",
    "vue",
    "wat",
    "wit",
    "xsl",
    "yaml",
    "yml",
    "zig",
    "zsh",
];
/// Names of source code that have no ending.
const CODE_NAMES: &[&str] = &["CMakeLists.txt", "Containerfile", "Dockerfile", "Jenkinsfile", "Makefile", "Rakefile"];

/// How a file is cut into pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Markdown,
    JsonLines,
    Code,
    Document(Written),
}

impl Format {
    /// By the file's name; `None` for an unknown one.
    fn of(path: &Path) -> Option<Self> {
        if path.file_name().and_then(|name| name.to_str()).is_some_and(|name| CODE_NAMES.contains(&name)) {
            return Some(Self::Code);
        }
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "txt" | "text" | "log" | "rst" | "adoc" | "tex" => Some(Self::Text),
            "md" | "markdown" => Some(Self::Markdown),
            "jsonl" | "ndjson" => Some(Self::JsonLines),
            "html" | "htm" | "xhtml" => Some(Self::Document(Written::Html)),
            "pdf" => Some(Self::Document(Written::Pdf)),
            code if CODE.contains(&code) => Some(Self::Code),
            _ => None,
        }
    }
}

/// A file to take in.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    /// Where it really is, so that a folder of the same name elsewhere is another.
    pub(super) real: PathBuf,
    pub(super) format: Format,
    pub(super) size: u64,
}

/// The files a path means.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) found: Vec<Found>,
    pub(super) skipped: Vec<Skipped>,
    /// Files and folders that a `.gitignore` or `.ignore` names.
    pub(super) ignored: Vec<PathBuf>,
    /// The real path of the folder; `None` if the path is a file: then every fault is an error.
    pub(super) folder: Option<PathBuf>,
}

/// Finds the files of a path, in the order of their names.
pub(super) fn find(path: &Path, ignores: bool) -> Result<Files> {
    let data = fs::metadata(path).map_err(|error| unreadable(path, error))?;
    let mut files = Files::default();
    let real = path.canonicalize().map_err(|error| unreadable(path, error))?;
    if data.is_file() {
        let format = Format::of(path).unwrap_or(Format::Text);
        files.found.push(Found { path: path.to_owned(), real, format, size: data.len() });
    } else if data.is_dir() {
        let seen = HashSet::from([real.clone()]);
        let mut walk = Walk { root: real.clone(), seen, ignores: Vec::new(), honours: ignores, files: &mut files };
        walk.folder(path, &real).map_err(|error| unreadable(path, error))?;
        files.folder = Some(real);
    } else {
        return Err(Error::invalid(format!("{} is neither a file nor a folder", path.display())));
    }
    Ok(files)
}

struct Walk<'a> {
    root: PathBuf,
    /// Folders that were entered, by their real path: links may lead back.
    seen: HashSet<PathBuf>,
    /// What the folders on the way here leave out, outermost first.
    ignores: Vec<Gitignore>,
    honours: bool,
    files: &'a mut Files,
}

impl Walk<'_> {
    /// `real` is where the folder stands without the links on the way to it.
    fn folder(&mut self, folder: &Path, real: &Path) -> std::io::Result<()> {
        let mut entries = fs::read_dir(folder)?.collect::<std::io::Result<Vec<_>>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        let depth = self.ignores.len();
        if self.honours {
            let ignores = self.read_ignores(folder);
            self.ignores.extend(ignores);
        }
        for entry in entries {
            let name = entry.file_name();
            let hidden = name.to_str().is_some_and(|name| name.starts_with('.') || VERSION_CONTROL.contains(&name));
            if !hidden {
                self.entry(&folder.join(&name), &real.join(&name));
            }
        }
        self.ignores.truncate(depth);
        Ok(())
    }

    fn read_ignores(&mut self, folder: &Path) -> Option<Gitignore> {
        let present: Vec<PathBuf> =
            IGNORES.iter().map(|name| folder.join(name)).filter(|path| path.is_file()).collect();
        if present.is_empty() {
            return None;
        }
        let mut builder = GitignoreBuilder::new(folder);
        for path in present {
            if let Some(error) = builder.add(&path) {
                self.skip(&path, format!("a line of it is not understood: {error}"));
            }
        }
        builder.build().ok()
    }

    /// Whether the innermost folder that says anything about a path leaves it out.
    fn is_ignored(&self, path: &Path, is_folder: bool) -> bool {
        let says =
            self.ignores.iter().rev().map(|ignores| ignores.matched(path, is_folder)).find(|says| !says.is_none());
        says.is_some_and(|says| says.is_ignore())
    }

    fn entry(&mut self, path: &Path, place: &Path) {
        let real = match path.canonicalize() {
            Ok(real) => real,
            Err(error) => return self.skip(path, format!("it cannot be read: {error}")),
        };
        if path.to_str().is_none() {
            // Two such names may look the same.
            self.skip(path, "its name is not UTF-8: rename it".into());
        } else if self.is_ignored(path, real.is_dir()) {
            self.files.ignored.push(path.to_owned());
        } else if !real.starts_with(&self.root) {
            self.skip(path, "it is a link out of the folder".into());
        } else if real.is_dir() {
            if self.seen.insert(real)
                && let Err(error) = self.folder(path, place)
            {
                self.skip(path, format!("it cannot be read: {error}"));
            }
        } else if !real.is_file() {
            self.skip(path, "it is neither a file nor a folder".into());
        } else if let Some(format) = Format::of(path) {
            let size = real.metadata().map_or(0, |data| data.len());
            self.files.found.push(Found { path: path.to_owned(), real: place.to_owned(), format, size });
        } else {
            self.skip(
                path,
                "its name does not say that it is text, Markdown, JSON lines, HTML, PDF or source code: name the file \
                 itself to take it as text"
                    .into(),
            );
        }
    }

    fn skip(&mut self, path: &Path, reason: String) {
        self.files.skipped.push(Skipped { path: path.to_owned(), reason });
    }
}

/// The bytes of a file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    let file = File::open(path).map_err(|error| unreadable(path, error))?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| unreadable(path, error))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Error::invalid(format!(
            "{} is larger than {} MiB: split it, such as with `split -C 60M`",
            path.display(),
            MAX_BYTES >> 20
        )));
    }
    Ok(bytes)
}

/// The text of a file that is no document of another form.
pub(super) fn text(path: &Path, bytes: Vec<u8>) -> Result<String> {
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
