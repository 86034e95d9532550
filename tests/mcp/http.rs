//! A server over streamable HTTP.

use l9::mcp::Settings;
use serde_json::json;

use crate::support::{HANDLE, Rude, SECRET, call, output, reads, run, system, until};

#[tokio::test]
async fn both_forms_of_an_answer_are_read_in_both_versions() {
    let rude = Rude::over_http();
    for modern in [false, true] {
        for stream in [false, true] {
            rude.says(&json!({"modern": modern, "stream": stream}));
            let output = output(&rude, rude.settings(), "echo", json!({"a": 1})).await;
            assert_eq!(output["text"], "{\"a\": 1}", "modern {modern}, stream {stream}");
        }
    }
    let headers = |at: usize| rude.arrived("tools/call")[at]["headers"].clone();
    let of = |headers: &serde_json::Value, name: &str| -> String {
        let headers = headers.as_object().unwrap();
        let found = headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str().unwrap().to_owned()).unwrap_or_default()
    };
    assert_eq!(of(&headers(0), "mcp-protocol-version"), "2025-11-25");
    assert_eq!(of(&headers(2), "mcp-protocol-version"), "2026-07-28");
    assert_eq!((of(&headers(2), "mcp-method"), of(&headers(2), "mcp-name")), ("tools/call".into(), "echo".into()));
}

#[tokio::test]
async fn the_token_goes_to_the_server_and_nowhere_else() {
    let rude = Rude::over_http();
    rude.says(&json!({"token": SECRET}));
    let settings = Settings { token: Some(HANDLE.to_owned()), ..rude.settings() };
    let called = call(&rude, settings, "echo", json!({})).await;
    assert_eq!(called.code(), "ok", "{called:?}");
    assert!(!called.journal.contains(SECRET));
    let without = rude.system(rude.settings()).build().await.unwrap();
    without.connect_servers().await;
    let health = without.health().await.servers.pop().unwrap();
    assert!(!health.ok && health.detail.contains("401"), "{health:?}");
    without.shutdown().await;
}

#[tokio::test]
async fn a_session_is_kept_ended_and_begun_again_when_it_is_lost() {
    let rude = Rude::over_http();
    rude.says(&json!({"session": "one"}));
    let calls = [("echo", json!({"n": 1})), ("echo", json!({"n": 2}))];
    let runtime = system(&rude, reads(rude.settings(), "echo"), &calls).await;
    runtime.connect_servers().await;
    rude.says(&json!({"session": "two"}));
    let called = run(&runtime).await;
    let codes: Vec<&str> = called.iter().map(|called| called.code()).collect();
    assert_eq!(codes, ["ok", "ok"], "{called:?}");
    assert_eq!(called[0].retries, ["not_sent"], "the server knew the session no more: {called:?}");
    runtime.shutdown().await;
    until("the session is ended", || !rude.arrived("DELETE").is_empty()).await;
}

#[tokio::test]
async fn streams_that_are_cut_are_not_taken_up_again_at_once() {
    let rude = Rude::over_http();
    rude.says(&json!({"session": "one", "cuts_streams": true}));
    let runtime = rude.system(rude.settings()).build().await.unwrap();
    runtime.connect_servers().await;
    until("the third stream is opened", || rude.arrived("GET").len() >= 3).await;
    let streams = rude.arrived("GET");
    let at = |stream: usize| streams[stream]["at"].as_f64().unwrap();
    assert!(at(1) - at(0) > 0.9 && at(2) - at(1) > 1.9, "{} {} {}", at(0), at(1), at(2));
    runtime.shutdown().await;
}

#[tokio::test]
async fn statuses_say_what_is_known_of_a_write() {
    let rude = Rude::over_http();
    let with = |status: u16| json!({"status": {"tools/call": status}});
    for (status, code, requests) in [(400, "failed", 1), (429, "not_sent", 3), (500, "unknown", 1)] {
        rude.says(&with(status));
        let before = rude.arrived("tools/call").len();
        let called = call(&rude, rude.settings(), "echo", json!({})).await;
        assert_eq!(called.code(), code, "HTTP {status}: {called:?}");
        assert_eq!(rude.arrived("tools/call").len() - before, requests, "HTTP {status}");
    }
    rude.says(&with(503));
    let before = rude.arrived("tools/call").len();
    assert_eq!(call(&rude, reads(rude.settings(), "echo"), "echo", json!({})).await.code(), "unavailable");
    assert_eq!(rude.arrived("tools/call").len() - before, 3);
}

#[tokio::test]
async fn an_answer_that_is_cut_off_or_floods_leaves_a_write_unknown() {
    let rude = Rude::over_http();
    for stream in [true, false] {
        rude.says(&json!({"stream": stream}));
        let settings = Settings { call_ms: 5_000, ..rude.settings() };
        let cut = call(&rude, settings, "die", json!({})).await;
        assert_eq!((cut.code(), cut.intents), ("unknown", 1), "stream {stream}: {cut:?}");
        let settings = Settings { message_bytes: 100_000, call_ms: 5_000, ..rude.settings() };
        let flood = call(&rude, settings, "huge", json!({"bytes": 1 << 20})).await;
        assert_eq!((flood.code(), flood.intents), ("unknown", 1), "stream {stream}: {flood:?}");
    }
}

#[tokio::test]
async fn a_private_address_needs_to_be_meant_and_no_redirect_is_followed() {
    let rude = Rude::over_http();
    let settings = Settings { allow_private: false, ..rude.settings() };
    let runtime = rude.system(settings).build().await.unwrap();
    runtime.connect_servers().await;
    let health = runtime.health().await.servers.pop().unwrap();
    assert!(!health.ok && health.detail.contains("not a public address"), "{health:?}");
    runtime.shutdown().await;
    assert!(rude.arrived("initialize").is_empty() && rude.arrived("server/discover").is_empty());

    let elsewhere = Rude::over_http();
    rude.says(&json!({"location": elsewhere.settings().url}));
    let runtime = rude.system(rude.settings()).build().await.unwrap();
    runtime.connect_servers().await;
    assert!(!runtime.health().await.servers[0].ok);
    runtime.shutdown().await;
    for method in ["initialize", "server/discover", "tools/list"] {
        assert!(elsewhere.arrived(method).is_empty(), "{method} went where the server pointed");
    }
}

#[tokio::test]
async fn a_slow_call_is_given_up_and_the_server_is_told() {
    let rude = Rude::over_http();
    let settings = Settings { call_ms: 300, ..rude.settings() };
    let runtime = system(&rude, settings, &[("slow", json!({}))]).await;
    let called = run(&runtime).await.pop().unwrap();
    assert_eq!(called.code(), "unknown", "{called:?}");
    until("the server is told", || !rude.arrived("notifications/cancelled").is_empty()).await;
    runtime.shutdown().await;
}
