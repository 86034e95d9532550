//! The store of runs over a database: its journal, leases and inbox.

use super::database::Database;

/// Keeps runs in a PostgreSQL database; clones share it.
#[derive(Debug, Clone)]
pub struct Store {
    pub(super) database: Database,
}

impl Store {
    /// Over a database whose key is bound. A node that dies is not known to be dead: its
    /// leases must run out before others take its runs over.
    #[must_use]
    pub fn new(database: &Database) -> Self {
        Self { database: database.clone() }
    }
}
