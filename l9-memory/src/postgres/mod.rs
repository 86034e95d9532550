//! A PostgreSQL server: for machines that have one, and for many nodes over one database.
//!
//! One task appends for all runs of the process and merges what waits into one
//! statement and one flush. Everything else goes through a pool. Times of leases are
//! the server's own, and nothing of a node but its leases is known to the others.

mod appender;
mod appends;
mod audit;
mod columns;
mod database;
mod dead_letters;
mod error;
mod inbox;
mod journal;
mod leases;
mod memory;
mod roster;
mod rows;
mod schedules;
mod schema;
mod sealed;
mod settings;
mod store;
mod tools;
mod unsealed;

pub use crate::kept::Memory;
pub use database::Database;
pub use settings::Settings;
pub use store::Store;
pub use unsealed::Unsealed;
