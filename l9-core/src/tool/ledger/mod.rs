//! The life of tools: which versions there are, what each means, and who let it be called
//! or forbade it.

pub(crate) mod change;
mod standing;
mod store;

pub use change::{Cause, Order, StoredToolChange, ToolChange, ToolState};
pub use standing::{Entry, Standings};
pub use store::ToolLedger;
