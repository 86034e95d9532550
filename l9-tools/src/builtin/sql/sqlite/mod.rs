//! Reading a SQLite file.

mod database;
mod guard;

pub(super) use database::Sqlite;
