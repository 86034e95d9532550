//! Files of the folders that an operator mounted and a manifest grants: `l9:tool/files`.
//!
//! Every path is resolved by the kernel beneath its mount, without links, and nothing stays
//! open between two calls of the host. What is not a regular file or a folder is not opened.

#[cfg(target_os = "linux")]
mod beneath;
#[cfg(not(target_os = "linux"))]
#[path = "elsewhere.rs"]
mod beneath;
mod changing;
mod folder;
mod host;
mod mounts;
mod path;
mod room;

pub(super) use host::Files;
pub use mounts::Mount;
pub(super) use mounts::{check, granted};
