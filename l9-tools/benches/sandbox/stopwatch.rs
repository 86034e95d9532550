//! Stopwatches where nobody else can hold one: a permit comes only from the governor, so a
//! sandbox and a model are timed around their calls, inside a governed run.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use l9_core::governor::Permit;
use l9_core::model::scripted::Scripted;
use l9_core::model::{DeltaSink, Estimate, ModelClient, ModelFault, ModelRequest, ModelResponse};
use l9_core::tool::{Manifest, ToolFault, ToolOutput, ToolSandbox};
use l9_tools::wasm::Guest;
use serde_json::Value;

use crate::raw::Raw;

/// Times a guest, and in turn before or after it the raw call of the same input, so that
/// both find the caches as a governed call leaves them.
pub(crate) struct Timed {
    pub(crate) guest: Arc<Guest>,
    /// None: only the guest is timed.
    pub(crate) raw: Option<Raw>,
    pub(crate) took: Mutex<Vec<Took>>,
}

/// One call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Took {
    pub(crate) began: Instant,
    pub(crate) ended: Instant,
    pub(crate) sandbox: Duration,
    pub(crate) raw: Duration,
}

impl fmt::Debug for Timed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Timed")
    }
}

impl Timed {
    pub(crate) fn new(guest: Arc<Guest>, raw: Option<Raw>) -> Arc<Self> {
        Arc::new(Self { guest, raw, took: Mutex::default() })
    }

    async fn raw(&self, tool: &str, input: &Value) -> Duration {
        let Some(raw) = &self.raw else { return Duration::ZERO };
        let text = input.to_string();
        let began = Instant::now();
        raw.call(tool, &text).await;
        began.elapsed()
    }

    /// What was timed since the last time.
    pub(crate) fn take(&self) -> Vec<Took> {
        std::mem::take(&mut self.took.lock().unwrap())
    }
}

#[async_trait]
impl ToolSandbox for Timed {
    async fn call(&self, permit: Permit, manifest: &Manifest, input: &Value) -> Result<ToolOutput, ToolFault> {
        let began = Instant::now();
        let tool = manifest.id.as_str();
        let raw_first = self.took.lock().unwrap().len().is_multiple_of(2);
        let mut raw = if raw_first { self.raw(tool, input).await } else { Duration::ZERO };
        let started = Instant::now();
        let output = self.guest.call(permit, manifest, input).await;
        let sandbox = started.elapsed();
        if !raw_first {
            raw = self.raw(tool, input).await;
        }
        self.took.lock().unwrap().push(Took { began, ended: Instant::now(), sandbox, raw });
        output
    }
}

/// A scripted model that notes when it was asked and when it had answered.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) script: Scripted,
    pub(crate) asked: Mutex<Vec<(Instant, Instant)>>,
}

#[async_trait]
impl ModelClient for Model {
    fn default_model(&self) -> &str {
        self.script.default_model()
    }

    fn estimate(&self, request: &ModelRequest) -> Estimate {
        self.script.estimate(request)
    }

    async fn complete(
        &self,
        permit: Permit,
        request: &ModelRequest,
        deltas: &DeltaSink,
    ) -> Result<ModelResponse, ModelFault> {
        let began = Instant::now();
        let answer = self.script.complete(permit, request, deltas).await;
        self.asked.lock().unwrap().push((began, Instant::now()));
        answer
    }
}
