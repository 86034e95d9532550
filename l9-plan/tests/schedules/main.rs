//! Schedulers over one store, without real time: one run for each tick, whatever the clocks do
//! and whoever dies.
#![expect(clippy::unwrap_used, reason = "a test's helpers, whose failure is the test's")]

mod rules;
mod ticks;
mod world;
