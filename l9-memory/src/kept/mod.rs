//! Memories in a database, whichever it is. What is stored is sealed; what is searched
//! is an index in this process, built from the sealed terms. A backend supplies the rows.

mod indexed;
mod memory;
mod plan;
mod rows;
mod sealing;

pub(crate) use indexed::{Loaded, LoadedEntry};
pub use memory::Memory;
pub(crate) use plan::{Addition, Plan};
pub(crate) use rows::{Removal, Rows, SealedEntry};
pub(crate) use sealing::{Kept, Marks, Prepared, layer};
