//! The ledger agent in a build with failpoints, under a name of its own, so that no
//! ordinary build takes its place: `cargo build -p l9 --example crash_agent --features failpoints`.
//! As the agent `withdrawn` it carries out a plan instead, which it cancels.

#[path = "ledger_agent.rs"]
mod ledger_agent;

use std::time::Duration;

use l9::id::CommandId;
use l9::journal::RunFilter;
use l9::run::{Command, CommandRequest};
use l9::{ErrorKind, RunId, Runtime, StartOptions};
use serde_json::{Value, json};

/// How long it rests before it looks again.
const REST: Duration = Duration::from_millis(5);

/// A plan that writes, waits, and compensates if it does not succeed.
fn plan() -> Value {
    let write = |text: &str| json!({"tool": "ledger/keyed", "arguments": {"text": text}});
    let mut first = write("first");
    (first["id"], first["compensate"]) = (json!("first"), write("undo"));
    let wait = json!({"id": "wait", "needs": ["first"], "wait": {"signal": "never"}});
    json!({"plan": "withdrawn", "on_failure": "compensate", "nodes": [first, wait]})
}

/// Cancels a run once it waits, once however often it is told to.
async fn cancel(runtime: &Runtime, run: RunId) -> l9::Result<()> {
    let tenant = runtime.principal().tenant;
    loop {
        let (row, state) = runtime.engine().show(&tenant, run).await?;
        if row.status.is_closed() || !state.waits.is_empty() {
            break;
        }
        runtime.clock().sleep(REST).await;
    }
    let command = Command::Cancel { reason: "withdrawn".into() };
    let request = CommandRequest { id: CommandId::new("withdraw")?, by: "crash_agent".into(), command };
    match runtime.engine().command(&tenant, run, &request).await {
        // It has ended.
        Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
        sent => sent.map(drop),
    }
}

/// Carries the plan out, or takes it up, until every run has ended.
#[tokio::main]
async fn withdraw(folder: &str, ledger: &str) -> l9::Result<()> {
    let runtime = ledger_agent::build(folder, ledger, "withdrawn", "local").await?;
    runtime.start().await;
    let principal = runtime.principal();
    let options = StartOptions { idempotency_key: Some("withdrawn".to_owned()), ..StartOptions::default() };
    let run = runtime.engine().start_plan(&principal, &plan(), &Value::Null, options).await?.run;
    cancel(&runtime, run).await?;
    // The run that compensates begins with the end of this one.
    runtime.engine().handle(&principal, run).await?.outcome().await?;
    for row in runtime.store().runs(&principal.tenant, &RunFilter::default(), 10).await? {
        runtime.engine().handle(&principal, row.run).await?.outcome().await?;
    }
    runtime.shutdown().await;
    Ok(())
}

fn main() -> l9::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [folder, ledger, _, agent] if agent == "withdrawn" => withdraw(folder, ledger),
        _ => ledger_agent::main(),
    }
}
