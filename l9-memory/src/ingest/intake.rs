//! Taking files in: once each, and again only when they have changed.
//!
//! The first piece of a file carries the file's name as its key and the SHA-256 of the
//! whole file in its metadata. So a second look tells a new file (no such key), a
//! changed one (the key has another content, or the hash differs: its old pieces go
//! first) and an unchanged one from each other. Pieces that are known are not kept
//! twice, so that a file whose intake was broken off is completed by taking it in again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use l9_core::digest::sha256;
use l9_core::id::{AgentId, TenantId};
use l9_core::label::Label;
use l9_core::memory::{MemoryStore, NewEntry};
use l9_core::{Error, ErrorKind, Result};
use serde_json::Value;

use super::files::{self, Files, Format};
use super::report::{Progress, Report, Skipped, Status};
use super::{lines, slices};

/// How many pieces are kept per call.
const BATCH: usize = 256;
/// The metadata that tells which state of the file a piece is of.
const HASH: &str = "sha256";

/// Takes files in for one tenant.
#[derive(Debug, Clone)]
pub struct Ingest {
    store: Arc<dyn MemoryStore>,
    tenant: TenantId,
    agent: Option<AgentId>,
    label: Option<Label>,
}

impl Ingest {
    /// For all agents of a tenant. A file may hold anybody's words: what is taken from it comes
    /// from a source that is not trusted, the file, unless another label is given.
    #[must_use]
    pub fn new(store: Arc<dyn MemoryStore>, tenant: TenantId) -> Self {
        Self { store, tenant, agent: None, label: None }
    }

    /// For one agent only.
    #[must_use]
    pub fn with_agent(mut self, agent: Option<AgentId>) -> Self {
        self.agent = agent;
        self
    }

    /// With another label.
    #[must_use]
    pub fn with_label(mut self, label: Label) -> Self {
        self.label = Some(label);
        self
    }

    /// Takes a file in, or every text, Markdown and JSON lines file of a folder and the
    /// folders within it.
    ///
    /// # Errors
    /// `NotFound`, `Denied` or `Invalid` for a path or a named file that is no text,
    /// naming it, the offset and the mend; within a folder such files are in the
    /// report. The store's own.
    pub async fn path(&self, path: &Path, progress: &dyn Progress) -> Result<Report> {
        let wanted = path.to_owned();
        let Files { found, skipped, named } = blocking(move || files::find(&wanted)).await?;
        let mut report = Report { skipped, ..Report::default() };
        let mut status = Status { files: found.len(), ..Status::default() };
        for (path, format) in found {
            status.current.clone_from(&path);
            progress.advanced(&status);
            let file = self.clone();
            let of = path.clone();
            match blocking(move || file.pieces(&of, format)).await {
                Ok(pieces) => match self.keep(pieces, &mut report, &mut status, progress).await {
                    Err(error) if error.kind() == ErrorKind::Conflict && !named => {
                        report.skipped.push(Skipped { path, reason: error.to_string() });
                    }
                    kept => kept?,
                },
                Err(error) if named => return Err(error),
                Err(error) => report.skipped.push(Skipped { path, reason: error.to_string() }),
            }
            status.done += 1;
            progress.advanced(&status);
        }
        Ok(report)
    }

    /// Reads a file and cuts it.
    fn pieces(&self, path: &Path, format: Format) -> Result<Pieces> {
        let text = files::read(path)?;
        let source = path.to_string_lossy().into_owned();
        let hash = sha256(&[text.as_bytes()]).to_string();
        let label = self.label.clone().unwrap_or_else(|| Label::untrusted(source.as_str()));
        let mut entries = match format {
            Format::JsonLines => lines::read(path, &text)?,
            Format::Text | Format::Markdown => slices::cut(&text, format)
                .into_iter()
                .map(|slice| {
                    let mut entry = NewEntry { text: text[slice.bytes].to_owned(), ..NewEntry::default() };
                    entry.position = Some(format!("lines {}-{}", slice.lines.0, slice.lines.1));
                    if !slice.headings.is_empty() {
                        entry.metadata.insert("heading".into(), slice.headings.join(" > ").into());
                    }
                    entry
                })
                .collect(),
        };
        for entry in &mut entries {
            entry.source = Some(source.clone());
            entry.agent = entry.agent.take().or_else(|| self.agent.clone());
            entry.label.join(&label);
            entry.metadata.insert(HASH.into(), hash.clone().into());
        }
        if let Some(first) = entries.first_mut() {
            first.key.get_or_insert_with(|| source.clone());
        }
        Ok(Pieces { path: path.to_owned(), source, hash, bytes: text.len() as u64, entries })
    }

    async fn keep(
        &self,
        pieces: Pieces,
        report: &mut Report,
        status: &mut Status,
        progress: &dyn Progress,
    ) -> Result<()> {
        report.bytes += pieces.bytes;
        status.bytes += pieces.bytes;
        if pieces.entries.is_empty() {
            report.replaced += self.store.forget_source(&self.tenant, &pieces.source).await?;
            report.skipped.push(Skipped { path: pieces.path, reason: "it has no words".into() });
            return Ok(());
        }
        report.files += 1;
        let state = self.state(&pieces).await?;
        if state == State::Changed {
            report.replaced += self.store.forget_source(&self.tenant, &pieces.source).await?;
        }
        let before = report.stored;
        // A new file's first piece was kept by the look at it.
        let looked = usize::from(state == State::New);
        let mut rest = pieces.entries.into_iter().skip(looked).peekable();
        report.stored += looked;
        status.chunks += looked;
        while rest.peek().is_some() {
            let batch: Vec<NewEntry> = rest.by_ref().take(BATCH).collect();
            let kept = self.store.remember(&self.tenant, batch).await?;
            let duplicates = kept.iter().filter(|one| one.duplicate).count();
            report.duplicates += duplicates;
            report.stored += kept.len() - duplicates;
            status.chunks += kept.len();
            progress.advanced(status);
        }
        report.unchanged += usize::from(report.stored == before);
        Ok(())
    }

    /// What is known of a file. A new file's first piece is kept by asking.
    async fn state(&self, pieces: &Pieces) -> Result<State> {
        let Some(first) = pieces.entries.first() else { return Ok(State::Known) };
        let kept = match self.store.remember(&self.tenant, vec![first.clone()]).await {
            Ok(kept) => kept.first().copied().ok_or_else(|| Error::internal("a memory has no answer"))?,
            Err(error) if error.kind() == ErrorKind::Conflict => return Ok(State::Changed),
            Err(error) => return Err(error),
        };
        if !kept.duplicate {
            return Ok(State::New);
        }
        let entry = self.store.get(&self.tenant, kept.id).await?;
        let hash = entry.as_ref().and_then(|entry| entry.entry.metadata.get(HASH)).and_then(Value::as_str);
        Ok(if hash == Some(&pieces.hash) { State::Known } else { State::Changed })
    }
}

/// A file, cut.
struct Pieces {
    path: PathBuf,
    source: String,
    hash: String,
    bytes: u64,
    entries: Vec<NewEntry>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Changed,
    /// In this very form, wholly or in part.
    Known,
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::internal("reading a file ended").caused_by(error))?
}
