//! Tools by name: their manifests read, checked whole, compiled and kept.

mod manifest;
mod check;
mod store;

pub use manifest::{from_json, from_yaml, manifest_schema};
pub use check::check;
pub use store::{Registry, Settings};
