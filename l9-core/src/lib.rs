//! What every part of L9 agrees on: ids, errors, time; runs, their journal and
//! their driver; the governed path; agents and the kernel that executes them.
//!
//! This crate must not know another L9 crate, nor any SQL, wasm, HTTP or graph
//! library: backends and sandboxes reach it only through the traits it defines.
#![doc = include_str!("../README.md")]

pub mod agent;
pub mod budget;
mod canonical;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod digest;
pub mod egress;
pub mod entropy;
pub mod error;
pub mod evidence;
#[doc(hidden)]
pub mod failpoint;
pub mod flow;
pub mod governor;
pub mod id;
pub mod journal;
pub mod json;
pub mod kernel;
pub mod label;
pub mod memory;
pub mod mention;
pub mod model;
pub mod node;
pub mod plan;
pub mod pointer;
pub mod principal;
pub mod queue;
pub mod rate;
pub mod redact;
pub mod run;
pub mod schedule;
pub mod stop;
mod text;
pub mod time;
pub mod tool;
pub mod vault;

pub use error::{Error, ErrorKind, Result};
