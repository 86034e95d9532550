//! Finding what was kept: words to terms, and terms to ranked entries. Shared by
//! every backend, so that they cannot rank differently.

mod history;
mod index;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod packed;
mod terms;
mod words;

pub(crate) use history::Cause;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use index::Found;
pub(crate) use index::{Document, Filter, Index};
pub(crate) use terms::{Query, Terms};
