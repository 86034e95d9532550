//! The sandbox: one engine, one pool, and the components loaded into it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use l9_core::digest::Digest;
use l9_core::entropy::{Entropy, SystemEntropy};
use l9_core::time::{Clock, SystemClock};
use l9_core::tool::Manifest;
use l9_core::{Error, Result};
use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Config, Enabled, Engine, PoolingAllocationConfig};

use super::cache::Cache;
use super::component::{Component, Workshop, one_line};
use super::files;
use super::gate::Gate;
use super::guest::Guest;
use super::host::{State, bindings};
use super::http::{Requests, Surroundings};
use super::pace::Turns;
use super::settings::Settings;
use super::ticker::Ticker;

/// Stack beyond the guest's own, for host functions.
const HOST_STACK: usize = 512 << 10;
/// Bytes of a memory or table that are wiped by writing instead of by a system call.
const KEEP_RESIDENT: usize = 256 << 10;

/// Runs wasm tools. Cheap to clone; every clone is the same sandbox.
#[derive(Debug, Clone)]
pub struct Sandbox {
    pub(super) shared: Arc<Shared>,
}

/// What all guests of a sandbox use.
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) workshop: Arc<Workshop>,
    pub(super) gate: Gate,
    pub(super) ticker: Ticker,
    pub(super) turns: Turns,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) surroundings: Option<Surroundings>,
    components: Mutex<HashMap<Digest, Weak<Component>>>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("settings", &self.settings)
            .field("workshop", &self.workshop)
            .finish_non_exhaustive()
    }
}

/// Puts a sandbox together.
#[derive(Debug)]
pub struct Builder {
    settings: Settings,
    cache_key: Option<[u8; 32]>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    surroundings: Option<Surroundings>,
}

impl Builder {
    /// The key under which compiled components are authenticated. Without it, or without
    /// `Settings::cache`, nothing is kept between starts.
    #[must_use]
    pub fn with_cache_key(mut self, key: [u8; 32]) -> Self {
        self.cache_key = Some(key);
        self
    }

    /// The clock that tools see unless they run deterministically.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The randomness that tools see unless they run deterministically.
    #[must_use]
    pub fn with_entropy(mut self, entropy: Arc<dyn Entropy>) -> Self {
        self.entropy = entropy;
        self
    }

    /// What guests send requests through, where their manifests grant `net`. Without it such
    /// manifests are refused.
    #[must_use]
    pub fn with_surroundings(mut self, surroundings: Surroundings) -> Self {
        self.surroundings = Some(surroundings);
        self
    }

    /// Makes the engine and reserves the pool.
    ///
    /// # Errors
    /// `Invalid` for settings out of range, `Unavailable` when the machine does not give
    /// the address space of the pool or a thread.
    pub fn build(self) -> Result<Sandbox> {
        self.settings.check()?;
        let engine = engine(&self.settings)?;
        let linker = linker(&engine)?;
        let beat = Duration::from_millis(self.settings.slice_ms);
        let ticker = Ticker::start(&engine, beat)
            .map_err(|error| Error::unavailable("no thread for the wasm sandbox").caused_by(error))?;
        let cache = self.settings.cache.clone().zip(self.cache_key).map(|(at, key)| Cache::new(at, key, &engine));
        Ok(Sandbox {
            shared: Arc::new(Shared {
                gate: Gate::new(&self.settings, Arc::clone(&self.clock)),
                workshop: Arc::new(Workshop::new(engine, linker, cache)),
                ticker,
                turns: Turns::default(),
                settings: self.settings,
                clock: self.clock,
                entropy: self.entropy,
                surroundings: self.surroundings,
                components: Mutex::default(),
            }),
        })
    }
}

impl Sandbox {
    /// A sandbox of that size without a cache.
    ///
    /// # Errors
    /// As [`Builder::build`].
    pub fn new(settings: Settings) -> Result<Self> {
        Self::builder(settings).build()
    }

    /// Begins a sandbox of that size.
    #[must_use]
    pub fn builder(settings: Settings) -> Builder {
        Builder {
            settings,
            cache_key: None,
            clock: Arc::new(SystemClock::default()),
            entropy: Arc::new(SystemEntropy),
            surroundings: None,
        }
    }

    /// Checks a component against its manifest and compiles it.
    ///
    /// # Errors
    /// `Invalid` when size, hash or world differ from the manifest, when the manifest asks
    /// for more than this sandbox has, or when the component does not compile, imports
    /// what its manifest does not grant, or does not export the world.
    pub async fn load(&self, manifest: &Manifest, bytes: impl Into<Cow<'static, [u8]>>) -> Result<Arc<Guest>> {
        let bytes = bytes.into();
        let (size, most) = (bytes.len() as u64, self.shared.settings.component_bytes);
        if size > most {
            let id = &manifest.id;
            return Err(Error::invalid(format!("the component of {id} has {size} bytes: at most {most} are compiled")));
        }
        let component = self.component(manifest, bytes)?;
        component.linked(&self.shared.workshop).await?.needs.check(manifest)?;
        Ok(Arc::new(Guest::new(Arc::clone(&self.shared), component)))
    }

