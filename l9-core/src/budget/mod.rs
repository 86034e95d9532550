//! Budgets: what a run may use, what it has reserved, what it has spent.

mod amounts;
mod read;

pub use amounts::{Budget, Cost};
