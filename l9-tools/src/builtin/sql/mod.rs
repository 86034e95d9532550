//! `sql/query`: reads the SQL databases that the settings name.
//!
//! Nothing here looks for words in a statement. That it only reads is held by the engines:
//! SQLite's authorizer over a file that is open for reading, PostgreSQL's cursor within a
//! read-only transaction of a role that may do nothing else.

mod answer;
mod engine;
#[cfg(feature = "postgres")]
mod postgres;
mod query;
mod settings;
#[cfg(feature = "sqlite")]
mod sqlite;

pub use query::sql_query;
pub use settings::{Databases, Settings};
