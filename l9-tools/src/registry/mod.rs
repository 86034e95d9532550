//! Tools by name: their manifests read, checked whole, compiled and kept.

mod check;
mod folder;
mod manifest;
mod store;

pub use check::check;
pub(crate) use check::declares;
pub use folder::{Found, from_folder, in_file};
pub use manifest::{from_json, from_yaml, manifest_schema};
pub use store::{Registry, Settings};
