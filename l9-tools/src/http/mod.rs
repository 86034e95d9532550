//! Tools that are one HTTP request each, declared by a manifest alone; and what they share with
//! guests that send requests.

mod check;
#[cfg(feature = "models")]
mod outcome;
#[cfg(feature = "models")]
mod outward;
#[cfg(feature = "models")]
mod sandbox;
mod template;

pub(crate) use check::defects;
#[cfg(all(feature = "models", feature = "wasm"))]
pub(crate) use outcome::{Stand, broken};
#[cfg(feature = "models")]
pub(crate) use outward::Outward;
#[cfg(feature = "models")]
pub use outward::Surroundings;
#[cfg(feature = "models")]
pub use sandbox::Sandbox;
