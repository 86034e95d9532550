//! Data folders with a SQLite file.

use std::path::Path;
use std::sync::Arc;

use l9_core::entropy::{Entropy, SystemEntropy};
use l9_core::time::{Clock, SystemClock};
use l9_memory::sqlite::{Database, Memory, Settings, Store};
use l9_memory::vault::Keyring;

/// A data folder that is open.
pub(crate) struct Data {
    pub(crate) database: Database,
    pub(crate) keyring: Arc<Keyring>,
}

/// Opens the data folder as the runtime does.
pub(crate) async fn open(folder: &Path) -> Data {
    let database = Database::open(&Settings::at(folder.join("l9.db"))).await.expect("the database opens");
    let key = folder.join("root.key");
    let keyring = if database.key_id().is_some() { Keyring::open(key) } else { Keyring::open_or_create(key) };
    let keyring = Arc::new(keyring.expect("the key opens"));
    database.bind_key(&keyring.key_id()).await.expect("the key fits");
    Data { database, keyring }
}

impl Data {
    /// Runs, as the node of that name.
    pub(crate) async fn store(&self, node: &str) -> Store {
        Store::open(&self.database, node).await.expect("the node is free")
    }

    /// Memories, with the machine's clock and entropy.
    pub(crate) fn memory(&self) -> Memory {
        self.memory_with(Arc::new(SystemClock::default()), Arc::new(SystemEntropy))
    }

    pub(crate) fn memory_with(&self, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Memory {
        Memory::new(&self.database, clock, entropy, self.keyring.clone())
    }
}
