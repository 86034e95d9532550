//! What every part of L9 agrees on: ids, errors, time; runs, their journal and
//! their driver; the governed path; agents and the kernel that executes them.
//!
//! This crate must not know another L9 crate, nor any SQL, wasm, HTTP or graph
//! library: backends and sandboxes reach it only through the traits it defines.
#![doc = include_str!("../README.md")]

pub mod error;
pub mod id;
pub mod time;
pub mod entropy;
pub mod digest;
pub mod json;
pub mod label;
pub mod budget;
pub mod principal;
pub mod vault;
pub mod redact;
pub mod run;
pub mod journal;
pub mod tool;
pub mod model;
pub mod memory;
pub mod egress;
pub mod governor;
pub mod agent;
pub mod queue;
pub mod kernel;
pub mod evidence;
#[cfg(feature = "conformance")]
pub mod conformance;

pub use error::{Error, ErrorKind, Result};
