//! The store of runs over a database: its journal, leases and inbox.

use std::sync::Arc;
use std::time::Duration;

use l9_core::time::{Clock, SystemClock};
use l9_core::{ErrorKind, Result};

use super::appends::now;
use super::database::Database;
use super::nodes::Nodes;

/// How often a node's lock is tried for.
const TRIES: u32 = 10;

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
        if !self.lock(owner).await? {
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

    /// Takes the owner's lock; tells whether it was not held before.
    async fn lock(&self, owner: &str) -> Result<bool> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.nodes.hold(owner) {
                Err(error) if error.kind() == ErrorKind::Conflict && tries < TRIES => {
                    SystemClock::default().sleep(Duration::from_millis(5)).await;
                }
                held => return held,
            }
        }
    }
}
