//! Effects with names: agents whose tools write to an outside ledger, one tool for every
//! effect class. Kill this program at any moment and start it again: keyed writes are
//! applied once, opaque ones issued at most once, and every run closes. `tests/failpoints.rs`
//! does just that.
//!
//! Usage: `ledger_agent DATA_DIR HOST:PORT FIRST..END [AGENT] [NODE]`. It starts the runs
//! `AGENT-FIRST` and so on, or takes them up, says so, and ends when they have ended.
use std::sync::Arc;
use std::time::Duration;

use l9::governor::OnUnknown;
use l9::id::CommandId;
use l9::model::scripted::{Scripted, Turn};
use l9::run::{Command, CommandRequest};
use l9::tool::{EffectClass, Limits, Probed};
use l9::{AgentId, AgentProfile, ErrorKind, RunId, Runtime, Settings, StartOptions, native};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const TOOLS: [(&str, EffectClass); 5] = [
    ("pure", EffectClass::Pure),
    ("read", EffectClass::Read),
    ("keyed", EffectClass::KeyedWrite),
    ("queryable", EffectClass::QueryableWrite),
    ("opaque", EffectClass::OpaqueWrite),
];

#[derive(Serialize, Deserialize, JsonSchema)]
struct Entry {
    text: String,
}

#[derive(Serialize, JsonSchema)]
struct Written {
    status: String,
}

/// Says something to the ledger, and gives the status line of its answer.
async fn ask(ledger: &str, path: &str, context: &native::Context, body: &str) -> native::Result<String> {
    let away = |error: std::io::Error| native::Fault::unavailable(error.to_string());
    let mut stream = TcpStream::connect(ledger).await.map_err(away)?;
    let (key, bytes) = (context.idempotency_key(), body.len());
    let head =
        format!("POST /{path} HTTP/1.1\r\nhost: ledger\r\nidempotency-key: {key}\r\ncontent-length: {bytes}\r\n");
    // A process that was frozen before this asks here whether it still may.
    context.check()?;
    stream.write_all(format!("{head}connection: close\r\n\r\n{body}").as_bytes()).await.map_err(away)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.map_err(away)?;
    // Cut off: a write under a key is made again, any other is unknown.
    answer.lines().next().map(str::to_owned).ok_or_else(|| native::Fault::unavailable("no answer"))
}

fn tool(ledger: &str, kind: &'static str, effect: EffectClass) -> native::NativeTool {
    let (ledger, asked) = (ledger.to_owned(), ledger.to_owned());
    native::tool(&format!("ledger/{kind}"), "1.0.0", "Writes a line to the ledger.")
        .effect(effect)
        .limits(Limits { wall_ms: 1_000, ..Limits::default() })
        .handler(move |context, entry: Entry| {
            let ledger = ledger.clone();
            async move {
                let body = format!("{} {}", context.run(), entry.text);
                Ok(Written { status: ask(&ledger, kind, &context, &body).await? })
            }
        })
        .with_probe(move |context, _: Entry| {
            let ledger = asked.clone();
            async move {
                let status = ask(&ledger, "probe", &context, "").await?;
                Ok(match status.split(' ').nth(1) {
                    Some("200") => Probed::Happened(serde_json::json!({ "status": status })),
                    Some("404") => Probed::NotHappened,
                    _ => Probed::Unknown,
                })
            }
        })
}

