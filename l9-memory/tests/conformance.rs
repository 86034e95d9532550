//! Every backend does what every backend must.

use std::sync::Arc;

use l9_core::conformance;
use l9_core::conformance::audit::Stores;
use l9_core::entropy::SystemEntropy;
use l9_core::time::SystemClock;
use l9_memory::in_memory;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_in_memory() {
    let store = in_memory::Store::default();
    conformance::journal::all(&store).await;
    let memory = in_memory::Memory::new(Arc::new(SystemClock::default()), Arc::new(SystemEntropy));
    conformance::journal::prepared_memories_are_written_with_an_append(&store, &memory).await;
}

/// A store that keeps all layers.
async fn memories(store: Arc<dyn l9_core::memory::MemoryStore>) {
    conformance::memory::all(Arc::clone(&store)).await;
    conformance::memory::short_term(&store).await;
}

/// A store with the quota of the cases.
async fn quotas(store: Arc<dyn l9_core::memory::MemoryStore>) {
    conformance::quotas::all(Arc::clone(&store)).await;
    conformance::quotas::over_time(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quotas_in_memory() {
    let memory = in_memory::Memory::new(Arc::new(SystemClock::default()), Arc::new(SystemEntropy));
    quotas(Arc::new(memory.with_quota(conformance::quotas::QUOTA))).await;
}

/// One store as both.
fn both<S: l9_core::journal::RunStore + l9_core::evidence::AuditLog + 'static>(store: S) -> Stores {
    let store = Arc::new(store);
    Stores { runs: Arc::<S>::clone(&store), log: store }
}

/// One store as all three.
async fn tools<S>(store: Arc<S>)
where
    S: l9_core::tool::ToolLedger + l9_core::journal::RunStore + l9_core::evidence::AuditLog + 'static,
{
    let ledger: Arc<dyn l9_core::tool::ToolLedger> = Arc::<S>::clone(&store);
    let stores = Stores { runs: Arc::<S>::clone(&store), log: store };
    conformance::tools::all(&ledger, &stores).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schedules_in_memory() {
    let store: Arc<dyn l9_core::schedule::Schedules> = Arc::new(in_memory::Store::default());
    conformance::schedules::all(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_changes_of_tools_in_memory() {
    tools(Arc::new(in_memory::Store::default())).await;
}

#[tokio::test]
async fn nodes_in_memory() {
    conformance::roster::all(&in_memory::Store::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_audit_tree_in_memory() {
    conformance::audit::all(&both(in_memory::Store::default())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memories_in_memory() {
    let memory = in_memory::Memory::new(Arc::new(SystemClock::default()), Arc::new(SystemEntropy));
    memories(Arc::new(memory)).await;
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod support;

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_in_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let database = support::open(folder.path()).await;
    let store = database.store("node").await;
    conformance::journal::all(&store).await;
    conformance::journal::prepared_memories_are_written_with_an_append(&store, &database.memory()).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_audit_tree_in_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    conformance::audit::all(&both(support::open(folder.path()).await.store("node").await)).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_changes_of_tools_in_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    tools(Arc::new(support::open(folder.path()).await.store("node").await)).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schedules_in_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn l9_core::schedule::Schedules> = Arc::new(support::open(folder.path()).await.store("node").await);
    conformance::schedules::all(&store).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn nodes_in_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    conformance::roster::all(&support::open(folder.path()).await.store("node").await).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn memories_in_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    memories(Arc::new(support::open(folder.path()).await.memory())).await;
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_in_postgres() {
    let database = support::postgres::open().await;
    let store = database.store();
    conformance::journal::all(&store).await;
    conformance::journal::prepared_memories_are_written_with_an_append(&store, &database.memory()).await;
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_audit_tree_in_postgres() {
    conformance::audit::all(&both(support::postgres::open().await.store())).await;
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_changes_of_tools_in_postgres() {
    tools(Arc::new(support::postgres::open().await.store())).await;
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schedules_in_postgres() {
    let node = support::postgres::open().await;
    let store: Arc<dyn l9_core::schedule::Schedules> = Arc::new(node.store());
    conformance::schedules::all(&store).await;
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn nodes_in_postgres() {
    conformance::roster::all(&support::postgres::open().await.store()).await;
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn memories_in_postgres() {
    memories(Arc::new(support::postgres::open().await.memory())).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quotas_in_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let memory = support::open(folder.path()).await.memory();
    quotas(Arc::new(memory.with_quota(conformance::quotas::QUOTA))).await;
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quotas_in_postgres() {
    let node = support::postgres::open().await;
    quotas(Arc::new(node.memory().with_quota(conformance::quotas::QUOTA))).await;
}
