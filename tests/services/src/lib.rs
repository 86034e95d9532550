//! Private servers that tests and benchmarks start, on free ports of the loopback and in
//! folders of their own, and that never outlive them.
//!
//! What is missing on the machine is a failure that names the package, never a skip.

#![expect(clippy::panic, reason = "whoever starts a server is a test, whose failure this is")]

mod postgres;

pub use postgres::{Postgres, Stop};
