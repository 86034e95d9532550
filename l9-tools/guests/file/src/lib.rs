//! The tools `file/read`, `file/write` and `file/list`: the files of a mount.
//!
//! What they do is plain Rust over a trait, so that it runs natively; only `component` knows
//! about wasm and the host. Nothing is remembered between calls.

mod folder;
mod invoke;
mod list;
mod read;
mod write;

#[cfg(target_arch = "wasm32")]
mod component;
#[cfg(test)]
mod tests;

pub use folder::{Entry, Error, Folder, Kind};
pub use invoke::{Fault, invoke};
