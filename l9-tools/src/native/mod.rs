//! Tools written in Rust and compiled in: a typed input, a typed output, an async closure.
//!
//! Schemas come from the types, limits and effects from a builder. A handler sees the
//! facts of its permit, never the permit itself.

mod context;
mod fault;
mod sandbox;
mod tool;

pub use context::Context;
pub use fault::{Fault, Result};
pub use tool::{Builder, NativeTool, tool};
