//! Test-only guest: it asks the host for whatever its input says, step by step, and tells
//! what came of each. So a test is a list of host calls, honest or not.
//!
//! Never put it in a registry: it does what anybody asks of it.

pub mod step;

#[cfg(target_arch = "wasm32")]
mod component;
