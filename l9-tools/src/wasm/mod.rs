//! The wasm sandbox: WebAssembly components of the world `l9:tool/tool` run in fresh,
//! pooled instances, within every limit their manifest declares.
//!
//! A guest gets what its WIT world names and its manifest grants, and nothing else: no
//! environment, no threads. Nothing here may run a guest without a permit, or open a
//! connection.

mod cache;
mod call;
mod component;
mod fault;
mod files;
mod gate;
mod guest;
mod host;
mod http;
mod interfaces;
mod limiter;
mod pace;
mod precompiled;
mod sandbox;
mod scratch;
mod settings;
#[cfg(test)]
mod tests;
mod ticker;

pub use component::WORLD;
pub use files::Mount;
pub use guest::Guest;
pub use http::Surroundings;
pub use sandbox::{Builder, Sandbox};
pub use settings::Settings;
