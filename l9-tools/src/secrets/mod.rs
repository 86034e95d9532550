//! Secrets that tools may use: where their values come from, and who is granted which.
//!
//! A tool names a handle and never sees the value; the host puts it into a request when
//! that leaves.

mod environment;
mod folder;
mod grant;
mod provider;
mod sealed;
mod store;

pub use environment::Environment;
pub use folder::Folder;
pub use grant::Grant;
#[cfg(feature = "mcp")]
pub(crate) use grant::is_loopback;
pub use provider::{Provider, is_handle};
pub use sealed::Sealed;
pub use store::Secrets;
