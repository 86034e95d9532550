//! What every kind of database can be asked, and which kind an address names.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use l9_core::tool::ToolFault;
use l9_core::{Error, Result};
use secrecy::ExposeSecret;
use serde_json::Value;

use super::answer::Answer;
use super::settings::Settings;

/// Characters of what a database says that are passed on.
const SAID: usize = 500;

/// One statement and what it is asked with.
#[derive(Debug)]
pub(super) struct Question {
    /// The statement.
    pub(super) sql: String,
    /// The values of its parameters: null, flags, numbers and texts.
    pub(super) params: Vec<Value>,
    /// The most rows of the answer.
    pub(super) rows: usize,
}

/// A database that can be read.
#[async_trait]
pub(super) trait Engine: fmt::Debug + Send + Sync {
    /// Reads, over a connection of its own that is gone afterwards.
    async fn ask(&self, question: Question) -> Result<Answer, ToolFault>;
}

/// The engine of an address. Nothing is connected to yet.
///
/// # Errors
/// `Invalid` for an address that names no database of this build.
pub(super) fn open(name: &str, settings: &Settings) -> Result<Arc<dyn Engine>> {
    settings.check(name)?;
    let url = settings.url.expose_secret();
    if let Some(path) = url.strip_prefix("sqlite:") {
        return sqlite(path.strip_prefix("//").unwrap_or(path), settings);
    }
    if url.starts_with("postgresql://") || url.starts_with("postgres://") {
        return postgres(name, settings);
    }
    let mend = "use sqlite:PATH or postgresql://USER:PASSWORD@HOST:PORT/DATABASE";
    Err(Error::invalid(format!("tools.databases.{name}.url names no database there is: {mend}")))
}

#[cfg(feature = "sqlite")]
fn sqlite(path: &str, settings: &Settings) -> Result<Arc<dyn Engine>> {
    Ok(Arc::new(super::sqlite::Sqlite::new(path, settings)))
}

#[cfg(not(feature = "sqlite"))]
fn sqlite(_: &str, _: &Settings) -> Result<Arc<dyn Engine>> {
    Err(Error::invalid("tools.databases: this build has no SQLite: turn the feature `sqlite` on"))
}

#[cfg(feature = "postgres")]
fn postgres(name: &str, settings: &Settings) -> Result<Arc<dyn Engine>> {
    Ok(Arc::new(super::postgres::Postgres::new(name, settings)?))
}

#[cfg(not(feature = "postgres"))]
fn postgres(_: &str, _: &Settings) -> Result<Arc<dyn Engine>> {
    Err(Error::invalid("tools.databases: this build has no PostgreSQL: turn the feature `postgres` on"))
}

/// What a database says against a statement: nothing happened.
pub(super) fn said(message: impl fmt::Display) -> ToolFault {
    ToolFault::new("failed", crate::log::printable(&format!("the database says: {message}"), SAID))
}

/// No answer this time.
pub(super) fn unreachable(message: impl fmt::Display) -> ToolFault {
    ToolFault::passing("unavailable", crate::log::printable(&message.to_string(), SAID))
}

/// The query outlived its time.
pub(super) fn late(settings: &Settings) -> ToolFault {
    let most = crate::error::Grouped(settings.timeout_ms);
    ToolFault::new("limit.time", format!("the query took longer than {most} ms: ask for less, or have an index made"))
}

/// What is not one statement that gives rows.
pub(super) fn not_one_query() -> ToolFault {
    ToolFault::new(
        "invalid_input",
        "sql is not one statement that gives rows: write one SELECT, VALUES or WITH … SELECT",
    )
}

/// There are more parameters than values, or fewer.
pub(super) fn miscounted(wanted: usize, given: usize, first: &str) -> ToolFault {
    ToolFault::new(
        "invalid_input",
        format!("the query has {wanted} parameters and params has {given}: give one for each, {first} the first"),
    )
}
