//! Documents that are not text themselves: who reads them.
//!
//! A document may be hostile, so nothing here looks into one: whoever supplies an
//! [`Extract`] reads it where it can do no harm.

use std::fmt;

use async_trait::async_trait;
use l9_core::Result;
use l9_core::label::Label;

/// What a document is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Written {
    /// A web page; its bytes are UTF-8.
    Html,
    /// A PDF.
    Pdf,
}

/// The text of a document, or of a page of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The words; of a web page with its headings as Markdown has them.
    pub text: String,
    /// Which page it is, from 1; absent for a document without pages.
    pub page: Option<u64>,
}

/// Reads documents.
#[async_trait]
pub trait Extract: fmt::Debug + Send + Sync {
    /// The text of a document, part by part, whole.
    ///
    /// # Errors
    /// `Invalid` for one that cannot be read or is too large, with the reason and the mend;
    /// whatever else keeps it from being read.
    async fn extract(&self, written: Written, document: &[u8], label: &Label) -> Result<Vec<Part>>;
}
