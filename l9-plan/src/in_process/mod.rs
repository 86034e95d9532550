//! The task queue of one process.

mod queue;
mod rates;
mod shares;
mod state;

pub use crate::settings::Settings;
pub use queue::Queue;
