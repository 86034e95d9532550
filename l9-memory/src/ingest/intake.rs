//! Taking files in: once each, and again only what of them has changed.

use std::path::Path;
use std::sync::Arc;

use l9_core::digest::sha256;
use l9_core::id::{AgentId, TenantId};
use l9_core::label::Label;
use l9_core::memory::MemoryStore;
use l9_core::{Error, Result};

use super::extract::Extract;
use super::files::{self, Format, Found};
use super::pieces::{self, Pieces, Whose};
use super::report::{Progress, Report};
use super::work::Work;

/// Takes files in for one tenant.
#[derive(Debug, Clone)]
pub struct Ingest {
    pub(super) store: Arc<dyn MemoryStore>,
    pub(super) tenant: TenantId,
    pub(super) agent: Option<AgentId>,
    label: Option<Label>,
    extract: Option<Arc<dyn Extract>>,
    options: Options,
}

/// How files are taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Only tell what would be new, changed and removed.
    pub dry_run: bool,
    /// Keep what was taken in from files of the folder that are gone.
    pub keep_missing: bool,
    /// Leave out what a folder's `.gitignore` and `.ignore` name.
    pub ignores: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { dry_run: false, keep_missing: false, ignores: true }
    }
}

/// A file that was looked at.
#[derive(Debug)]
pub(super) enum Looked {
    /// It is kept as it is.
    Unchanged,
    /// It is not, and it was only asked whether it is.
    Other { sha256: String },
    /// It is not, and these are its pieces.
    Cut(Pieces),
}

impl Ingest {
    /// For all agents of a tenant. A file may hold anybody's words: what is taken from it comes
    /// from a source that is not trusted, the file, unless another label is given.
    #[must_use]
    pub fn new(store: Arc<dyn MemoryStore>, tenant: TenantId) -> Self {
        Self { store, tenant, agent: None, label: None, extract: None, options: Options::default() }
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

    /// With what reads web pages and PDFs, which are left out without.
    #[must_use]
    pub fn with_extract(mut self, extract: Arc<dyn Extract>) -> Self {
        self.extract = Some(extract);
        self
    }

    /// In another way.
    #[must_use]
    pub fn with_options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Takes a file in, or every file of a folder and the folders within it whose name says
    /// that it is text, Markdown, JSON lines, HTML, PDF or source code. What was taken in
    /// from files of the folder that are gone is removed.
    ///
    /// # Errors
    /// `NotFound`, `Denied` or `Invalid` for a path or a named file that cannot be read,
    /// naming it, the fault and the mend; within a folder such files are in the
    /// report. The store's own: then what was kept before stays, and the same again goes on
    /// from there.
    pub async fn path(&self, path: &Path, progress: &dyn Progress) -> Result<Report> {
        let (wanted, ignores) = (path.to_owned(), self.options.ignores);
        let found = blocking(move || files::find(&wanted, ignores)).await?;
        Work::begin(self, path, found, progress).await?.run().await
    }

    pub(super) fn options(&self) -> Options {
        self.options
    }

    /// Reads a file, and cuts it unless it is known by its hash.
    pub(super) async fn look(&self, found: Found, known: Option<String>) -> Result<Looked> {
        let Found { path, real, format, .. } = found;
        let label = self.label.clone().unwrap_or_else(|| Label::untrusted(path.to_string_lossy()));
        let (agent, dry_run) = (self.agent.clone(), self.options.dry_run);
        let read = move || {
            let bytes = files::read(&path)?;
            let sha256 = sha256(&[&bytes]).to_string();
            if known.as_ref() == Some(&sha256) {
                return Ok(Read::Done(Looked::Unchanged));
            }
            let Format::Document(written) = format else {
                let text = files::text(&path, bytes)?;
                let whose = Whose { path, real, sha256, agent, label };
                return Ok(Read::Done(Looked::Cut(pieces::of_text(whose, &text, format)?)));
            };
            if dry_run {
                return Ok(Read::Done(Looked::Other { sha256 }));
            }
            Ok(Read::Document(written, bytes, Whose { path, real, sha256, agent, label }))
        };
        match blocking(read).await? {
            Read::Done(looked) => Ok(looked),
            Read::Document(written, bytes, whose) => {
                let extract = self.extract.as_ref().ok_or_else(|| {
                    Error::invalid(format!(
                        "{} is a web page or a PDF, and this build has no sandbox to read it in: turn the feature `wasm` \
                         on",
                        whose.path.display()
                    ))
                })?;
                let parts = extract.extract(written, &bytes, &whose.label).await.map_err(|error| {
                    Error::new(error.kind(), format!("{}: {}", whose.path.display(), error.message()))
                })?;
                blocking(move || Ok(Looked::Cut(pieces::of_parts(whose, &parts)))).await
            }
        }
    }
}

enum Read {
    Done(Looked),
    Document(super::extract::Written, Vec<u8>, Whose),
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::internal("reading a file ended").caused_by(error))?
}
