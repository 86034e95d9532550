//! What every backend must do, as functions that any backend can run.
//!
//! Each case takes a store and panics with the case's words when the store is wrong.
//! Each has tenants and runs of its own, so that one store can run them all, also one
//! that other tests use at the same time. A backend's test calls `journal::all`, `audit::all`,
//! `tools::all`, `roster::all`, `schedules::all`, `memory::all` and `quotas::all`, so that a new case
//! reaches every backend.

pub mod audit;
pub mod chain;
mod curation;
pub mod dead_letters;
mod duplicates;
mod graph;
pub mod journal;
pub mod leases;
pub mod memory;
pub mod queue;
pub mod quotas;
pub mod roster;
pub mod schedules;
mod steps;
mod subjects;
pub mod tools;
mod vault;

pub use chain::Chain;
pub use vault::PlainVault;
