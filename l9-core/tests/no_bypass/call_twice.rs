//! A sandbox consumes the permit: a second call needs a second intent.
use l9_core::governor::Permit;
use l9_core::tool::{Manifest, ToolSandbox};

async fn twice(sandbox: &dyn ToolSandbox, permit: Permit, manifest: &Manifest) {
    let input = serde_json::Value::Null;
    let _first = sandbox.call(permit, manifest, &input).await;
    let _second = sandbox.call(permit, manifest, &input).await;
}

fn main() {}
