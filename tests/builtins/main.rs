//! The tools that come with L9, each through a run and the whole governed path.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may fail, and waits for real"
)]

mod data;
#[cfg(feature = "models")]
mod fetch;
mod file;
mod pdf;
#[cfg(feature = "postgres")]
mod sql_postgres;
mod sql_sqlite;
mod support;
mod time;
mod web;
