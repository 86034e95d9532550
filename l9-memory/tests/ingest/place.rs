//! A folder with files, a memory, and what is taken in.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use l9_core::entropy::SystemEntropy;
use l9_core::id::TenantId;
use l9_core::memory::{Entry, MemoryStore, Query, Scope};
use l9_core::time::SystemClock;
use l9_memory::in_memory::Memory;
use l9_memory::ingest::{Ingest, Options, Report, Status};

pub(crate) struct Place {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) memory: Arc<Memory>,
}

impl Place {
    pub(crate) fn new() -> Self {
        let memory = Memory::new(Arc::new(SystemClock::default()), Arc::new(SystemEntropy));
        Self { folder: tempfile::tempdir().unwrap(), memory: Arc::new(memory) }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn ingest(&self) -> Ingest {
        let store: Arc<dyn MemoryStore> = self.memory.clone();
        Ingest::new(store, TenantId::default_tenant())
    }

    pub(crate) async fn take(&self, path: &Path) -> l9_core::Result<Report> {
        self.ingest().path(path, &|_: &Status| {}).await
    }

    pub(crate) async fn take_with(&self, path: &Path, options: Options) -> Report {
        self.ingest().with_options(options).path(path, &|_: &Status| {}).await.unwrap()
    }

    pub(crate) async fn count(&self) -> u64 {
        self.memory.count(&Scope::tenant(TenantId::default_tenant())).await.unwrap()
    }

    pub(crate) async fn found(&self, words: &str) -> Vec<Entry> {
        let scope = Scope::tenant(TenantId::default_tenant());
        let hits = self.memory.search(&scope, &Query::new(words, 5)).await.unwrap();
        hits.into_iter().map(|hit| hit.entry).collect()
    }
}

pub(crate) fn document(sections: usize) -> String {
    let section =
        |at| format!("## Part {at}\n\nPart {at} tells of number{at}. {}\n\n", "More is said here. ".repeat(30));
    std::iter::once("# Title\n\n".to_owned()).chain((0..sections).map(section)).collect()
}
