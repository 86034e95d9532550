//! The life of tools in a running system: they arrive, people decide about them, and every
//! process of a store learns what was decided.

mod databases;
mod decide;
mod kinds;
mod live;
#[cfg(feature = "mcp")]
mod remote;
mod scan;
mod settings;

pub(crate) use databases::register as register_databases;
pub use decide::{Decided, Decision};
pub(crate) use kinds::Kinds;
pub use live::{Arrival, Tools};
pub use settings::Settings;

pub use l9_memory::vault::{open_or_create_signing_key as open_or_create_key, open_signing_key as open_key};
