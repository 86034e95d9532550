//! One SQLite file: the default backend, with nothing to install.
//!
//! One connection writes, and one task owns it: it merges what waits into one
//! transaction and one flush. Reads go through a pool of read-only connections. Other
//! processes may use the same file; each has its own writer.

mod appends;
mod audit;
mod database;
mod dead_letters;
mod entries;
mod error;
mod inbox;
mod journal;
mod leases;
mod memory;
mod nodes;
mod roster;
mod rows;
mod schedules;
mod schema;
mod sealed;
mod settings;
mod store;
mod tools;
mod writer;

pub use crate::kept::Memory;
pub use database::Database;
pub use settings::{Settings, Synchronous};
pub use store::Store;
