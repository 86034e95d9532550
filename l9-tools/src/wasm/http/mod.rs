//! Requests of guests: `l9:tool/http`, by the one way out that HTTP tools take.
//!
//! Nothing here opens a connection or shows the value of a secret to a guest.

#[cfg(not(feature = "models"))]
mod elsewhere;
#[cfg(feature = "models")]
mod host;

#[cfg(feature = "models")]
pub use crate::http::Surroundings;
#[cfg(not(feature = "models"))]
pub(super) use elsewhere::Requests;
#[cfg(not(feature = "models"))]
pub use elsewhere::Surroundings;
#[cfg(feature = "models")]
pub(super) use host::Requests;
