//! Tools by name: their manifests read, checked whole, compiled and kept.

mod check;
mod difference;
mod folder;
mod grants;
mod input;
mod manifest;
mod recorded;
mod regular;
mod shelves;
mod signature;

pub use check::check;
pub(crate) use check::declares;
pub use difference::difference;
pub use folder::{Found, files, in_file, read, signature_path};
pub use grants::grants;
pub use manifest::{from_json, from_yaml, manifest_schema};
pub use recorded::{Happened, Recorded, recorded};
pub use regular::read_regular;
pub use shelves::{Registry, Settings, Shelved, Source};
pub use signature::{TrustedKeys, sign};
