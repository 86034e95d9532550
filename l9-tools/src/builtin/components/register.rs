//! The built-in wasm tools: their components, embedded, and their manifests.
//!
//! The components are committed with their sources (`guests/`) and hashes; each manifest's
//! hash is taken of the very bytes that are embedded.

use std::sync::Arc;

use l9_core::Result;
use l9_core::memory::MemoryStore;

use super::super::{memory_remember, memory_search, run_delegate, run_wait};
use super::{calc, data, text, time, web};
use crate::registry::Registry;
use crate::wasm::Sandbox;

/// Registers every built-in tool that needs nothing but memory: those of the embedded
/// components, `memory/search`, `memory/remember`, `run/wait` and `run/delegate`. Components are
/// taken from the sandbox's cache, or else compiled, before their first call.
///
/// # Errors
/// `Conflict` when another tool has one of these names, `Exhausted` when the registry is
/// full.
pub fn register_all(registry: &Registry, sandbox: &Sandbox, memory: Arc<dyn MemoryStore>) -> Result<()> {
    for tool in [
        calc::evaluate(),
        data::query(),
        text::diff(),
        text::extract(),
        text::split(),
        time::calc(),
        time::now(),
        web::extract(),
    ] {
        let manifest = tool.manifest()?;
        let guest = sandbox.embed(&manifest, tool.component)?;
        registry.register(manifest, guest)?;
    }
    registry.register_native(memory_search(Arc::clone(&memory)))?;
    registry.register_native(memory_remember(memory))?;
    registry.register_native(run_wait())?;
    registry.register_native(run_delegate())?;
    Ok(())
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
            ("text.wasm", text::TEXT),
            ("time.wasm", time::TIME),
            ("web.wasm", web::WEB),
        ] {
            let line = format!("{}  {name}", sha256(&[bytes]));
            assert!(sums.lines().any(|known| known == line), "{name} is not what SHA256SUMS says: {line}");
        }
    }
}
