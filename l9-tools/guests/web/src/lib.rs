//! The tool `web/extract`: the readable text and the links of a web page.
//!
//! Everything here is plain Rust that runs natively; only `component` knows about wasm.
//! The tool is pure: no clock, no randomness, no state between calls. No tree is built, so
//! that the time it takes grows with the page's size and nothing else.

mod element;
mod invoke;
mod page;
mod reader;
mod text;

#[cfg(target_arch = "wasm32")]
mod component;
#[cfg(test)]
mod tests;

pub use invoke::invoke;
