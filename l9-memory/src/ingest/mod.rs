//! Files and folders into memories that quote exactly.
//!
//! Every piece of text or Markdown is a slice of its file, so that a quote of it stands
//! in the file. JSON lines give the words of their text field.

mod files;
mod intake;
mod lines;
mod report;
mod slices;

pub use intake::Ingest;
pub use report::{Progress, Report, Skipped, Status};
