//! Tools by name: their manifests read, checked whole, compiled and kept.

mod check;
mod manifest;
mod store;

pub use check::check;
pub use manifest::{from_json, from_yaml, manifest_schema};
pub use store::{Registry, Settings};
