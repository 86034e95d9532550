//! The tool `calc/evaluate`: exact arithmetic with percentages, functions and units.
//!
//! Everything here is plain Rust that runs natively; only `component` knows about wasm.
//! The tool is pure: no clock, no randomness, no state between calls.

mod error;
mod evaluate;
mod format;
mod functions;
mod lexer;
mod number;
mod parser;
mod quantity;
mod units;

#[cfg(target_arch = "wasm32")]
mod component;
#[cfg(test)]
mod tests;

pub use error::Error;
pub use evaluate::{Evaluation, evaluate, invoke};
