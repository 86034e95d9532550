//! The flow of values through a run: where each comes from, and how far it is to be believed.
//!
//! A value that a model wrote has the labels of the sources in which it exactly occurs, and if
//! it occurs in none, those of everything the run has read.

mod amounts;
mod fields;
mod identities;
mod judge;
mod naming;
mod said;
mod session;
mod trace;
mod words;

pub use fields::{FieldLabel, FieldLabels, Taint};
pub use identities::Identities;
pub use judge::Judged;
pub(crate) use judge::weighs;
pub use session::{Flow, Reading};
pub use trace::{TraceReader, TraceVerdict};
