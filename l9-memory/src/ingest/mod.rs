//! Files and folders into memories that quote exactly.
//!
//! Every piece of text, Markdown or source code is a slice of its file, so that a quote of it
//! stands in the file. JSON lines give the words of their text field, web pages and PDFs
//! those that a reader sees.

mod code;
mod differ;
mod extract;
mod files;
mod intake;
mod lines;
mod pieces;
mod report;
mod slices;
mod work;

pub use extract::{Extract, Part, Written};
pub use intake::{Ingest, Options};
pub use report::{Change, FileChange, Progress, Report, Skipped, Status};
