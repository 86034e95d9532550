//! What stands before every memory: personal data is kept apart from the words it stands in,
//! and words that look like orders to a model are labelled.

mod memory;
mod orders;
mod said;

pub use memory::{Guarded, Settings};
pub use orders::SCAN;
