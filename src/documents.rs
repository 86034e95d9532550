//! Who reads web pages and PDFs for an intake: the sandbox, if this build has one.

#[cfg(not(feature = "wasm"))]
mod none;
#[cfg(feature = "wasm")]
mod some;

#[cfg(not(feature = "wasm"))]
pub(crate) use none::reading;
#[cfg(feature = "wasm")]
pub(crate) use some::reading;
