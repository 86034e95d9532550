//! The host's side of the WIT world: what a guest may ask for during a call, every
//! request counted. Files and HTTP are in folders of their own.

use std::sync::Arc;

use l9_core::digest::{Digest, HmacKey};
use l9_core::entropy::Entropy;
use l9_core::governor::Permit;
use l9_core::time::{Clock, Timestamp};
use l9_core::tool::Limits;

use super::fault::Refusal;
use super::files::Files;
use super::http::Requests;
use super::limiter::Limiter;
use super::scratch::Scratch;
use crate::log::{Log, printable};
use bindings::l9::tool::host::Level;

/// Bytes of a line of progress that are shown, and of a piece of an output.
const PROGRESS_BYTES: usize = 2_000;
/// Random bytes that are drawn at once: nothing looks at time or fuel before they are there.
const DRAW_BYTES: u32 = 64 << 10;

pub(in crate::wasm) mod bindings {
    //! Generated from the WIT world.

    wasmtime::component::bindgen!({
        path: "wit",
        world: "full",
        ownership: Borrowing { duplicate_if_necessary: true },
        imports: {
            "l9:tool/files": async | trappable,
            "l9:tool/http": async | trappable,
            default: trappable,
        },
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

/// What one call reaches beyond itself, as far as its component imports it: a call that
/// reaches nothing sets nothing up.
#[derive(Debug, Default)]
pub(super) struct Reach {
    pub(super) kv: Option<Scratch>,
    pub(super) files: Option<Files>,
    pub(super) requests: Option<Requests>,
    /// Whose permit it is, for what is sent, and shown to those who follow the run.
    pub(super) permit: Option<Arc<Permit>>,
    /// Room for the output that it writes in parts.
    pub(super) output: u64,
}

/// What one call holds.
#[derive(Debug)]
pub(super) struct State {
    pub(super) limiter: Limiter,
    pub(super) log: Log,
    pub(super) files: Option<Files>,
    pub(super) requests: Option<Requests>,
    pub(super) permit: Option<Arc<Permit>>,
    /// Whether it changed anything outside of the call, or may have.
    pub(super) changed: bool,
    /// The parts of the output that it wrote.
    pub(super) written: String,
    kv: Option<Scratch>,
    ambient: Ambient,
    drawn: u64,
    output_bytes: u64,
    calls_left: u32,
    calls: u32,
    bytes_left: u64,
    bytes: u64,
}

impl State {
    pub(super) fn new(limits: &Limits, limiter: Limiter, ambient: Ambient, reach: Reach) -> Self {
        let Reach { kv, files, requests, permit, output: _ } = reach;
        Self {
            limiter,
            log: Log::new(limits.log_bytes),
            files,
            requests,
            permit,
            changed: false,
            written: String::new(),
            kv,
            ambient,
            drawn: 0,
            output_bytes: limits.output_bytes,
            calls_left: limits.host_calls,
            calls: limits.host_calls,
            bytes_left: limits.host_call_bytes,
            bytes: limits.host_call_bytes,
        }
    }

    /// Counts one host call that passes so many bytes.
    pub(super) fn charge(&mut self, bytes: usize) -> wasmtime::Result<()> {
        self.calls_left = self.calls_left.checked_sub(1).ok_or_else(|| Refusal::host_calls(self.calls))?;
        self.pass(bytes as u64)
    }

    /// Counts bytes that a host call passes back.
    pub(super) fn pass(&mut self, bytes: u64) -> wasmtime::Result<()> {
        self.bytes_left = self.bytes_left.checked_sub(bytes).ok_or_else(|| self.too_many_bytes())?;
        Ok(())
    }

    pub(super) fn bytes_left(&self) -> u64 {
        self.bytes_left
    }

    pub(super) fn too_many_bytes(&self) -> wasmtime::Error {
        Refusal::host_call_bytes(self.bytes).into()
    }

    fn fill(&mut self, out: &mut [u8]) {
        match &self.ambient {
            Ambient::Real { entropy, .. } => entropy.fill(format_args!("tool"), out),
            Ambient::Still { key, .. } => {
                let key = HmacKey::new(key.as_bytes());
                for chunk in out.chunks_mut(32) {
                    let block = key.sign(&[b"l9.tool.random.1\0", &self.drawn.to_be_bytes()]);
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
        if len > DRAW_BYTES {
            return Err(Refusal::random(len, DRAW_BYTES).into());
        }
        let mut out = vec![0; len as usize];
        self.fill(&mut out);
        Ok(out)
    }
}

impl bindings::l9::tool::progress::Host for State {
    fn show(&mut self, line: String) -> wasmtime::Result<()> {
        self.charge(line.len())?;
        if let Some(permit) = &self.permit {
            permit.show(&(printable(&line, PROGRESS_BYTES) + "\n"));
        }
        Ok(())
    }
}

impl bindings::l9::tool::output::Host for State {
    fn write(&mut self, part: String) -> wasmtime::Result<()> {
        self.charge(part.len())?;
        if (self.written.len() + part.len()) as u64 > self.output_bytes {
            return Err(Refusal::output(self.output_bytes).into());
        }
        self.written += &part;
        if let Some(permit) = &self.permit {
            // What waits to be seen is bounded by the number of its pieces.
            let mut rest = part.as_str();
            loop {
                let (piece, after) = rest.split_at(rest.floor_char_boundary(PROGRESS_BYTES));
                permit.show(&printable(piece, usize::MAX));
                if after.is_empty() {
                    break;
                }
                rest = after;
            }
        }
        Ok(())
    }
}

impl bindings::l9::tool::kv::Host for State {
    fn get(&mut self, key: String) -> wasmtime::Result<Option<Vec<u8>>> {
        self.charge(key.len())?;
        let bytes = self.kv.as_ref().and_then(|kv| kv.get(&key)).map_or(0, Vec::len);
        self.pass(bytes as u64)?;
        Ok(self.kv.as_ref().and_then(|kv| kv.get(&key)).cloned())
    }

    fn set(&mut self, key: String, value: Vec<u8>) -> wasmtime::Result<Result<(), String>> {
        self.charge(key.len() + value.len())?;
        let Some(kv) = &mut self.kv else { return Ok(Err("the manifest grants no kv".into())) };
        Ok(kv.set(key, value))
    }

    fn delete(&mut self, key: String) -> wasmtime::Result<bool> {
        self.charge(key.len())?;
        Ok(self.kv.as_mut().is_some_and(|kv| kv.delete(&key)))
    }

    fn keys(&mut self) -> wasmtime::Result<Vec<String>> {
        self.charge(0)?;
        let bytes = self.kv.iter().flat_map(Scratch::keys).map(|key| key.len() as u64 + 8).sum();
        self.pass(bytes)?;
        Ok(self.kv.iter().flat_map(Scratch::keys).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use l9_core::digest::hmac;

    use super::super::settings::Settings;
    use super::bindings::l9::tool::host::Host as _;
    use super::*;

    fn still() -> State {
        let limits = Limits::default();
        let limiter = Limiter::new(&limits, &Settings::default());
        let ambient = Ambient::Still { now: Timestamp::from_millis(0), key: Digest::from_bytes([7; 32]) };
        State::new(&limits, limiter, ambient, Reach::default())
    }

    #[test]
    fn still_draws_are_one_stream_of_blocks() {
        let block = |number: u64| *hmac(&[7; 32], &[b"l9.tool.random.1\0", &number.to_be_bytes()]).as_bytes();
        let mut state = still();
        assert_eq!(state.random(40).unwrap(), [&block(0)[..], &block(1)[..8]].concat());
        assert_eq!(state.random(32).unwrap(), block(2));
    }

    #[test]
    fn a_draw_is_bounded_by_itself() {
        let mut state = still();
        assert_eq!(state.random(65_536).unwrap().len(), 65_536);
        let refused = state.random(65_537).unwrap_err();
        let expected = "limit.random: drew 65,537 random bytes at once, over the limit of 65,536";
        assert_eq!(refused.to_string(), expected);
    }
}
