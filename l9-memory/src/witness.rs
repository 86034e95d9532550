//! A witness in the file system: a file that grows by every checkpoint, or a folder with
//! one file for each, such as the mount of an object store that keeps what it was given.

use std::io::SeekFrom;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use l9_core::evidence::{SignedCheckpoint, Witness};
use l9_core::{Error, ErrorKind, Result};
use tokio::fs::{self, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

/// Keeps checkpoints in a file, or in a folder if one is there.
#[derive(Debug, Clone)]
pub struct FileWitness {
    path: PathBuf,
}

impl FileWitness {
    /// Over a path. A folder must be there already, or a file of that name is made.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
}

#[async_trait]
impl Witness for FileWitness {
    async fn keep(&self, checkpoint: &SignedCheckpoint) -> Result<()> {
        let is_folder = fs::metadata(&self.path).await.is_ok_and(|found| found.is_dir());
        let kept = if is_folder {
            let name = format!("checkpoint-{:020}.note", checkpoint.checkpoint.size);
            fs::write(self.path.join(name), &checkpoint.note).await
        } else {
            append(&self.path, &checkpoint.note).await
        };
        kept.map_err(|error| {
            let kind = match error.kind() {
                std::io::ErrorKind::PermissionDenied => ErrorKind::Denied,
                _ => ErrorKind::Unavailable,
            };
            Error::new(kind, format!("the witness {} cannot be written", self.path.display())).caused_by(error)
        })
    }
}

/// Notes follow each other with an empty line between; the last one is not added again.
async fn append(path: &Path, note: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().create(true).read(true).append(true).open(path).await?;
    let added = format!("{note}\n").into_bytes();
    let mut tail = Vec::new();
    let length = file.metadata().await?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(added.len() as u64))).await?;
    file.read_to_end(&mut tail).await?;
    if tail == added {
        return Ok(());
    }
    file.write_all(&added).await?;
    file.sync_data().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use l9_core::digest::Digest;
    use l9_core::evidence::{Checkpoint, SigningKey};
    use l9_core::time::Timestamp;

    #[tokio::test]
    async fn a_file_grows_and_a_folder_has_a_file_for_each() {
        let folder = tempfile::tempdir().unwrap();
        let key = SigningKey::new("log", &[1; 32]).unwrap();
        let note = |size| Checkpoint::sign(&key, size, Digest::ZERO, Timestamp::EPOCH);
        let file = folder.path().join("witness");
        for size in [3, 9, 9] {
            FileWitness::new(&file).keep(&note(size)).await.unwrap();
            FileWitness::new(folder.path()).keep(&note(size)).await.unwrap();
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("{}\n{}\n", note(3).note, note(9).note));
        let kept = std::fs::read_to_string(folder.path().join("checkpoint-00000000000000000009.note")).unwrap();
        assert_eq!(kept, note(9).note);
        let error = FileWitness::new(folder.path().join("none/none")).keep(&note(1)).await.unwrap_err();
        assert!(error.to_string().contains("the witness"), "{error}");
    }
}
