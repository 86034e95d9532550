//! One SQLite file: the default backend, with nothing to install.
//!
//! One connection writes, and one task owns it: it merges what waits into one
//! transaction and one flush. Reads go through a pool of read-only connections. Other
//! processes may use the same file; each has its own writer.

mod settings;
mod error;
mod schema;
mod database;
mod nodes;
mod writer;
mod appends;
mod rows;
mod store;
mod journal;
mod leases;
mod inbox;
mod memory;
mod entries;

pub use database::Database;
pub use memory::Memory;
pub use settings::{Settings, Synchronous};
pub use store::Store;