    /// Like [`Sandbox::load`], but takes the code from the cache, or else compiles it, before
    /// the first call only, so that starting stays fast. For components that are built in,
    /// whatever their size.
    ///
    /// # Errors
    /// `Invalid` when size, hash or world differ from the manifest, or when the manifest
    /// asks for more than this sandbox has.
    pub fn embed(&self, manifest: &Manifest, bytes: &'static [u8]) -> Result<Arc<Guest>> {
        let component = self.component(manifest, Cow::Borrowed(bytes))?;
        Ok(Arc::new(Guest::new(Arc::clone(&self.shared), component)))
    }

    /// The most bytes of a component that [`Sandbox::load`] takes.
    #[must_use]
    pub fn component_bytes(&self) -> u64 {
        self.shared.settings.component_bytes
    }

    /// The most bytes that a manifest may ask for.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.shared.settings.memory_bytes
    }

    fn component(&self, manifest: &Manifest, bytes: Cow<'static, [u8]>) -> Result<Arc<Component>> {
        check(manifest, &self.shared)?;
        let component = Arc::new(Component::new(manifest, bytes)?);
        let mut known = self.shared.components.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, component| component.strong_count() > 0);
        if let Some(same) = known.get(&component.sha256).and_then(Weak::upgrade) {
            return Ok(same);
        }
        known.insert(component.sha256, Arc::downgrade(&component));
        Ok(component)
    }
}

/// Refuses what this sandbox cannot give.
fn check(manifest: &Manifest, Shared { settings, surroundings, .. }: &Shared) -> Result<()> {
    let limits = &manifest.limits;
    for (name, wanted, most) in [
        ("memory_bytes", limits.memory_bytes, settings.memory_bytes),
        ("stack_bytes", limits.stack_bytes, settings.stack_bytes),
        ("instances", limits.instances.into(), settings.instances.into()),
    ] {
        if wanted > most {
            return Err(Error::invalid(format!(
                "limits.{name} of {} is {wanted}: this sandbox gives at most {most}",
                manifest.id
            )));
        }
    }
    files::granted(manifest, &settings.mounts)?;
    match surroundings {
        _ if manifest.net.is_empty() && manifest.secrets.is_empty() => Ok(()),
        Some(around) => Requests::of(manifest, around).map(drop),
        None => Err(Error::invalid(format!(
            "{} asks for net: this sandbox sends no requests, remove the grant or build the sandbox with surroundings",
            manifest.id
        ))),
    }
}

/// Everything a guest computes is a function of its input: floating point, SIMD and limits
/// behave the same everywhere; there are no threads.
fn engine(settings: &Settings) -> Result<Engine> {
    let stack = usize::try_from(settings.stack_bytes).unwrap_or(usize::MAX);
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .epoch_interruption(true)
        .concurrency_support(false)
        .wasm_backtrace_max_frames(None)
        .wasm_memory64(false)
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .max_wasm_stack(stack)
        .async_stack_size(stack.saturating_add(HOST_STACK))
        .allocation_strategy(pool(settings));
    Engine::new(&config)
        .map_err(|error| Error::unavailable("the wasm engine did not start").with("cause", one_line(&error)))
}

fn pool(settings: &Settings) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(settings.calls)
        .total_core_instances(settings.calls.saturating_mul(settings.instances))
        .total_memories(settings.calls.saturating_mul(settings.memories))
        .total_tables(settings.calls.saturating_mul(settings.tables))
        .total_stacks(settings.calls)
        .max_core_instances_per_component(settings.instances)
        .max_memories_per_component(settings.memories)
        .max_memories_per_module(settings.memories)
        .max_tables_per_component(settings.tables)
        .max_tables_per_module(settings.tables)
        .max_memory_size(usize::try_from(settings.memory_bytes).unwrap_or(usize::MAX))
        .table_elements(usize::try_from(settings.table_elements).unwrap_or(usize::MAX))
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(KEEP_RESIDENT)
        // Where the kernel can tell which pages were written, only those are wiped; this
        // halves the cost of a small call.
        .pagemap_scan(Enabled::Auto)
        .max_unused_warm_slots(settings.calls);
    pool
}

fn linker(engine: &Engine) -> Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    bindings::Full::add_to_linker::<_, HasSelf<_>>(&mut linker, |state: &mut State| state)
        .map_err(|error| Error::internal("the wasm host interface").with("cause", one_line(&error)))?;
    Ok(linker)
}
