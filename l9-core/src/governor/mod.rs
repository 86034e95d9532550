//! The governed path: the one way from a wish to an effect.

mod permit;
mod policy;
mod path;
mod intend;
mod perform;
mod stops;

pub use path::{Governor, Settings};
pub use permit::Permit;
pub use policy::{Baseline, Decision, Policy, PolicyRequest, Verdict};
pub use stops::Stops;

pub(crate) use path::Admission;
pub(crate) use perform::Performed;
