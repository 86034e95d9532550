//! The folders that an operator lends to tools.

use std::collections::BTreeMap;
use std::path::PathBuf;

use l9_core::tool::{FsGrant, Manifest};
use l9_core::{Error, Result};
use rustix::fs::{Mode, OFlags, open};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::beneath::open_beneath;

/// A folder that manifests may be granted by the name of its mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Mount {
    /// A folder that is there; it must be named.
    pub path: PathBuf,
    /// Whether all tenants see this very folder. If not, each has one of its own in it, which
    /// bears the tenant's name and is made when it is first used.
    pub shared: bool,
}

/// Checks that every mount is there and can be kept to.
///
/// # Errors
/// `Invalid` naming the mount that is not.
pub(crate) fn check(mounts: &BTreeMap<String, Mount>) -> Result<()> {
    for (name, mount) in mounts {
        if mount.path.as_os_str().is_empty() {
            return Err(Error::invalid(format!("tools.mounts.{name} names no folder: write path: /srv/{name}")));
        }
        let shown = mount.path.display();
        let root = open(&mount.path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let root = root.map_err(|error| {
            Error::invalid(format!("tools.mounts.{name} is {shown}: it cannot be opened as a folder ({error})"))
        })?;
        open_beneath(&root, "", OFlags::PATH, Mode::empty()).map_err(|error| {
            Error::invalid(format!(
                "tools.mounts.{name} is {shown}: mounts need openat2, which Linux has from 5.6 on ({error})"
            ))
        })?;
    }
    Ok(())
}

/// Refuses a manifest that asks for mounts that are not there.
///
/// # Errors
/// `Invalid` naming the mount and those that there are.
pub(crate) fn granted(manifest: &Manifest, mounts: &BTreeMap<String, Mount>) -> Result<()> {
    let unknown = |grant: &&FsGrant| !mounts.contains_key(&grant.mount);
    let Some(FsGrant { mount, .. }) = manifest.fs.iter().find(unknown) else { return Ok(()) };
    let known: Vec<&str> = mounts.keys().map(String::as_str).collect();
    let known = if known.is_empty() { "there are none".to_owned() } else { format!("there are {}", known.join(", ")) };
    Err(Error::invalid(format!(
        "{} asks for the mount {mount}: {known}, add it to tools.mounts of the configuration",
        manifest.id
    )))
}
