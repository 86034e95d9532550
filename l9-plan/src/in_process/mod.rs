//! The task queue of one process.

mod queue;
mod settings;
mod state;

pub use queue::Queue;
pub use settings::Settings;
