//! Running a handler: its types at the border, its panics caught, its time limited.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use l9_core::governor::Permit;
use l9_core::tool::{Limits, Manifest, Probed, ToolFault, ToolOutput, ToolSandbox};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::context::Context;
use crate::error;

/// Bytes of a panic's message that are kept.
const PANIC_BYTES: usize = 500;

/// A handler and the types of its input and output.
pub(super) struct Handler<F, I, O> {
    handler: F,
    types: PhantomData<fn(I) -> O>,
}

impl<F, I, O> fmt::Debug for Handler<F, I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("native::Handler")
    }
}

impl<F, I, O> Handler<F, I, O> {
    pub(super) fn new(handler: F) -> Self {
        Self { handler, types: PhantomData }
    }
}

#[async_trait]
impl<F, I, O, R> ToolSandbox for Handler<F, I, O>
where
    I: DeserializeOwned + Send + 'static,
    O: Serialize + Send + 'static,
    F: Fn(Context, I) -> R + Send + Sync + 'static,
    R: Future<Output = super::Result<O>> + Send + 'static,
{
    async fn call(&self, permit: Permit, manifest: &Manifest, input: &Value) -> Result<ToolOutput, ToolFault> {
        let input = I::deserialize(input).map_err(|cause| ToolFault::new("invalid_input", cause.to_string()))?;
        let within = manifest.limits.wall().min(permit.remaining());
        let cancel = permit.cancelled().clone();
        let context = Context::new(permit, manifest.limits.log_bytes);
        let its = context.clone();
        // The handler itself may panic before it gives its future.
        let work = std::pin::pin!(AssertUnwindSafe(async { (self.handler)(its, input).await }).catch_unwind());
        let cancelled = std::pin::pin!(cancel.cancelled());
        let ended = tokio::time::timeout(within, select(work, cancelled)).await;
        let output = match ended {
            Ok(Either::Left((Ok(answer), _))) => answer.map_err(ToolFault::from)?,
            Ok(Either::Left((Err(panic), _))) => return Err(panicked(panic.as_ref())),
            Ok(Either::Right(_)) => return Err(error::cancelled()),
            Err(_) => return Err(error::late(&manifest.limits, within)),
        };
        let value = value_of(&output, &manifest.limits)?;
        let (log, writes, labels) = (context.take_log(), context.take_writes(), context.take_labels());
        Ok(ToolOutput { value, fuel: 0, log, writes, labels })
    }
}

/// A tool with a way to find out whether an earlier call took effect.
pub(super) struct Probing<F, I> {
    tool: Arc<dyn ToolSandbox>,
    probe: F,
    types: PhantomData<fn(I)>,
}

impl<F, I> fmt::Debug for Probing<F, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("native::Probing").field(&self.tool).finish()
    }
}

impl<F, I> Probing<F, I> {
    pub(super) fn new(tool: Arc<dyn ToolSandbox>, probe: F) -> Self {
        Self { tool, probe, types: PhantomData }
    }
}

#[async_trait]
impl<F, I, R> ToolSandbox for Probing<F, I>
where
    I: DeserializeOwned + Send + 'static,
    F: Fn(Context, I) -> R + Send + Sync + 'static,
    R: Future<Output = super::Result<Probed>> + Send + 'static,
{
    async fn prepare(&self) {
        self.tool.prepare().await;
    }

    fn egress_bytes(&self, manifest: &Manifest, input: &Value) -> u64 {
        self.tool.egress_bytes(manifest, input)
    }

    async fn call(&self, permit: Permit, manifest: &Manifest, input: &Value) -> Result<ToolOutput, ToolFault> {
        self.tool.call(permit, manifest, input).await
    }

    async fn probe(&self, permit: Permit, manifest: &Manifest, input: &Value) -> Result<Probed, ToolFault> {
        let input = I::deserialize(input).map_err(|cause| ToolFault::new("invalid_input", cause.to_string()))?;
        let context = Context::new(permit, manifest.limits.log_bytes);
        let asked = AssertUnwindSafe(async { (self.probe)(context, input).await }).catch_unwind().await;
        asked.map_err(|panic| panicked(panic.as_ref()))?.map_err(ToolFault::from)
    }
}

fn panicked(panic: &(dyn Any + Send)) -> ToolFault {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message");
    ToolFault::new("panic", format!("the tool panicked: {}", crate::log::printable(message, PANIC_BYTES)))
}

fn value_of(output: &impl Serialize, limits: &Limits) -> Result<Value, ToolFault> {
    let text = serde_json::to_vec(output)
        .map_err(|cause| ToolFault::new("invalid_output", format!("the output is no JSON: {cause}")))?;
    error::read_output(&text, limits)
}
