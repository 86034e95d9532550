//! Everything in this process and gone with it: for tests, experiments, and as the
//! oracle that the other backends are held to.

mod audit;
mod curation;
mod dead_letters;
mod embedded;
mod graph;
mod leases;
mod memory;
#[cfg(feature = "redis")]
mod mirror;
mod readings;
mod roster;
mod schedules;
mod store;
mod tenant;
mod tools;

pub use memory::Memory;
pub use store::Store;
