//! The interfaces of the package `l9:tool` that a component may import, and what in its
//! manifest grants each.
//!
//! A component is held to its manifest before it runs: what it imports without a grant is
//! named, so that nobody finds out by a call that fails.

use l9_core::tool::Manifest;
use l9_core::{Error, Result};
use wasmtime::Engine;
use wasmtime::component::Component;

use super::component::WORLD;

/// One interface of the package.
pub(super) struct Interface {
    name: &'static str,
    /// What grants it; every component may import one without.
    grant: Option<Grant>,
}

/// The manifest's field that grants an interface.
struct Grant {
    field: &'static str,
    given: fn(&Manifest) -> bool,
}

const INTERFACES: [Interface; 7] = [
    Interface { name: "l9:tool/types@0.1.0", grant: None },
    Interface { name: "l9:tool/host@0.1.0", grant: None },
    Interface { name: PROGRESS, grant: None },
    Interface { name: OUTPUT, grant: None },
    Interface { name: "l9:tool/kv@0.1.0", grant: Some(KV) },
    Interface { name: "l9:tool/files@0.1.0", grant: Some(FS) },
    Interface { name: "l9:tool/http@0.1.0", grant: Some(NET) },
];

const KV: Grant = Grant { field: "kv", given: |manifest| manifest.kv.is_some() };
const FS: Grant = Grant { field: "fs", given: |manifest| !manifest.fs.is_empty() };
const NET: Grant = Grant { field: "net", given: |manifest| !manifest.net.is_empty() };

const PROGRESS: &str = "l9:tool/progress@0.1.0";
const OUTPUT: &str = "l9:tool/output@0.1.0";

/// What a component imports beyond what every component may.
#[derive(Default)]
pub(super) struct Needs {
    granted: Vec<&'static Interface>,
    /// Whether it shows anything to those who follow the run.
    pub(super) shows: bool,
    /// Whether it writes its output in parts.
    pub(super) writes: bool,
}

impl Needs {
    /// What a component imports.
    ///
    /// # Errors
    /// `Invalid` for an import that the package does not have.
    pub(super) fn of(engine: &Engine, component: &Component) -> Result<Self> {
        let (mut needs, mut foreign) = (Self::default(), Vec::new());
        for (name, _) in component.component_type().imports(engine) {
            match INTERFACES.iter().find(|interface| interface.name == name) {
                Some(interface) if interface.grant.is_some() => needs.granted.push(interface),
                Some(interface) => {
                    needs.writes |= interface.name == OUTPUT;
                    needs.shows |= [PROGRESS, OUTPUT].contains(&interface.name);
                }
                None => foreign.push(crate::log::printable(name, 80)),
            }
        }
        if foreign.is_empty() {
            return Ok(needs);
        }
        foreign.truncate(8);
        Err(Error::invalid(format!(
            "the component imports {}: the world {WORLD} offers interfaces of l9:tool only, build the tool without them",
            foreign.join(", ")
        )))
    }

    /// Holds a manifest to it.
    ///
    /// # Errors
    /// `Invalid` naming the interface that the manifest does not grant.
    pub(super) fn check(&self, manifest: &Manifest) -> Result<()> {
        for Interface { name, grant } in &self.granted {
            if let Some(Grant { field, .. }) = grant.as_ref().filter(|grant| !(grant.given)(manifest)) {
                return Err(Error::invalid(format!(
                    "the component of {} imports {name}, which its manifest does not grant: add {field} to the manifest, \
                     or build the tool without it",
                    manifest.id
                )));
            }
        }
        Ok(())
    }
}
