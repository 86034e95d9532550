//! Test-only guests: each tool misbehaves in one way, so that a test can show the sandbox holding it.
//!
//! Never put these in a registry. `hostile/echo` is the one honest tool: benchmarks use it.

pub mod input;

#[cfg(target_arch = "wasm32")]
mod component;
