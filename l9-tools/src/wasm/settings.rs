//! How large the sandbox is; the same for all tools.

use std::collections::BTreeMap;
use std::path::PathBuf;

use l9_core::{Error, Result};
use serde::{Deserialize, Serialize};

use super::files::{self, Mount};

/// How large the sandbox is. What one call may use stands in its manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Calls at once; more wait.
    pub calls: u32,
    /// Calls at once by one tenant, so that nobody takes the whole pool.
    pub calls_per_tenant: u32,
    /// Bytes that all calls at once may declare as their memory limits together.
    pub total_memory_bytes: u64,
    /// The most a manifest may ask for as `limits.memory_bytes`.
    pub memory_bytes: u64,
    /// Linear memories of one call.
    pub memories: u32,
    /// Tables of one call.
    pub tables: u32,
    /// Elements of one table.
    pub table_elements: u64,
    /// Core instances of one call.
    pub instances: u32,
    /// Bytes of wasm stack, the same for every call.
    pub stack_bytes: u64,
    /// Bytes of a component that is loaded, before it is compiled; built-in ones may have more.
    pub component_bytes: u64,
    /// After how long a guest whose instructions take long lets others have the thread; fuel
    /// makes it do so much sooner.
    pub slice_ms: u64,
    /// The folders that manifests may be granted, by the names of their mounts.
    pub mounts: BTreeMap<String, Mount>,
    /// Where compiled components are kept between starts; needs a cache key as well.
    pub cache: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            calls: 32,
            calls_per_tenant: 24,
            total_memory_bytes: 2 << 30,
            memory_bytes: 256 << 20,
            memories: 4,
            tables: 8,
            table_elements: 20_000,
            // A component made of Python has forty.
            instances: 64,
            stack_bytes: 512 << 10,
            component_bytes: 32 << 20,
            slice_ms: 5,
            mounts: BTreeMap::new(),
            cache: None,
        }
    }
}

impl Settings {
    /// Checks every figure.
    pub(super) fn check(&self) -> Result<()> {
        within("calls", self.calls.into(), 1, 10_000)?;
        within("calls_per_tenant", self.calls_per_tenant.into(), 1, self.calls.into())?;
        within("memory_bytes", self.memory_bytes, 64 << 10, 4 << 30)?;
        within("total_memory_bytes", self.total_memory_bytes, self.memory_bytes, 1 << 40)?;
        within("memories", self.memories.into(), 1, 100)?;
        within("tables", self.tables.into(), 1, 100)?;
        within("table_elements", self.table_elements, 1, 10_000_000)?;
        within("instances", self.instances.into(), 1, 1_000)?;
        within("stack_bytes", self.stack_bytes, 64 << 10, 16 << 20)?;
        within("component_bytes", self.component_bytes, 1 << 10, 256 << 20)?;
        within("slice_ms", self.slice_ms, 1, 1_000)?;
        files::check(&self.mounts)
    }
}

fn within(name: &str, value: u64, least: u64, most: u64) -> Result<()> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Error::invalid(format!("{name} of the wasm sandbox is {value}: use {least} to {most}")))
}
