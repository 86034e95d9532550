//! Policies in the Cedar language.

use std::path::Path;
use std::sync::Arc;

use l9::governor;
use l9::governor::cedar::{Cedar, defaults as embedded, schema as vocabulary, source};
use serde_json::json;

pub(super) use super::check::check;
pub(super) use super::diff::diff;
use crate::cli::arguments::PolicyDefaults;
use crate::cli::failure::{Exit, Failure};
use crate::terminal::Screen;

/// The policies of a file or folder.
pub(super) fn compile(path: &Path) -> Result<Arc<dyn governor::Policy>, Failure> {
    Ok(Arc::new(Cedar::new(source::read(path)?)?))
}

/// What policies may speak of.
pub(super) fn schema(screen: Screen) -> Result<Exit, Failure> {
    let text = vocabulary::text();
    if screen.is_json() {
        screen.object(&json!({ "schema": text }));
    } else {
        screen.line(text.trim_end());
    }
    Ok(Exit::Done)
}

/// The policies that come with L9.
pub(super) fn defaults(screen: Screen, asked: &PolicyDefaults) -> Result<Exit, Failure> {
    let sources = embedded::sources(&asked.profile)?;
    if screen.is_json() {
        let files: Vec<_> = sources.iter().map(|source| json!({"file": source.name, "text": source.text})).collect();
        screen.object(&json!({ "policies": files }));
    } else {
        sources.iter().for_each(|source| screen.line(source.text.trim_end()));
    }
    Ok(Exit::Done)
}
