//! The tools `time/now` and `time/calc`.
//!
//! Everything here is plain Rust that runs natively; only `component` knows about wasm and
//! about the clock, which is the host's. The zones are those of the IANA database that is
//! compiled in.

mod calc;
mod invoke;
mod moment;

#[cfg(target_arch = "wasm32")]
mod component;
#[cfg(test)]
mod tests;

pub use invoke::invoke;
