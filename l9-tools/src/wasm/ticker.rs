//! The heartbeat that makes a busy guest let others have the thread.
//!
//! A guest looks at the engine's epoch at every loop and function entry and yields to
//! the executor when it has moved. A thread moves it, because a task could starve
//! behind the very guests it is to interrupt. It sleeps while no guest is running.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use wasmtime::{Engine, EngineWeak};

/// Beats without a call after which the thread goes to sleep.
const IDLE_BEATS: u32 = 200;

/// The heartbeat of one engine; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Ticker {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    running: AtomicUsize,
    asleep: AtomicBool,
    ended: AtomicBool,
    lock: Mutex<()>,
    wake: Condvar,
}

/// Keeps the heartbeat going while a guest runs.
#[derive(Debug)]
pub(super) struct Running<'a>(&'a Shared);

impl Ticker {
    pub(super) fn start(engine: &Engine, beat: Duration) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (engine, its) = (engine.weak(), Arc::clone(&shared));
        std::thread::Builder::new().name("l9-wasm-ticker".into()).spawn(move || its.beat(&engine, beat))?;
        Ok(Self { shared })
    }

    /// To be held for as long as a guest runs.
    pub(super) fn running(&self) -> Running<'_> {
        self.shared.running.fetch_add(1, Ordering::SeqCst);
        if self.shared.asleep.load(Ordering::SeqCst) {
            self.shared.rouse();
        }
        Running(&self.shared)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.shared.rouse();
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Shared {
    fn rouse(&self) {
        let _guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.wake.notify_all();
    }

    fn beat(&self, engine: &EngineWeak, beat: Duration) {
        let mut idle = 0;
        while !self.ended.load(Ordering::SeqCst) {
            let guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
            let waited = self.wake.wait_timeout(guard, beat);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
            let Some(engine) = engine.upgrade() else { return };
            engine.increment_epoch();
            drop(engine);
            idle = if self.running.load(Ordering::SeqCst) > 0 { 0 } else { idle + 1 };
            if idle >= IDLE_BEATS {
                self.sleep();
                idle = 0;
            }
        }
    }

    fn sleep(&self) {
        let mut guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.asleep.store(true, Ordering::SeqCst);
        while self.running.load(Ordering::SeqCst) == 0 && !self.ended.load(Ordering::SeqCst) {
            guard = self.wake.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
        self.asleep.store(false, Ordering::SeqCst);
    }
}
