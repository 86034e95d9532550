//! The wasm sandbox: WebAssembly components of the world `l9:tool/tool` run in fresh,
//! pooled instances, within every limit their manifest declares.
//!
//! A guest gets what its WIT world names and nothing else: no network, no files, no
//! environment, no threads. Nothing here may run a guest without a permit.

mod settings;
mod sandbox;
mod component;
mod guest;
mod call;
mod host;
mod limiter;
mod gate;
mod ticker;
mod fault;
mod cache;
mod precompiled;
#[cfg(test)]
mod tests;

pub use component::WORLD;
pub use guest::Guest;
pub use sandbox::Sandbox;
pub use settings::Settings;
