//! What a call comes to, by what the server makes of it.

use std::time::Duration;

use l9::mcp::Settings;
use l9::run::{Command, CommandRequest};
use l9::{StartOptions, TenantId};
use serde_json::{Value, json};

use crate::support::{PATIENCE, Rude, call, output, reads, run, system, until};

#[tokio::test]
async fn a_call_is_intended_made_once_and_its_output_is_not_trusted() {
    let rude = Rude::new();
    let called = call(&rude, rude.settings(), "echo", json!({"a": 1})).await;
    assert_eq!(called.code(), "ok", "{called:?}");
    assert_eq!((called.intents, called.untrusted), (1, true), "{called:?}");
    let arrived = rude.arrived("tools/call");
    assert_eq!(arrived.len(), 1);
    assert_eq!(arrived[0]["params"]["arguments"], json!({"a": 1}));
    let output = output(&rude, rude.settings(), "echo", json!({"a": 1})).await;
    assert_eq!(output, json!({"text": "{\"a\": 1}"}));
}

#[tokio::test]
async fn an_error_of_the_tool_is_a_result_and_one_of_the_protocol_a_refusal() {
    let rude = Rude::new();
    let failed = output(&rude, rude.settings(), "fail", json!({})).await;
    assert_eq!(failed, json!({"text": "it is broken", "error": true}));
    let refused = call(&rude, rude.settings(), "no_method", json!({})).await;
    assert_eq!((refused.code(), refused.intents), ("failed", 1), "{refused:?}");
    assert!(refused.message().contains("no such method"));
    // Some servers say so of the arguments after the tool ran.
    let doubtful = call(&rude, rude.settings(), "refuse", json!({})).await;
    assert_eq!((doubtful.code(), doubtful.intents), ("unknown", 1), "{doubtful:?}");
}

#[tokio::test]
async fn structured_content_is_held_to_its_schema() {
    let rude = Rude::new();
    let good = output(&rude, rude.settings(), "structured", json!({})).await;
    assert_eq!(good, json!({"text": "one", "structured": {"n": 1}}));
    let wrong = call(&rude, rude.settings(), "wrong_structure", json!({})).await;
    assert_eq!(wrong.code(), "invalid_output", "{wrong:?}");
    assert!(wrong.message().contains("/structured/n"), "{wrong:?}");
}

#[tokio::test]
async fn images_are_told_of_and_left_out_and_words_of_resources_are_kept() {
    let rude = Rude::new();
    let drawn = output(&rude, rude.settings(), "draw", json!({})).await;
    assert_eq!((&drawn["parts"][0]["bytes"], &drawn["parts"][0]["media_type"]), (&json!(5), &json!("image/png")));
    assert_eq!(drawn["parts"][1]["text"], "words");
    assert!(!drawn.to_string().contains("aGVsbG8="));
}

#[tokio::test]
async fn a_server_that_dies_in_a_write_leaves_it_unknown_and_a_read_is_made_again() {
    let rude = Rude::new();
    let written = call(&rude, rude.settings(), "die", json!({})).await;
    assert_eq!((written.code(), written.intents), ("unknown", 1), "{written:?}");
    assert_eq!(rude.arrived("tools/call").len(), 1, "a write is made once");
    let rude = Rude::new();
    let read = call(&rude, reads(rude.settings(), "die"), "die", json!({})).await;
    assert_eq!(read.code(), "unavailable", "{read:?}");
    assert_eq!(rude.arrived("tools/call").len(), 3, "{read:?}");
}

#[tokio::test]
async fn an_error_in_the_middle_leaves_a_write_unknown() {
    let rude = Rude::new();
    let called = call(&rude, rude.settings(), "break", json!({})).await;
    assert_eq!((called.code(), called.intents), ("unknown", 1), "{called:?}");
    assert!(called.message().contains("server_error"), "{called:?}");
}

#[tokio::test]
async fn a_slow_call_is_given_up_and_the_server_is_told() {
    let rude = Rude::new();
    let settings = Settings { call_ms: 300, ..rude.settings() };
    // The process stays until the notice was read.
    let runtime = system(&rude, settings, &[("slow", json!({}))]).await;
    let called = run(&runtime).await.pop().unwrap();
    assert_eq!(called.code(), "unknown", "{called:?}");
    assert!(called.message().contains("took longer than 300 ms"), "{called:?}");
    until("the server is told", || !rude.arrived("notifications/cancelled").is_empty()).await;
    let (asked, told) = (&rude.arrived("tools/call")[0], &rude.arrived("notifications/cancelled")[0]);
    assert_eq!(told["params"]["requestId"], asked["id"]);
    runtime.shutdown().await;
}

#[tokio::test]
async fn a_cancelled_run_gives_its_call_up_and_the_server_is_told() {
    let rude = Rude::new();
    let runtime = rude.system(rude.settings()).build().await.unwrap();
    let handle = runtime.call("rude/slow", "{}").await.unwrap();
    until("the call arrives", || !rude.arrived("tools/call").is_empty()).await;
    let cancel = Command::Cancel { reason: "enough".into() };
    let request = CommandRequest { id: "c-1".parse().unwrap(), by: "person:local".into(), command: cancel };
    runtime.engine().command(&TenantId::default_tenant(), handle.run(), &request).await.unwrap();
    until("the server is told", || !rude.arrived("notifications/cancelled").is_empty()).await;
    runtime.shutdown().await;
}

