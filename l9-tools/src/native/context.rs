//! What a handler knows of its call.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use l9_core::Result;
use l9_core::digest::Digest;
use l9_core::governor::Permit;
use l9_core::id::{CallId, RunId, TenantId};
use l9_core::journal::Write;
use l9_core::label::Label;
use l9_core::time::Timestamp;
use l9_core::tool::LogLine;
use tokio_util::sync::CancellationToken;

use crate::log::Log;

/// The facts of a call. The permit behind them stays in here.
#[derive(Debug, Clone)]
pub struct Context {
    permit: Arc<Permit>,
    log: Arc<Mutex<Log>>,
    writes: Arc<Mutex<Vec<Write>>>,
    labels: Arc<Mutex<BTreeMap<String, Label>>>,
}

impl Context {
    pub(super) fn new(permit: Permit, log_bytes: u64) -> Self {
        Self {
            permit: Arc::new(permit),
            log: Arc::new(Mutex::new(Log::new(log_bytes))),
            writes: Arc::default(),
            labels: Arc::default(),
        }
    }

    /// The tenant on whose behalf.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        self.permit.tenant()
    }

    /// The run.
    #[must_use]
    pub fn run(&self) -> RunId {
        self.permit.run()
    }

    /// The effect within the run.
    #[must_use]
    pub fn call(&self) -> CallId {
        self.permit.call()
    }

    /// The attempt at it, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.permit.attempt()
    }

    /// The same for every attempt at this call: pass it on to whatever honours such keys.
    #[must_use]
    pub fn idempotency_key(&self) -> Digest {
        self.permit.idempotency_key()
    }

    /// The time of the call; a deterministic tool looks at no other clock.
    #[must_use]
    pub fn issued_at(&self) -> Timestamp {
        self.permit.issued_at()
    }

    /// Whether the run is seeded: equal input must give equal output.
    #[must_use]
    pub fn deterministic(&self) -> bool {
        self.permit.deterministic()
    }

    /// How long the call may still take.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.permit.remaining()
    }

    /// Fires when the run is cancelled. The handler's future is dropped then in any case;
    /// work it has spawned should listen.
    #[must_use]
    pub fn cancelled(&self) -> &CancellationToken {
        self.permit.cancelled()
    }

    /// To be asked right before bytes leave the process.
    ///
    /// # Errors
    /// `Cancelled` after cancellation, `Denied` after the permit has lapsed.
    pub fn check(&self) -> Result<()> {
        self.permit.check()
    }

    /// Gives a sign of life: a tool whose limits ask for heartbeats is stopped without.
    pub fn beat(&self) {
        self.permit.beat();
    }

    /// Shows words to those who follow the run; they are not journaled. A sign of life, too.
    pub fn show(&self, text: &str) {
        self.permit.show(text);
    }

    /// Adds a line to the call's log; `level` is `debug`, `info`, `warn` or `error`.
    pub fn log(&self, level: &str, message: &str) {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).add(level, message);
    }

    /// The label of the call's arguments.
    #[must_use]
    pub fn label(&self) -> &Label {
        self.permit.label()
    }

    /// Has something that a store prepared written into L9's own database in the transaction
    /// of this call's result: both come about, or neither. For tools of the class
    /// `same_db_write`.
    pub fn write_with_result(&self, write: Write) {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner).push(write);
    }

    /// Says where a field of the output came from, where that is another for each call:
    /// `pointer` is a JSON pointer into the output, and covers what is below it.
    pub fn label_output(&self, pointer: impl Into<String>, label: Label) {
        self.labels.lock().unwrap_or_else(PoisonError::into_inner).insert(pointer.into(), label);
    }

    pub(super) fn take_labels(&self) -> BTreeMap<String, Label> {
        std::mem::take(&mut *self.labels.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn take_writes(&self) -> Vec<Write> {
        std::mem::take(&mut *self.writes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn take_log(&self) -> Vec<LogLine> {
        std::mem::take(&mut *self.log.lock().unwrap_or_else(PoisonError::into_inner)).finish()
    }
}
