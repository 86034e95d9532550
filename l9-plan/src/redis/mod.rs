//! The task queue of many processes, in a Redis server. What it loses, the reconciler brings
//! back from the journal: the server is the authority for nothing.

mod queue;
mod scripts;
mod server;
mod together;
mod way;

pub use crate::settings::Settings;
pub use queue::Queue;
pub use way::Way;
