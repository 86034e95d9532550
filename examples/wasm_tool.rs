//! A tool that is a wasm component, under a manifest: the sandbox holds it to its limits,
//! and whatever it does ends as a typed, recorded result. The component here is one of the
//! hostile ones that L9 is tested with; `l9-tools/guests/templates` is where yours begins.
use l9::Runtime;
use l9::digest::sha256;
use l9::tool::Manifest;

const COMPONENT: &[u8] = include_bytes!("../l9-tools/guests/dist/hostile.wasm");

fn manifest(id: &str) -> l9::Result<Manifest> {
    let manifest = serde_json::json!({
        "schema_version": 1,
        "id": id,
        "version": "1.0.0",
        "title": id,
        "description": "One of the tools in the component.",
        "runtime": {"kind": "wasm", "module": {
            "sha256": sha256(&[COMPONENT]).to_string(), "size": COMPONENT.len(), "world": "l9:tool/tool@0.1.0"
        }},
        "input_schema": {"type": "object"},
        "effect": "pure",
        "limits": {"fuel": 50_000_000, "memory_bytes": 16 << 20, "wall_ms": 2_000, "output_bytes": 4_096}
    });
    l9::registry::from_json(manifest.to_string().as_bytes())
}

#[tokio::main]
async fn main() -> l9::Result<()> {
    let tools = ["hostile/echo", "hostile/loop", "hostile/allocate", "hostile/flood", "hostile/trap"];
    let mut builder = Runtime::builder().in_memory();
    for id in tools {
        builder = builder.wasm_tool(manifest(id)?, COMPONENT);
    }
    let runtime = builder.build().await?;
    for id in tools {
        let ended = runtime.call(id, r#"{"words": "hello"}"#).await?.outcome().await?;
        println!("{id:<17} {:<10} {:<13} {}", ended.status, ended.code.as_deref().unwrap_or("-"), ended.text());
    }
    println!("{} records verify", runtime.verify().await?.records);
    runtime.shutdown().await;
    Ok(())
}
