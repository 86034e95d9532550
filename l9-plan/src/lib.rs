//! L9 plan: what takes long. Today the task queue and the worker that `serve` and the
//! command line run on, and the schedules that start runs; plans come here too.
//!
//! This crate knows `l9-core` only. It decides when a run is started and advanced, never how.
#![doc = include_str!("../README.md")]

pub mod in_process;
pub mod schedule;
pub mod worker;

pub use worker::Worker;