/// What an agent does. `scribe` mixes the classes; those named like a class use it alone,
/// before and after a wait, and so does `remember`; `many-` and a class so often that the run
/// is kept as a snapshot.
fn script(agent: &str) -> Vec<Turn> {
    let turn = |calls: &[(&str, usize)]| {
        let calls: Vec<(String, String)> =
            calls.iter().map(|(kind, n)| (tool_of(kind), format!(r#"{{"text": "{kind} {n}"}}"#))).collect();
        Turn::call(calls.iter().map(|(tool, arguments)| (tool.as_str(), arguments.as_str())))
    };
    let mut turns = match agent.strip_prefix("many-") {
        Some(class) => vec![turn(&(0..130).map(|n| (class, n)).collect::<Vec<_>>())],
        None if agent == "scribe" => vec![
            turn(&[("keyed", 1)]),
            turn(&[("opaque", 1), ("keyed", 2), ("read", 1)]),
            turn(&[("queryable", 1), ("opaque", 2)]),
        ],
        None => vec![turn(&[(agent, 1)]), Turn::call([("run/wait", r#"{"signal": "go"}"#)]), turn(&[(agent, 2)])],
    };
    turns.push(Turn::say("written"));
    turns
}

/// The tool of a class; what is remembered goes into the run's own database.
fn tool_of(kind: &str) -> String {
    if kind == "remember" { "memory/remember".to_owned() } else { format!("ledger/{kind}") }
}

/// Sends the signal that a run waits for, once, however often it is sent.
async fn signal(runtime: Runtime, run: RunId) -> l9::Result<()> {
    let command = Command::Signal { name: "go".into(), value: serde_json::Value::Null };
    let request = CommandRequest { id: CommandId::new("go")?, by: "ledger_agent".into(), command };
    let tenant = runtime.principal().tenant;
    loop {
        match runtime.engine().command(&tenant, run, &request).await {
            // Nobody waits for it yet, or no longer.
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            other => return other.map(drop),
        }
        runtime.clock().sleep(Duration::from_millis(5)).await;
    }
}

/// A node that is not started yet.
pub(crate) async fn build(folder: &str, ledger: &str, agent: &str, node: &str) -> l9::Result<Runtime> {
    let mut settings =
        Settings { data_dir: folder.into(), node: node.to_owned(), lease_ms: 5_000, ..Settings::default() };
    settings.worker.reconcile_ms = 200;
    let mut profile =
        AgentProfile::new(agent)?.with_model("script")?.with_tool("run/wait")?.with_tool("memory/remember")?;
    profile.limits.parallel_tools = 256;
    // Nobody sits by: an opaque write that was cut off is told to the agent as unknown.
    let mut builder = Runtime::builder().settings(settings).on_unknown(OnUnknown::Tell);
    for (kind, class) in TOOLS {
        profile = profile.with_tool(&format!("ledger/{kind}"))?;
        builder = builder.tool(tool(ledger, kind, class));
    }
    builder.model("script", Arc::new(Scripted::new(script(agent)))).agent(profile).build().await
}

#[tokio::main]
pub(crate) async fn main() -> l9::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(tracing::Level::WARN).init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, ledger, runs, rest @ ..] = arguments.as_slice() else {
        eprintln!("usage: ledger_agent DATA_DIR HOST:PORT FIRST..END [AGENT] [NODE]");
        std::process::exit(2);
    };
    let agent = rest.first().map_or("scribe", String::as_str);
    let (first, end) = runs.split_once("..").unwrap_or(("0", runs));
    let (first, end): (u32, u32) = (first.parse().unwrap_or(0), end.parse().unwrap_or(1));
    let runtime = build(folder, ledger, agent, rest.get(1).map_or("local", String::as_str)).await?;
    runtime.start().await;
    let mut handles = Vec::new();
    for n in first..end {
        // The same key after a restart is the same run.
        let options = StartOptions { idempotency_key: Some(format!("{agent}-{n}")), ..StartOptions::default() };
        let started =
            runtime.engine().start_agent(&runtime.principal(), &AgentId::new(agent)?, "write", options).await?;
        println!("accepted {n} {}", started.run);
        if agent == "remember" || TOOLS.iter().any(|(kind, _)| *kind == agent) {
            tokio::spawn(signal(runtime.clone(), started.run));
        }
        handles.push(runtime.engine().handle(&runtime.principal(), started.run).await?);
    }
    for handle in handles {
        let run = handle.run();
        println!("{run} {}", handle.outcome().await?.status);
    }
    runtime.shutdown().await;
    Ok(())
}
