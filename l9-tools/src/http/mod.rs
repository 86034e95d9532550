//! Tools that are one HTTP request each, declared by a manifest alone; and what they share with
//! guests that send requests.

mod check;
#[cfg(feature = "models")]
mod outcome;
#[cfg(feature = "models")]
mod outward;
#[cfg(feature = "models")]
mod sandbox;
#[cfg_attr(not(feature = "models"), allow(dead_code, reason = "without models it is checked and never sent"))]
mod template;

pub(crate) use check::defects;
#[cfg(all(feature = "models", feature = "wasm"))]
pub(crate) use outcome::{Stand, broken};
#[cfg(all(feature = "models", feature = "wasm"))]
pub(crate) use outward::Outward;
#[cfg(feature = "models")]
pub use outward::Surroundings;
#[cfg(feature = "models")]
pub use sandbox::Sandbox;
