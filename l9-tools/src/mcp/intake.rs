//! Where listed tools go: to whoever records what each of them means, and lets it be called.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use l9_core::Result;
use l9_core::id::ToolId;
use l9_core::tool::Manifest;
use semver::Version;

use super::manifest::ruled;
use super::settings::Settings;

/// A tool as its server lists it now and the operator's settings have it. Its version is for
/// whoever records it to say.
#[derive(Debug, Clone)]
pub struct Offer {
    manifest: Manifest,
    settings: Arc<Settings>,
}

impl Offer {
    pub(super) fn new(manifest: Manifest, settings: Arc<Settings>) -> Self {
        Self { manifest, settings }
    }

    /// Which tool.
    #[must_use]
    pub fn id(&self) -> &ToolId {
        &self.manifest.id
    }

    /// Its manifest under a version.
    #[must_use]
    pub fn at(&self, version: Version) -> Manifest {
        Manifest { version, ..self.manifest.clone() }
    }

    /// What the server changed since a manifest was made of its list; nothing where all that
    /// differs is what the operator says.
    ///
    /// # Errors
    /// `Invalid` for settings that make no manifest.
    pub fn changed(&self, known: &Manifest) -> Result<Vec<&'static str>> {
        let (known, listed) = (ruled(known.clone(), &self.settings)?, &self.manifest);
        let parts = [
            ("name", known.runtime != listed.runtime),
            ("title", known.title != listed.title),
            ("description", known.description != listed.description),
            ("input schema", known.input_schema != listed.input_schema),
            ("output schema", known.output_schema != listed.output_schema),
            ("word on whether it destroys", known.destructive != listed.destructive),
        ];
        Ok(parts.into_iter().filter(|(_, differs)| *differs).map(|(part, _)| part).collect())
    }
}

/// Takes in what servers list.
#[async_trait]
pub trait Intake: fmt::Debug + Send + Sync {
    /// Takes in everything that a server lists now, each tool by itself: the version under
    /// which it is recorded, or why it is not taken. What is recorded of that server and not
    /// among them cannot be called any more.
    ///
    /// # Errors
    /// When nothing can be recorded.
    async fn take(&self, server: &str, offers: Vec<Offer>) -> Result<BTreeMap<ToolId, Result<Version>>>;
}
