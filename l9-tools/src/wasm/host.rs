//! The host's side of the WIT world: what a guest may ask for during a call, every
//! request counted.

use std::sync::Arc;

use l9_core::digest::{Digest, hmac};
use l9_core::entropy::Entropy;
use l9_core::time::{Clock, Timestamp};
use l9_core::tool::Limits;

use super::fault::Refusal;
use super::limiter::Limiter;
use crate::log::Log;
use bindings::l9::tool::host::Level;

pub(super) mod bindings {
    //! Generated from the WIT world.

    wasmtime::component::bindgen!({
        path: "wit",
        world: "tool",
        ownership: Borrowing { duplicate_if_necessary: true },
        imports: { default: trappable },
        exports: { default: async },
    });
}

/// Where a guest's time and randomness come from.
#[derive(Debug, Clone)]
pub(super) enum Ambient {
    /// The machine's.
    Real { clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy> },
    /// A clock that stands at the intent's time, and a stream of HMACs under a key that is
    /// the same for every attempt at the same effect.
    Still { now: Timestamp, key: Digest },
}

/// What one call holds.
#[derive(Debug)]
pub(super) struct State {
    pub(super) limiter: Limiter,
    pub(super) log: Log,
    ambient: Ambient,
    drawn: u64,
    calls_left: u32,
    calls: u32,
    bytes_left: u64,
    bytes: u64,
}

impl State {
    pub(super) fn new(limits: &Limits, limiter: Limiter, ambient: Ambient) -> Self {
        Self {
            limiter,
            log: Log::new(limits.log_bytes),
            ambient,
            drawn: 0,
            calls_left: limits.host_calls,
            calls: limits.host_calls,
            bytes_left: limits.host_call_bytes,
            bytes: limits.host_call_bytes,
        }
    }

    /// Counts one host call that passes so many bytes.
    fn charge(&mut self, bytes: usize) -> wasmtime::Result<()> {
        self.calls_left = self.calls_left.checked_sub(1).ok_or_else(|| Refusal::host_calls(self.calls))?;
        self.bytes_left =
            self.bytes_left.checked_sub(bytes as u64).ok_or_else(|| Refusal::host_call_bytes(self.bytes))?;
        Ok(())
    }

    fn fill(&mut self, out: &mut [u8]) {
        match &self.ambient {
            Ambient::Real { entropy, .. } => entropy.fill("tool", out),
            Ambient::Still { key, .. } => {
                for chunk in out.chunks_mut(32) {
                    let block = hmac(key.as_bytes(), &[b"l9.tool.random.1\0", &self.drawn.to_be_bytes()]);
                    chunk.copy_from_slice(&block.as_bytes()[..chunk.len()]);
                    self.drawn += 1;
                }
            }
        }
    }
}

impl bindings::l9::tool::types::Host for State {}

impl bindings::l9::tool::host::Host for State {
    fn log(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        self.charge(message.len())?;
        let level = match level {
            Level::Trace | Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        };
        self.log.add(level, &message);
        Ok(())
    }

    fn now_ms(&mut self) -> wasmtime::Result<u64> {
        self.charge(8)?;
        let now = match &self.ambient {
            Ambient::Real { clock, .. } => clock.now(),
            Ambient::Still { now, .. } => *now,
        };
        Ok(u64::try_from(now.as_millis()).unwrap_or(0))
    }

    fn random(&mut self, len: u32) -> wasmtime::Result<Vec<u8>> {
        self.charge(len as usize)?;
        let mut out = vec![0; len as usize];
        self.fill(&mut out);
        Ok(out)
    }
}
