//! The store of runs over a database: its journal, leases and inbox.

use std::sync::Arc;

use l9_core::{Error, Result};

use super::appends::now;
use super::database::Database;
use super::nodes::Nodes;

/// Keeps runs in a SQLite file; clones share it.
#[derive(Debug, Clone)]
pub struct Store {
    pub(super) database: Database,
    pub(super) nodes: Arc<Nodes>,
}

impl Store {
    /// A store for the node of this name. The node's lock is held until the store and
    /// its clones are dropped; leases that an earlier process left under the same name
    /// are free at once.
    ///
    /// # Errors
    /// `Conflict` when another process runs under the name on this database.
    pub async fn open(database: &Database, node: &str) -> Result<Self> {
        let store = Self { database: database.clone(), nodes: Arc::new(Nodes::new(database.path())) };
        store.hold(node).await?;
        Ok(store)
    }

    /// Makes sure that this process is the owner of that name.
    pub(super) async fn hold(&self, owner: &str) -> Result<()> {
        if self.nodes.holds(owner) {
            return Ok(());
        }
        let (nodes, name) = (Arc::clone(&self.nodes), owner.to_owned());
        let held = tokio::task::spawn_blocking(move || nodes.hold(&name)).await;
        if !held.map_err(|error| Error::internal("a node's lock was not taken").caused_by(error))?? {
            return Ok(());
        }
        // Whoever held leases under this name is dead: its lock could be had.
        let owner = owner.to_owned();
        self.database
            .writer()
            .grouped(None, 1, move |connection| {
                Box::pin(async move {
                    let freed = sqlx::query(concat!(
                        "UPDATE runs SET owner = NULL, lease_until = NULL, wake_at = ",
                        now!(),
                        " WHERE owner = ?"
                    ))
                    .bind(owner)
                    .execute(connection)
                    .await?;
                    Ok(Ok(freed.rows_affected()))
                })
            })
            .await?;
        Ok(())
    }
}
