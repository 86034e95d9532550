//! The built-in wasm tools: their components, embedded, and their manifests.
//!
//! The components are committed with their sources (`guests/`) and hashes; each manifest's
//! hash is taken of the very bytes that are embedded.

use std::sync::Arc;

use l9_core::Result;
use l9_core::memory::MemoryStore;
use l9_core::tool::Manifest;

use super::super::{
    memory_remember, memory_restore, memory_reveal, memory_search, memory_snapshot, run_approve, run_delegate,
    run_plan, run_wait,
};
use super::file::FileMounts;
use super::{calc, data, file, pdf, text, time, web};
use crate::registry::Registry;
use crate::wasm::Sandbox;

/// Registers the tools of the embedded components, those of files only for these mounts, and
/// those of memory (`memory/…`) and of runs (`run/…`). Components are taken from the sandbox's
/// cache, or else compiled, before their first call. What wants more memory than
/// the sandbox gives one call is left out.
///
/// # Errors
/// `Conflict` when another tool has one of these names, `Exhausted` when the registry is
/// full, `Invalid` for a mount that the sandbox does not have.
pub fn register_all(
    registry: &Registry,
    sandbox: &Sandbox,
    memory: Arc<dyn MemoryStore>,
    files: &FileMounts,
) -> Result<()> {
    let always = [
        calc::evaluate(),
        data::query(),
        pdf::extract(),
        text::diff(),
        text::extract(),
        text::split(),
        time::calc(),
        time::now(),
        web::extract(),
    ];
    for tool in always.into_iter().chain(file::all(files)) {
        let manifest = tool.manifest()?;
        if !fits(&manifest, sandbox) {
            continue;
        }
        let guest = sandbox.embed(&manifest, tool.component)?;
        registry.register(manifest, guest)?;
    }
    registry.register_native(memory_search(Arc::clone(&memory)))?;
    registry.register_native(memory_snapshot(Arc::clone(&memory)))?;
    registry.register_native(memory_restore(Arc::clone(&memory)))?;
    registry.register_native(memory_remember(memory))?;
    registry.register_native(memory_reveal())?;
    registry.register_native(run_wait())?;
    registry.register_native(run_delegate())?;
    registry.register_native(run_approve())?;
    registry.register_native(run_plan())?;
    Ok(())
}

/// Whether the sandbox has the memory that a tool wants; one that it has not is left out.
pub(super) fn fits(manifest: &Manifest, sandbox: &Sandbox) -> bool {
    let (wanted, most) = (manifest.limits.memory_bytes, sandbox.memory_bytes());
    if wanted > most {
        tracing::warn!(tool = %manifest.id, wanted, most, "left out: the sandbox is set to give less memory");
    }
    wanted <= most
}

#[cfg(test)]
mod tests {
    use l9_core::digest::sha256;

    use super::*;

    #[test]
    fn embedded_components_are_the_published_ones() {
        let sums = include_str!("../../../guests/dist/SHA256SUMS");
        for (name, bytes) in [
            ("calc.wasm", calc::CALC),
            ("data.wasm", data::DATA),
            ("file.wasm", file::FILE),
            ("pdf.wasm", pdf::PDF),
            ("text.wasm", text::TEXT),
            ("time.wasm", time::TIME),
            ("web.wasm", web::WEB),
        ] {
            let line = format!("{}  {name}", sha256(&[bytes]));
            assert!(sums.lines().any(|known| known == line), "{name} is not what SHA256SUMS says: {line}");
        }
    }
}
