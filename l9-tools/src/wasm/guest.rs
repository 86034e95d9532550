//! One component as a tool's sandbox.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::{Either, select};
use l9_core::governor::Permit;
use l9_core::id::TenantId;
use l9_core::json::canonical;
use l9_core::tool::{Determinism, Manifest, Runtime, ToolFault, ToolOutput, ToolSandbox};
use serde_json::Value;

use super::call::{self, Call};
use super::component::{Component, Linked};
use super::fault;
use super::files::Files;
use super::gate::Place;
use super::host::{Ambient, Reach};
use super::http::Requests;
use super::interfaces::Needs;
use super::sandbox::Shared;
use super::scratch::Scratch;

/// A loaded component; what [`super::Sandbox::load`] gives and a registry takes.
#[derive(Debug)]
pub struct Guest {
    shared: Arc<Shared>,
    component: Arc<Component>,
}

impl Guest {
    pub(super) fn new(shared: Arc<Shared>, component: Arc<Component>) -> Self {
        Self { shared, component }
    }

    /// Waits for a place in the pool, but no longer than the call may.
    async fn enter(&self, call: &Call<'_>, tenant: &TenantId) -> Result<Place, ToolFault> {
        let entered = tokio::time::timeout((call.remaining)(), async {
            let beside = call.reach.kv.as_ref().map_or(0, Scratch::room).saturating_add(call.reach.output);
            let memory = call.limits.memory_bytes.saturating_add(beside);
            let enter = std::pin::pin!(self.shared.gate.enter(tenant, memory));
            let cancelled = std::pin::pin!(call.cancel.cancelled());
            match select(enter, cancelled).await {
                Either::Left((place, _)) => place.ok_or_else(full),
                Either::Right(_) => Err(fault::not_begun("it was cancelled")),
            }
        });
        entered.await.unwrap_or_else(|_| Err(full()))
    }

    /// The component's code, held to a manifest.
    pub(super) async fn linked(&self, manifest: &Manifest) -> Result<&Linked, ToolFault> {
        let linked = self.component.linked(&self.shared.workshop).await;
        let granted = linked.and_then(|linked| linked.needs.check(manifest).map(|()| linked));
        granted.map_err(|error| ToolFault { retryable: false, ..fault::not_begun(error) })
    }

    /// One call, by someone who holds a permit for it.
    pub(super) async fn perform(
        &self,
        linked: &Linked,
        call: Call<'_>,
        tenant: &TenantId,
    ) -> Result<ToolOutput, ToolFault> {
        let _place = self.enter(&call, tenant).await?;
        call::run(&self.shared, &linked.pre, call).await
    }
}

#[async_trait]
impl ToolSandbox for Guest {
    /// A guest decides while it runs what it sends; no more than it may pass to the host.
    fn egress_bytes(&self, manifest: &Manifest, _: &Value) -> u64 {
        if manifest.net.is_empty() { 0 } else { manifest.limits.host_call_bytes }
    }

    async fn prepare(&self) {
        if let Err(error) = self.component.linked(&self.shared.workshop).await {
            tracing::debug!(%error, "a component is not ready");
        }
    }

    async fn call(&self, permit: Permit, manifest: &Manifest, input: &Value) -> Result<ToolOutput, ToolFault> {
        if !matches!(&manifest.runtime, Runtime::Wasm { module } if module.sha256 == self.component.sha256) {
            let why = format!("{} names another component than the one loaded for it", manifest.id);
            return Err(ToolFault { retryable: false, ..fault::not_begun(why) });
        }
        let permit = Arc::new(permit);
        let still = manifest.determinism == Determinism::Deterministic || permit.deterministic();
        self.invoke(&permit, manifest, input, still, |needs| self.reach(needs, &permit, manifest)).await
    }
}

impl Guest {
    /// A call of a pure tool as a part of another tool's work, under that one's permit.
    #[cfg(feature = "models")]
    pub(crate) async fn within(
        &self,
        permit: &Permit,
        manifest: &Manifest,
        input: &Value,
    ) -> Result<ToolOutput, ToolFault> {
        self.invoke(permit, manifest, input, true, |_| Ok(Reach::default())).await
    }

    /// One call; `still` is whether its clock and randomness are those of the permit.
    async fn invoke(
        &self,
        permit: &Permit,
        manifest: &Manifest,
        input: &Value,
        still: bool,
        reach: impl FnOnce(&Needs) -> Result<Reach, ToolFault> + Send,
    ) -> Result<ToolOutput, ToolFault> {
        let input = canonical_text(input)?;
        let linked = self.linked(manifest).await?;
        let call = Call {
            tool: manifest.id.as_str(),
            input: &input,
            limits: &manifest.limits,
            ambient: self.ambient(permit, still),
            reach: reach(&linked.needs)?,
            remaining: &|| permit.remaining(),
            cancel: permit.cancelled(),
        };
        self.perform(linked, call, permit.tenant()).await
    }

    fn ambient(&self, permit: &Permit, still: bool) -> Ambient {
        if still {
            return Ambient::Still { now: permit.issued_at(), key: permit.idempotency_key() };
        }
        Ambient::Real { clock: Arc::clone(&self.shared.clock), entropy: Arc::clone(&self.shared.entropy) }
    }

    fn reach(&self, needs: &Needs, permit: &Arc<Permit>, manifest: &Manifest) -> Result<Reach, ToolFault> {
        let Shared { settings, surroundings, .. } = &*self.shared;
        let sends = !manifest.net.is_empty();
        let requests = surroundings.as_ref().filter(|_| sends).map(|around| Requests::of(manifest, around));
        Ok(Reach {
            kv: manifest.kv.as_ref().map(Scratch::new),
            files: (!manifest.fs.is_empty()).then(|| Files::new(&settings.mounts, &manifest.fs, permit.tenant())),
            requests: requests.transpose().map_err(fault::not_begun)?,
            permit: (needs.shows || sends).then(|| Arc::clone(permit)),
            // What was written, and that with what is returned.
            output: if needs.writes { manifest.limits.output_bytes.saturating_mul(2) } else { 0 },
        })
    }
}

fn canonical_text(input: &Value) -> Result<String, ToolFault> {
    canonical(input)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| ToolFault::new("invalid_input", "the input has no canonical form"))
}

fn full() -> ToolFault {
    fault::not_begun("the sandbox was full until its deadline, try again")
}
