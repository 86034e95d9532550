//! The one place that turns bytes into native code without compiling them.
//!
//! Wasmtime trusts such bytes entirely: a forged file is arbitrary native code. So only
//! [`super::cache`] may call this, after it has verified the bytes' MAC.

use wasmtime::Engine;
use wasmtime::component::Component;

/// Bytes whose MAC was verified under the cache key of this installation.
pub(super) struct Verified<'a>(&'a [u8]);

impl<'a> Verified<'a> {
    /// To be called by the cache only, right after the MAC of exactly these bytes.
    pub(super) fn by_mac(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

/// Loads what an engine of the same compatibility hash has serialized before.
#[expect(unsafe_code, reason = "loading precompiled code is what the ahead-of-time cache is for")]
pub(super) fn load(engine: &Engine, image: &Verified<'_>) -> wasmtime::Result<Component> {
    // SAFETY: `deserialize` needs bytes that `Component::serialize` gave and nobody changed
    // since. The MAC over the image, the component's hash and the engine's compatibility
    // hash shows just that: only this installation holds the key, it signs nothing but
    // what it compiled itself, and the verified bytes are in memory, not read again.
    unsafe { Component::deserialize(engine, image.0) }
}
