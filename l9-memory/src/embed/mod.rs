//! Vectors of memories: what makes them, and the work of making them after the entries.
//!
//! Nothing here stands in the way of remembering or of searching: an entry without a vector
//! is found by its words.

mod hashing;
mod local;
mod query;
mod work;

pub use hashing::Hashing;
pub use local::Local;
pub use query::Asking;
pub use work::{Embeddable, Unembedded, Worker};

pub use crate::rounds::Claimable;
