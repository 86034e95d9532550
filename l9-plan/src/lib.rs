//! L9 plan: what takes long. Plans, the schedules that start runs, the task queues, and the
//! worker that `serve` and the command line run on.
//!
//! This crate knows `l9-core` only. It decides when a run is started and advanced and what a
//! plan wants next, never how that is done.
#![doc = include_str!("../README.md")]

pub mod in_process;
pub mod plan;
mod rate;
#[cfg(feature = "redis")]
pub mod redis;
pub mod schedule;
mod settings;
pub mod worker;

pub use settings::{Backend, Settings};
pub use worker::Worker;

/// A number in 0..1 by which waits differ, so that not everybody comes back at once.
fn jitter(entropy: &dyn l9_core::entropy::Entropy) -> f64 {
    let mut random = [0; 4];
    entropy.fill(format_args!("queue/jitter"), &mut random);
    f64::from(u32::from_be_bytes(random)) / f64::from(u32::MAX)
}
