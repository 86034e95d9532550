//! The tool `pdf/extract`: the text of a PDF, page by page.
//!
//! Everything here is plain Rust that runs natively; only `component` knows about wasm.
//! The tool is pure: no clock, no randomness, no state between calls. Nothing is drawn and no
//! picture is decoded; a page's operators are followed as far as they place text.

mod document;
mod interpreter;
mod invoke;
mod layout;
mod state;

#[cfg(target_arch = "wasm32")]
mod component;
#[cfg(test)]
mod tests;

pub use invoke::invoke;
