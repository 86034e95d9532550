//! OpenAPI documents as manifests of HTTP tools.
//!
//! It reads a document and writes nothing; what cannot be expressed is told with its place,
//! never left out in silence.

mod document;
mod import;
mod operation;
mod schema;
mod security;

pub use document::{Warning, read};
pub use import::{Imported, Options, import};
