//! Finding what was kept: words to terms, and terms to ranked entries. Shared by
//! every backend, so that they cannot rank differently.

mod conversations;
mod dense;
mod duplicates;
mod gist;
mod graph;
mod history;
mod index;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod packed;
mod rank;
mod terms;
mod vocabulary;
mod wording;
mod words;

pub(crate) use duplicates::{Candidates, looked_at};
pub(crate) use graph::folded;
pub(crate) use history::Cause;
pub(crate) use index::{Document, Filter, Index, stem_hash};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use rank::meant;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use terms::Near;
pub(crate) use terms::{Meant, Query, Terms, speaker};
pub(crate) use words::each as each_stem;
