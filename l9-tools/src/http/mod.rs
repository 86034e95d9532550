//! Tools that are one HTTP request each, declared by a manifest alone.

mod check;
#[cfg(feature = "models")]
mod outcome;
#[cfg(feature = "models")]
mod sandbox;
mod template;

pub(crate) use check::defects;
#[cfg(feature = "models")]
pub use sandbox::{Sandbox, Surroundings};
