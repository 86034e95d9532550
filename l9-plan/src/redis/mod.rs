//! The task queue of many processes, in a Redis server. What it loses, the reconciler brings
//! back from the journal: the server is the authority for nothing.

mod connection;
mod queue;
mod scripts;
mod server;
mod together;

pub use crate::settings::Settings;
pub use connection::Connection;
pub use queue::Queue;
