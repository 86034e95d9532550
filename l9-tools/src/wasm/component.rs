//! One component: checked against its manifest before it is compiled, compiled once,
//! linked once.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use l9_core::digest::{Digest, sha256};
use l9_core::time::{Clock, SystemClock};
use l9_core::tool::{Manifest, Module, Runtime};
use l9_core::{Error, Result};
use wasmtime::Engine;
use wasmtime::component::Linker;

use super::cache::Cache;
use super::host::State;
use super::host::bindings::FullPre;
use super::interfaces::Needs;

/// The WIT world a wasm tool exports.
pub const WORLD: &str = "l9:tool/tool@0.1.0";

/// A component's code, linked, and what it needs granted.
pub(super) struct Linked {
    pub(super) pre: FullPre<State>,
    pub(super) needs: Needs,
}

/// A component's bytes and, once it was needed, its linked code.
pub(super) struct Component {
    pub(super) sha256: Digest,
    bytes: Cow<'static, [u8]>,
    linked: OnceLock<Linked>,
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Component")
            .field("sha256", &self.sha256)
            .field("size", &self.bytes.len())
            .field("compiled", &self.linked.get().is_some())
            .finish()
    }
}

/// What compiling takes; shared by all components of a sandbox.
pub(super) struct Workshop {
    engine: Engine,
    linker: Linker<State>,
    cache: Option<Cache>,
    /// One component at a time: a compiler takes every core it finds.
    compiling: Mutex<()>,
}

impl fmt::Debug for Workshop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workshop").field("cache", &self.cache).finish_non_exhaustive()
    }
}

impl Component {
    /// Checks the bytes against what the manifest says of them.
    pub(super) fn new(manifest: &Manifest, bytes: Cow<'static, [u8]>) -> Result<Self> {
        let module = module_of(manifest)?;
        let size = bytes.len() as u64;
        if module.size != size {
            return Err(Error::invalid(format!(
                "the component of {} has {size} bytes, its manifest says runtime.module.size {}",
                manifest.id, module.size
            )));
        }
        let actual = sha256(&[&bytes]);
        if module.sha256 != actual {
            return Err(Error::invalid(format!(
                "the component of {} hashes to {actual}, its manifest says runtime.module.sha256 {}",
                manifest.id, module.sha256
            )));
        }
        if module.world != WORLD {
            return Err(Error::invalid(format!(
                "the component of {} is for the world {:?}: this sandbox runs {WORLD}",
                manifest.id, module.world
            )));
        }
        Ok(Self { sha256: actual, bytes, linked: OnceLock::new() })
    }

    /// The linked code, compiled now if it was not before. Compiling goes on when the
    /// caller gives up, so that the next one finds it done.
    pub(super) async fn linked(self: &Arc<Self>, workshop: &Arc<Workshop>) -> Result<&Linked> {
        if let Some(linked) = self.linked.get() {
            return Ok(linked);
        }
        let (component, workshop) = (Arc::clone(self), Arc::clone(workshop));
        tokio::task::spawn_blocking(move || component.link(&workshop))
            .await
            .map_err(|error| Error::internal("compiling a component ended early").caused_by(error))??;
        self.linked.get().ok_or_else(|| Error::internal("a component was compiled and is not there"))
    }

    fn link(&self, workshop: &Workshop) -> Result<()> {
        let _one = workshop.compiling.lock().unwrap_or_else(PoisonError::into_inner);
        if self.linked.get().is_none() {
            // Only who holds the lock fills the cell.
            let _ = self.linked.set(workshop.compile(self.sha256, &self.bytes)?);
        }
        Ok(())
    }
}

impl Workshop {
    pub(super) fn new(engine: Engine, linker: Linker<State>, cache: Option<Cache>) -> Self {
        Self { engine, linker, cache, compiling: Mutex::default() }
    }

    fn compile(&self, sha256: Digest, bytes: &[u8]) -> Result<Linked> {
        if let Some(component) = self.cached(sha256) {
            return self.link(&component);
        }
        let watch = SystemClock::default();
        let component = wasmtime::component::Component::from_binary(&self.engine, bytes).map_err(|error| {
            Error::invalid("the component cannot be compiled").with("sha256", sha256).with("cause", one_line(&error))
        })?;
        metrics::histogram!("l9_wasm_compile_seconds").record(watch.monotonic().as_secs_f64());
        let linked = self.link(&component)?;
        if let Some(cache) = &self.cache {
            cache.store(&component, sha256);
        }
        Ok(linked)
    }

    /// The code of a component, if the cache has it and the file is honest.
    pub(super) fn cached(&self, sha256: Digest) -> Option<wasmtime::component::Component> {
        self.cache.as_ref().and_then(|cache| cache.load(&self.engine, sha256))
    }

    fn link(&self, component: &wasmtime::component::Component) -> Result<Linked> {
        let needs = Needs::of(&self.engine, component)?;
        let pre = self.linker.instantiate_pre(component).map_err(|error| {
            Error::invalid(format!("the component does not fit the world {WORLD}")).with("cause", one_line(&error))
        })?;
        let pre = FullPre::new(pre).map_err(|error| {
            Error::invalid(format!("the component does not export the world {WORLD}")).with("cause", one_line(&error))
        })?;
        Ok(Linked { pre, needs })
    }
}

fn module_of(manifest: &Manifest) -> Result<&Module> {
    match &manifest.runtime {
        Runtime::Wasm { module } => Ok(module),
        _ => Err(Error::invalid(format!("{} is no wasm tool: its runtime.kind must be wasm", manifest.id))),
    }
}

/// An error of wasmtime and its causes on one line, capped.
pub(super) fn one_line(error: &wasmtime::Error) -> String {
    crate::log::printable(&format!("{error:#}"), 400)
}
