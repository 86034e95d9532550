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
    /// How many bytes were read.
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

/// What an ingestion did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
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
    /// How many bytes were read.
    pub bytes: u64,
    /// What was left out, and why.
    pub skipped: Vec<Skipped>,
}

/// A file that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}