#[tokio::test]
async fn a_run_that_waits_for_its_server_to_start_hears_that_it_is_cancelled() {
    let rude = Rude::new();
    assert_eq!(call(&rude, rude.settings(), "echo", json!({})).await.code(), "ok");
    rude.says(&json!({"start": "never"}));
    let before = rude.arrived("start").len();
    let runtime = rude.system(Settings { start_ms: 600_000, ..rude.settings() }).build().await.unwrap();
    let handle = runtime.call("rude/echo", "{}").await.unwrap();
    until("the server is started", || rude.arrived("start").len() > before).await;
    let cancel = Command::Cancel { reason: "enough".into() };
    let request = CommandRequest { id: "c-1".parse().unwrap(), by: "person:local".into(), command: cancel };
    runtime.engine().command(&TenantId::default_tenant(), handle.run(), &request).await.unwrap();
    let ended =
        tokio::time::timeout(PATIENCE, handle.outcome()).await.expect("it ends long before the server is there");
    assert_eq!(ended.unwrap().status.to_string(), "cancelled");
    runtime.shutdown().await;
}

#[tokio::test]
async fn a_run_that_waits_for_its_server_to_start_ends_at_its_deadline() {
    let rude = Rude::new();
    assert_eq!(call(&rude, rude.settings(), "echo", json!({})).await.code(), "ok");
    rude.says(&json!({"start": "never"}));
    let settings = Settings { start_ms: 600_000, ..rude.settings() };
    let runtime = system(&rude, settings, &[("echo", json!({}))]).await;
    let options = StartOptions { deadline: Some(Duration::from_secs(3)), ..StartOptions::default() };
    let handle = runtime.run_with("scribe", "write", options).await.unwrap();
    let ended =
        tokio::time::timeout(PATIENCE, handle.outcome()).await.expect("it ends long before the server is there");
    assert_eq!(ended.unwrap().code.as_deref(), Some("deadline"));
    assert!(!rude.arrived("start").is_empty(), "the run came so far as to start it");
    runtime.shutdown().await;
}

#[tokio::test]
async fn progress_is_shown_to_those_who_follow_and_cannot_forge_a_line() {
    let rude = Rude::new();
    let runtime = system(&rude, rude.settings(), &[("steps", json!({}))]).await;
    let words = runtime.engine().parts().governor.deltas().subscribe();
    assert_eq!(run(&runtime).await[0].code(), "ok");
    let mut shown = String::new();
    while let Some((_, text)) = words.try_recv() {
        shown.push_str(&text);
    }
    assert!(shown.starts_with("0: step\\u{1b}[2J0\n1: step"), "{shown}");
    runtime.shutdown().await;
}

#[tokio::test]
async fn progress_without_end_ends_in_time() {
    let rude = Rude::new();
    let settings = reads(Settings { call_ms: 1_000, ..rude.settings() }, "progress");
    let called = call(&rude, settings, "progress", json!({})).await;
    assert_eq!(called.code(), "unavailable", "{called:?}");
    assert!(called.message().contains("took longer than 1,000 ms"), "{called:?}");
}

#[tokio::test]
async fn what_is_too_large_or_too_deep_is_no_output() {
    let rude = Rude::new();
    let large = call(&rude, reads(rude.settings(), "huge"), "huge", json!({"bytes": 1_100_000})).await;
    assert_eq!(large.code(), "limit.output", "{}", large.message());
    let deep = call(&rude, reads(rude.settings(), "deep"), "deep", json!({})).await;
    assert_eq!(deep.code(), "invalid_output", "{}", deep.message());
    // A line that does not end within its bound ends the server.
    let endless = call(&rude, rude.settings(), "huge", json!({"bytes": 8 << 20})).await;
    assert_eq!(endless.code(), "unknown", "{}", endless.message());
}

#[tokio::test]
async fn what_is_no_message_is_passed_over() {
    let rude = Rude::new();
    let output = output(&rude, rude.settings(), "garbage", json!({})).await;
    assert_eq!(output["text"], "after garbage");
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_fails_the_call_at_once() {
    for rude in [Rude::new(), Rude::over_http()] {
        for (tool, why) in
            [("twice", "duplicate key"), ("bad_bytes", "not UTF-8"), ("no_result", "no message of JSON-RPC")]
        {
            let called = call(&rude, reads(rude.settings(), tool), tool, json!({})).await;
            let message = called.message();
            assert_eq!(called.code(), "invalid_output", "{tool}: {message}");
            assert!(message.contains("the server's answer cannot be read: ") && message.contains(why), "{message}");
            assert!(called.retries.is_empty(), "{called:?}");
        }
    }
    // Also where it is no stream.
    let rude = Rude::over_http();
    rude.says(&json!({"stream": false, "bad": true}));
    let called = call(&rude, reads(rude.settings(), "echo"), "echo", json!({})).await;
    assert!(called.code() == "invalid_output" && called.message().contains("duplicate key"), "{}", called.message());
}

#[tokio::test]
async fn what_a_server_asks_for_is_declined() {
    let rude = Rude::new();
    let runtime = rude.system(rude.settings()).build().await.unwrap();
    let handle = runtime.call("rude/ask", "{}").await.unwrap();
    assert_eq!(handle.outcome().await.unwrap().answer["text"], "asked");
    // Answers have no method.
    let answers = || rude.arrived_answers();
    until("each request is answered", || answers().len() == 3).await;
    let of = |id: &str| -> Value { answers().into_iter().find(|answer| answer["id"] == id).unwrap() };
    assert_eq!(of("a1")["error"]["code"], -32601);
    assert_eq!(of("a2")["error"]["code"], -32601);
    assert_eq!(of("a3")["result"]["action"], "decline");
    runtime.shutdown().await;
}
