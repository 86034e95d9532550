//! A system, one call of a tool in it, and an agent that makes one.

use std::sync::Arc;

use base64::Engine as _;
use l9::model::scripted::{Scripted, Turn};
use l9::run::{EffectResult, Event};
use l9::sql::{Databases, Settings as Database};
use l9::{AgentProfile, Builder, Runtime, Settings};
use serde_json::Value;

/// What a call came to: the output, or the code and the words of its fault.
pub(crate) type Called = Result<Value, (String, String)>;

/// A system that reads one database under the name `sales`.
pub(crate) fn reading(url: &str, timeout_ms: u64) -> Builder {
    let databases = Databases::from([("sales".to_owned(), Database { timeout_ms, ..Database::at(url) })]);
    Runtime::builder().settings(Settings { databases, ..Settings::default() }).in_memory()
}

/// One call, as a run of its own.
pub(crate) async fn call(runtime: &Runtime, tool: &str, arguments: &Value) -> Called {
    let ended = runtime.call(tool, &arguments.to_string()).await.unwrap().outcome().await.unwrap();
    match ended.code {
        None => Ok(ended.answer),
        Some(code) => Err((code, ended.answer.to_string())),
    }
}

/// The fault of a call that must fail.
pub(crate) fn fault(called: Called) -> (String, String) {
    match called {
        Ok(value) => panic!("it worked: {}", value.to_string().chars().take(200).collect::<String>()),
        Err(fault) => fault,
    }
}

/// An agent that makes one call and says `done`; gives the call's result as the journal has it.
pub(crate) async fn by_an_agent(builder: Builder, tool: &str, arguments: &Value) -> EffectResult {
    let arguments = arguments.to_string();
    let turns = vec![Turn::call([(tool, arguments.as_str())]), Turn::say("done")];
    let profile = AgentProfile::new("asker").unwrap().with_model("script").unwrap().with_tool(tool).unwrap();
    let runtime = builder.model("script", Arc::new(Scripted::new(turns))).agent(profile).build().await.unwrap();
    let mut run = runtime.run("asker", "ask").await.unwrap();
    let mut results = Vec::new();
    while let Some((_, event)) = run.next_event().await.unwrap() {
        if let Event::EffectResult(result) = event {
            results.push(result);
        }
    }
    assert_eq!(run.outcome().await.unwrap().text(), "done");
    runtime.shutdown().await;
    // The first turn, the call, the second turn.
    assert_eq!(results.len(), 3, "{results:?}");
    *results.remove(1)
}

/// Standard base64.
pub(crate) fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
