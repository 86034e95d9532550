//! The tool `data/query`: questions about rows of CSV, JSON lines and JSON arrays.
//!
//! Everything here is plain Rust that runs natively; only `component` knows about wasm.
//! The tool is pure: no clock, no randomness, no state between calls. Numbers are decimals
//! of any length and never floating point.

mod aggregate;
mod answer;
mod filter;
mod query;
mod table;
mod value;

#[cfg(target_arch = "wasm32")]
mod component;
#[cfg(test)]
mod tests;

pub use query::{Query, invoke};
