//! A witness over HTTP, against the served binary: a good one has a chain of checkpoints, and
//! a rude one holds nothing up and has the newest once it is good.
#![expect(clippy::unwrap_used, reason = "a test's helpers, whose failure is the test's")]

mod chain;
mod outage;
#[path = "../support/mod.rs"]
mod support;
mod witness;
