//! Policy in the Cedar language.

mod built;
mod check;
mod compile;
pub mod defaults;
mod differing;
mod engine;
mod entities;
mod facts;
mod live;
mod problem;
pub mod schema;
mod scope;
mod slice;
pub mod source;
mod space;
mod usage;

pub use check::{Report, check};
pub use engine::{Cedar, Compiler};
pub use live::{Live, Refreshed};
pub use problem::{Problem, ProblemKind};
pub use source::Source;
