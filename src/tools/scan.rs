//! One look at the folder of manifests: what is there, and what changed since the last one.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind as IoKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use l9_core::tool::Runtime;
use l9_core::{Error, Result};
use l9_tools::registry::{self, Found, in_file, signature_path};

/// What shows that a manifest, its signature or its component is another than before.
pub(super) type Mark = [Option<(u64, SystemTime)>; 3];

/// What a look found.
#[derive(Debug)]
pub(super) struct Scan {
    /// Every manifest's file.
    pub(super) present: BTreeMap<PathBuf, Mark>,
    /// Those that changed, in the order of tools and versions; those that cannot be read last.
    pub(super) changed: Vec<(PathBuf, Result<Declared>)>,
}

/// A manifest and what stands beside it, read once.
#[derive(Debug)]
pub(super) struct Declared {
    pub(super) found: Found,
    pub(super) component: Option<Vec<u8>>,
}

/// Looks at a folder, and reads what is not marked as before, with components of at most so
/// many bytes.
///
/// # Errors
/// `Invalid` for a folder that cannot be read.
pub(super) fn scan(folder: &Path, before: &BTreeMap<PathBuf, Mark>, component_bytes: u64) -> Result<Scan> {
    let present: BTreeMap<PathBuf, Mark> =
        registry::files(folder)?.into_iter().map(|path| (path.clone(), mark(&path))).collect();
    let changed = present.iter().filter(|(path, mark)| before.get(*path) != Some(*mark));
    let mut changed: Vec<_> = changed.map(|(path, _)| (path.clone(), read(path, component_bytes))).collect();
    // Oldest versions first: what comes first is not older than what comes next.
    changed.sort_by_cached_key(|(_, read)| {
        let manifest = read.as_ref().map(|declared| &declared.found.manifest);
        (manifest.is_err(), manifest.ok().map(|manifest| (manifest.id.clone(), manifest.version.clone())))
    });
    Ok(Scan { present, changed })
}

fn mark(path: &Path) -> Mark {
    [path.to_owned(), signature_path(path), path.with_extension("wasm")].map(|path| {
        let found = fs::metadata(path).ok()?;
        Some((found.len(), found.modified().ok()?))
    })
}

fn read(path: &Path, component_bytes: u64) -> Result<Declared> {
    let found = registry::read(path)?;
    let component = match &found.manifest.runtime {
        Runtime::Wasm { .. } => Some(component(path, component_bytes)?),
        _ => None,
    };
    Ok(Declared { found, component })
}

/// The component that stands beside a manifest.
fn component(manifest: &Path, most: u64) -> Result<Vec<u8>> {
    let module = manifest.with_extension("wasm");
    registry::read_regular(&module, most).map_err(|error| {
        let shown = module.display();
        let message = match error.kind() {
            IoKind::NotFound => format!("runtime: put the component beside it as {shown}"),
            _ => format!("runtime: the component {shown} cannot be read"),
        };
        in_file(manifest, &Error::invalid(message).caused_by(error))
    })
}
