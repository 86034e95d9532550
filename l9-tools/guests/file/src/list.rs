//! `file/list`: what a folder holds.

use serde::{Deserialize, Serialize};

use crate::folder::{Entry, Folder};
use crate::invoke::Fault;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    mount: String,
    #[serde(default)]
    path: String,
    #[serde(default = "thousand")]
    most: usize,
}

fn thousand() -> usize {
    1_000
}

#[derive(Debug, Serialize)]
pub(crate) struct Listed {
    path: String,
    entries: Vec<Entry>,
    truncated: bool,
}

pub(crate) fn list(folder: &dyn Folder, asked: Asked) -> Result<Listed, Fault> {
    let Asked { mount, path, most } = asked;
    let mut entries = folder.list(&mount, &path)?;
    let truncated = entries.len() > most;
    entries.truncate(most);
    Ok(Listed { path, entries, truncated })
}
