//! The tools `text/extract`, `text/split` and `text/diff`.
//!
//! Everything here is plain Rust that runs natively; only `component` knows about wasm.
//! The tools are pure: no clock, no randomness, no state between calls.

mod compare;
mod diff;
mod extract;
mod invoke;
mod markdown;
mod query;
mod score;
mod sentence;
mod snake;
mod split;
mod stem;
mod words;

#[cfg(target_arch = "wasm32")]
mod component;
#[cfg(test)]
mod tests;

pub use diff::{Diff, diff};
pub use extract::{Passage, Quote, extract};
pub use invoke::invoke;
pub use split::{Part, split};
