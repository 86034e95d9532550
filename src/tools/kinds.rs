//! What runs a tool that a manifest declares: HTTP ones by the manifest alone, wasm ones
//! with the component `NAME.wasm` beside it.

use std::sync::Arc;

use l9_core::tool::{Manifest, Runtime, ToolSandbox};
use l9_core::{Error, Result};

/// Makes what runs declared tools.
#[derive(Debug)]
pub(crate) struct Kinds {
    #[cfg(feature = "wasm")]
    pub(crate) wasm: l9_tools::wasm::Sandbox,
    #[cfg(feature = "models")]
    pub(crate) http: l9_tools::http::Surroundings,
}

impl Kinds {
    /// What runs a manifest's tool. A component is taken as these bytes, so that nobody can
    /// put others in their place after they were checked.
    ///
    /// # Errors
    /// `Invalid` for what this build does not run, and for a component that is not the one
    /// that the manifest names.
    pub(crate) async fn make(&self, manifest: &Manifest, component: Option<Vec<u8>>) -> Result<Arc<dyn ToolSandbox>> {
        match (&manifest.runtime, component) {
            (Runtime::Wasm { .. }, Some(component)) => self.wasm(manifest, component).await,
            (Runtime::Wasm { .. }, None) => {
                Err(Error::invalid("runtime: a component stands beside its manifest: put both into the tools folder"))
            }
            (Runtime::Http(_), _) => self.http(manifest),
            _ => Err(Error::invalid("runtime.kind: a manifest alone declares http or wasm tools only")),
        }
    }

    /// The most bytes of a component that are read.
    #[cfg(feature = "wasm")]
    pub(crate) fn component_bytes(&self) -> u64 {
        self.wasm.component_bytes()
    }

    /// The most bytes of a component that are read, to be refused.
    #[cfg(not(feature = "wasm"))]
    pub(crate) fn component_bytes(&self) -> u64 {
        256 << 20
    }

    #[cfg(feature = "wasm")]
    async fn wasm(&self, manifest: &Manifest, component: Vec<u8>) -> Result<Arc<dyn ToolSandbox>> {
        Ok(self.wasm.load(manifest, component).await?)
    }

    #[cfg(not(feature = "wasm"))]
    async fn wasm(&self, _: &Manifest, _: Vec<u8>) -> Result<Arc<dyn ToolSandbox>> {
        Err(Error::invalid("runtime: this build has no wasm sandbox: turn the feature `wasm` on"))
    }

    #[cfg(feature = "models")]
    fn http(&self, manifest: &Manifest) -> Result<Arc<dyn ToolSandbox>> {
        Ok(Arc::new(l9_tools::http::Sandbox::new(manifest, &self.http)?))
    }

    #[cfg(not(feature = "models"))]
    fn http(&self, _: &Manifest) -> Result<Arc<dyn ToolSandbox>> {
        Err(Error::invalid("runtime: this build sends no requests: turn the feature `models` on"))
    }
}
