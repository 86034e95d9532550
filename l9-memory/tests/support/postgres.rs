//! Databases on a private PostgreSQL server.

use std::sync::Arc;

use l9_core::entropy::{Entropy, SystemEntropy};
use l9_core::memory::Layer;
use l9_core::time::{Clock, SystemClock};
use l9_memory::embed::Asking;
use l9_memory::postgres::{Database, Memory, Settings, Store, Unsealed};
use l9_memory::vault::Keyring;
use l9_services::Postgres;

/// A database that is open, as one node has it.
pub(crate) struct Node {
    pub(crate) server: Arc<Postgres>,
    pub(crate) url: String,
    pub(crate) database: Database,
    pub(crate) keyring: Arc<Keyring>,
}

/// A new database on the server that the tests of this process share.
pub(crate) async fn open() -> Node {
    open_on(&Postgres::shared()).await
}

/// A new database that has pgvector.
pub(crate) async fn open_with_pgvector() -> Node {
    let node = open().await;
    let _ = node.sql("CREATE EXTENSION vector");
    node
}

/// A new database on a server.
pub(crate) async fn open_on(server: &Arc<Postgres>) -> Node {
    let url = server.database();
    let database = Database::open(&Settings::at(url.as_str())).await.expect("the database opens");
    let keyring = Arc::new(Keyring::ephemeral());
    database.bind_key(&keyring.key_id()).await.expect("the key fits");
    Node { server: Arc::clone(server), url, database, keyring }
}

impl Node {
    /// Another node over the same database, with the same key.
    pub(crate) async fn beside(&self) -> Self {
        let database = Database::open(&self.settings()).await.expect("the database opens");
        database.bind_key(&self.keyring.key_id()).await.expect("the key fits");
        Self { server: Arc::clone(&self.server), url: self.url.clone(), database, keyring: Arc::clone(&self.keyring) }
    }

    /// The name of the database.
    pub(crate) fn name(&self) -> &str {
        let path = self.url.rsplit('/').next().expect("a path");
        path.split('?').next().expect("a name")
    }

    /// Runs a statement as the server's owner; gives what it prints.
    pub(crate) fn sql(&self, statement: &str) -> String {
        self.server.sql(self.name(), statement)
    }

    /// Memories by an embedder, with the vectors of some layers open in the database.
    pub(crate) async fn unsealed(&self, layers: &[Layer], asking: Arc<Asking>) -> Memory {
        let space = asking.embedder().space().clone();
        let unsealed = Unsealed::open(&self.database, layers, Some(&space)).await.expect("pgvector is there");
        let memory = self.memory().with_embedder(asking);
        match unsealed {
            Some(unsealed) => memory.with_unsealed(Arc::new(unsealed)),
            None => memory,
        }
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings::at(self.url.as_str())
    }

    pub(crate) fn store(&self) -> Store {
        Store::new(&self.database)
    }

    /// Memories, with the machine's clock and entropy.
    pub(crate) fn memory(&self) -> Memory {
        self.memory_with(Arc::new(SystemClock::default()), Arc::new(SystemEntropy))
    }

    pub(crate) fn memory_with(&self, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Memory {
        Memory::new(&self.database, clock, entropy, self.keyring.clone())
    }
}
