//! Archives in a folder: a file for each root, written whole or not at all.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use l9_core::digest::Digest;
use l9_core::kernel::Archive;
use l9_core::{Error, ErrorKind, Result};

/// A folder of archives.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Archives in this folder, which is made when the first is kept.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    fn file(&self, root: Digest) -> PathBuf {
        self.path.join(format!("{root}.l9run"))
    }
}

#[async_trait]
impl Archive for Folder {
    async fn put(&self, root: Digest, bytes: Vec<u8>) -> Result<()> {
        let (folder, file) = (self.path.clone(), self.file(root));
        blocking(move || keep(&folder, &file, &bytes).map_err(|error| fault(&file, &error))).await
    }

    async fn get(&self, root: Digest) -> Result<Option<Vec<u8>>> {
        let file = self.file(root);
        blocking(move || match std::fs::read(&file) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(fault(&file, &error)),
        })
        .await
    }
}

/// Durable before it has its name, and the name before anybody is told.
fn keep(folder: &Path, file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let partial = file.with_extension("partial");
    let mut open = std::fs::File::create(&partial)?;
    open.write_all(bytes)?;
    open.sync_all()?;
    std::fs::rename(&partial, file)?;
    std::fs::File::open(folder)?.sync_all()
}

fn fault(file: &Path, error: &std::io::Error) -> Error {
    let kind = match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorKind::Exhausted,
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Denied,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, format!("the archive {} cannot be used: {error}", file.display()))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::internal("an archive task ended").caused_by(error))?
}
