//! Effects with names: an agent whose tools write to an outside ledger, one under an
//! idempotency key, one that nobody can ask about afterwards. Kill this program at any
//! moment and start it again: keyed writes are applied once, opaque ones issued at most
//! once, and every run closes. `tests/crash.rs` does just that.
//!
//! Usage: `ledger_agent DATA_DIR HOST:PORT RUNS`
use std::sync::Arc;

use l9::governor::OnUnknown;
use l9::model::scripted::{Scripted, Turn};
use l9::tool::EffectClass;
use l9::{AgentId, AgentProfile, Runtime, StartOptions, native};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[derive(Deserialize, JsonSchema)]
struct Entry {
    text: String,
}

#[derive(Serialize, JsonSchema)]
struct Written {
    status: String,
}

/// Writes to the ledger under the effect's key.
async fn write(ledger: &str, kind: &str, key: String, text: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(ledger).await?;
    let head = format!(
        "POST /{kind} HTTP/1.1\r\nhost: ledger\r\nidempotency-key: {key}\r\ncontent-length: {}\r\n",
        text.len()
    );
    stream.write_all(format!("{head}connection: close\r\n\r\n{text}").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}

fn tool(ledger: String, kind: &'static str, effect: EffectClass) -> native::NativeTool {
    native::tool(&format!("ledger/{kind}"), "1.0.0", "Writes a line to the ledger.").effect(effect).handler(
        move |context, entry: Entry| {
            let ledger = ledger.clone();
            async move {
                let key = context.idempotency_key().to_string();
                Ok(Written { status: write(&ledger, kind, key, &entry.text).await? })
            }
        },
    )
}

#[tokio::main]
async fn main() -> l9::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, ledger, runs] = arguments.as_slice() else {
        eprintln!("usage: ledger_agent DATA_DIR HOST:PORT RUNS");
        std::process::exit(2);
    };
    let line = r#"{"text": "one more"}"#;
    let script = Scripted::new(vec![
        Turn::call([("ledger/keyed", line)]),
        Turn::call([("ledger/opaque", line), ("ledger/keyed", line)]),
        Turn::call([("ledger/opaque", line)]),
        Turn::say("written"),
    ]);
    let agent =
        AgentProfile::new("scribe")?.with_model("script")?.with_tool("ledger/keyed")?.with_tool("ledger/opaque")?;
    let runtime = Runtime::builder()
        .data_dir(folder)
        // Nobody sits by: an opaque write that was cut off is told to the agent as unknown.
        .on_unknown(OnUnknown::Tell)
        .model("script", Arc::new(script))
        .agent(agent)
        .tool(tool(ledger.clone(), "keyed", EffectClass::KeyedWrite))
        .tool(tool(ledger.clone(), "opaque", EffectClass::OpaqueWrite))
        .build()
        .await?;
    runtime.start().await;
    let mut handles = Vec::new();
    for n in 0..runs.parse().unwrap_or(1_u32) {
        // The same key after a restart is the same run.
        let options = StartOptions { idempotency_key: Some(format!("run-{n}")), ..StartOptions::default() };
        let started =
            runtime.engine().start_agent(&runtime.principal(), &AgentId::new("scribe")?, "write", options).await?;
        handles.push(runtime.engine().handle(&runtime.principal(), started.run).await?);
    }
    for handle in handles {
        let run = handle.run();
        println!("{run} {}", handle.outcome().await?.status);
    }
    runtime.shutdown().await;
    Ok(())
}
