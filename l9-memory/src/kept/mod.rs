//! Memories in a database, whichever it is. What is stored is sealed; what is searched
//! is an index in this process, built from the sealed terms. A backend supplies the rows.

mod changing;
mod connection;
mod curation;
mod embedded;
mod expiring;
mod graph;
mod indexed;
mod listing;
mod memory;
mod plan;
mod quotas;
mod readings;
mod restoring;
mod rows;
mod sealing;
mod sources;
mod subjects;
mod unsealed;

pub(crate) use changing::add;
pub(crate) use connection::{Connection, Job, Row, Value};
pub(crate) use indexed::{Changed, Loaded, LoadedEntry};
pub use memory::Memory;
pub(crate) use plan::Addition;
pub(crate) use rows::{Rows, SealedEntry};
pub(crate) use sealing::{Kept, Known, Marks, Prepared, layer};
#[cfg(feature = "postgres")]
pub(crate) use {sealing::layer_number, unsealed::Unsealed};
