//! The kernel: what accepts runs, advances them and lets others follow.

mod advance;
mod engine;
mod handle;

pub use advance::{Advance, Advanced};
pub use engine::{Components, Engine, MENDABLE, Settings, StartOptions, Started};
pub use handle::{Ended, Kernel, RunHandle};
