//! Finding what was kept: words to terms, and terms to ranked entries. Shared by
//! every backend, so that they cannot rank differently.

mod index;
mod terms;
mod words;

pub(crate) use index::{Document, Filter, Found, Index};
pub(crate) use terms::{Query, Terms};
