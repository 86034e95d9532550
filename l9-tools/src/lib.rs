//! What reaches outside: tools and their sandbox, model clients, and the way to the network.
//!
//! This crate knows `l9-core` only. Nothing in it performs an effect without a permit,
//! and it cannot make one.
#![doc = include_str!("../README.md")]

pub mod builtin;
#[cfg(feature = "models")]
pub mod egress;
mod error;
mod headers;
pub mod http;
mod log;
#[cfg(feature = "mcp")]
pub mod mcp;
#[cfg(feature = "models")]
pub mod models;
pub mod native;
pub mod openapi;
mod percent;
pub mod registry;
pub mod schema;
pub mod secrets;
#[cfg(feature = "wasm")]
pub mod wasm;
