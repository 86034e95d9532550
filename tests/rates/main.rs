//! Rate limits through the front door: no burst, by however many runs, agents and names,
//! exceeds one; who waits for a turn leaves no trace and gets it in the end; what is refused
//! used up nothing.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may fail, and waits for real"
)]

mod bytes;
mod capacity;
#[path = "../support/clock.rs"]
mod clock;
mod minute;
mod support;
mod turns;
