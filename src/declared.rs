//! Tools that a manifest in a folder declares: HTTP ones by the manifest alone, wasm ones
//! with the component `NAME.wasm` beside it.

use std::sync::Arc;

use l9_core::time::Clock;
use l9_core::tool::{Manifest, Runtime};
use l9_core::{Error, Result};
use l9_tools::registry::{Found, Registry, from_folder, in_file};

use crate::settings::Settings;

/// Reads the folder; wasm tools join the other `components`, the rest is given back.
pub(crate) fn read(settings: &Settings, components: &mut Vec<(Manifest, Vec<u8>)>) -> Result<Vec<Found>> {
    let Some(folder) = &settings.tools_dir else { return Ok(Vec::new()) };
    let mut declared = Vec::new();
    for found in from_folder(folder)? {
        l9_tools::registry::check(&found.manifest).map_err(|error| in_file(&found.path, &error))?;
        match &found.manifest.runtime {
            Runtime::Wasm { .. } => {
                let module = found.path.with_extension("wasm");
                let bytes = std::fs::read(&module).map_err(|error| {
                    let mend = format!("runtime: put the component beside it as {}", module.display());
                    in_file(&found.path, &Error::invalid(mend).caused_by(error))
                })?;
                components.push((found.manifest, bytes));
            }
            Runtime::Http(_) => declared.push(found),
            _ => {
                let mend = "runtime.kind: a manifest alone declares http or wasm tools only";
                return Err(in_file(&found.path, &Error::invalid(mend)));
            }
        }
    }
    Ok(declared)
}

/// Registers HTTP tools.
#[cfg(feature = "models")]
pub(crate) fn register(
    registry: &Registry,
    settings: &Settings,
    clock: &Arc<dyn Clock>,
    declared: Vec<Found>,
) -> Result<()> {
    for Found { path, manifest } in declared {
        let sandbox = l9_tools::http::Sandbox::new(&manifest, &settings.tool_secrets, Arc::clone(clock));
        let registered = sandbox.and_then(|sandbox| registry.register(manifest, Arc::new(sandbox)));
        registered.map_err(|error| in_file(&path, &error))?;
    }
    Ok(())
}

/// Refuses HTTP tools.
#[cfg(not(feature = "models"))]
pub(crate) fn register(_: &Registry, _: &Settings, _: &Arc<dyn Clock>, declared: Vec<Found>) -> Result<()> {
    let Some(found) = declared.first() else { return Ok(()) };
    let error = Error::invalid("runtime: this build sends no requests: turn the feature `models` on");
    Err(in_file(&found.path, &error))
}
