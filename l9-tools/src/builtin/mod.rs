//! The tools that come with L9.

#[cfg(feature = "wasm")]
mod components;
mod memory_checkpoint;
mod memory_remember;
mod memory_reveal;
mod memory_search;
mod run_approve;
mod run_delegate;
mod run_plan;
mod run_wait;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub mod sql;

#[cfg(feature = "wasm")]
pub use components::{FileMount, FileMounts, register_all};
#[cfg(all(feature = "wasm", feature = "models"))]
pub use components::{WebHosts, register_fetch};
pub use memory_checkpoint::{memory_restore, memory_snapshot};
pub use memory_remember::memory_remember;
pub use memory_reveal::memory_reveal;
pub use memory_search::memory_search;
pub use run_approve::run_approve;
pub use run_delegate::run_delegate;
pub use run_plan::run_plan;
pub use run_wait::run_wait;
