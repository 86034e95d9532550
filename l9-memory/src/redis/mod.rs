//! A Redis server for short-term memories, shared by processes and gone when their time is over,
//! and for the hints that nodes give each other.
//!
//! What is kept there is sealed like everything else. Each process answers from a mirror of
//! the tenant's entries, which one request brings up to date before every answer. Of this crate
//! only this module knows about Redis; nothing is kept there that must not be lost.

mod cluster;
mod curation;
mod error;
mod graph;
mod hints;
mod layers;
mod link;
mod memory;
mod merged;
mod scripts;
mod sealing;
mod server;
mod settings;

pub use hints::HintChannel;
pub use layers::Layers;
pub use memory::Memory;
pub use server::Server;
pub use settings::Settings;
