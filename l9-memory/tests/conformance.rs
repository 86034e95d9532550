//! Every backend does what every backend must.

use std::sync::Arc;

use l9_core::conformance;
use l9_core::entropy::SystemEntropy;
use l9_core::time::SystemClock;
use l9_memory::in_memory;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_in_memory() {
    conformance::journal::all(&in_memory::Store::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memories_in_memory() {
    let memory = in_memory::Memory::new(Arc::new(SystemClock::default()), Arc::new(SystemEntropy));
    conformance::memory::all(Arc::new(memory)).await;
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use super::*;
    use l9_memory::sqlite::{Database, Memory, Settings, Store};
    use l9_memory::vault::Keyring;

    async fn database(folder: &tempfile::TempDir) -> (Database, Arc<Keyring>) {
        let database = Database::open(&Settings::at(folder.path().join("data/l9.db"))).await.unwrap();
        let keyring = Arc::new(Keyring::open_or_create(folder.path().join("keys/root.key")).unwrap());
        database.bind_key(&keyring.key_id()).await.unwrap();
        (database, keyring)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn runs() {
        let folder = tempfile::tempdir().unwrap();
        let (database, _keyring) = database(&folder).await;
        conformance::journal::all(&Store::open(&database, "node").await.unwrap()).await;
    }

    #[tokio::test]
    async fn memories() {
        let folder = tempfile::tempdir().unwrap();
        let (database, keyring) = database(&folder).await;
        let memory = Memory::new(&database, Arc::new(SystemClock::default()), Arc::new(SystemEntropy), keyring);
        conformance::memory::all(Arc::new(memory)).await;
    }
}
