//! What an ingestion tells: while it runs, and when it is done.

use std::path::PathBuf;

use serde::Serialize;

/// How far an ingestion is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// How many files there are.
    pub files: usize,
    /// How many are done or skipped.
    pub done: usize,
    /// How many pieces were kept or known.
    pub chunks: usize,
    /// How many bytes the files have.
    pub total_bytes: u64,
    /// How many of them were looked at.
    pub bytes: u64,
    /// The file at hand.
    pub current: PathBuf,
}

/// Hears how far an ingestion is, often.
pub trait Progress: Send + Sync {
    /// Something was done.
    fn advanced(&self, status: &Status);
}

impl<F: Fn(&Status) + Send + Sync> Progress for F {
    fn advanced(&self, status: &Status) {
        self(status);
    }
}

/// What an ingestion did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Whether nothing was kept or removed, for it was only asked what would be.
    pub dry_run: bool,
    /// How many files were taken in, unchanged ones among them.
    pub files: usize,
    /// How many of them were kept already as they are.
    pub unchanged: usize,
    /// How many pieces are new.
    pub stored: usize,
    /// How many pieces were known.
    pub duplicates: usize,
    /// How many pieces of changed files were removed.
    pub replaced: u64,
    /// How many pieces of files that are gone were removed.
    pub removed: u64,
    /// How many bytes were read.
    pub bytes: u64,
    /// How many files and folders a `.gitignore` or `.ignore` left out.
    pub ignored: usize,
    /// Every file that is not as it was.
    pub changes: Vec<FileChange>,
    /// What was left out, and why.
    pub skipped: Vec<Skipped>,
}

impl Report {
    /// How many files there are of a change.
    #[must_use]
    pub fn count(&self, change: Change) -> usize {
        self.changes.iter().filter(|one| one.change == change).count()
    }
}

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FileChange {
    /// The file.
    pub path: PathBuf,
    /// What became of it.
    pub change: Change,
    /// Its name before, if it was renamed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<PathBuf>,
}

/// How a file differs from what is in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Change {
    /// It was not known.
    New,
    /// It has other words.
    Changed,
    /// It was known by another name.
    Renamed,
    /// It is gone.
    Removed,
}

/// A file that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}
