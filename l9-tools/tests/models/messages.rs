//! The Messages wire.

use l9_core::model::{StopReason, Usage};
use serde_json::json;

use super::support::engine::{Terms, ask};
use super::support::provider::{Act, Provider, stream};
use super::{KEY, anthropic_at, code, message, question, quick, refused};

const MESSAGE: [&str; 9] = [
    r#"{"type":"message_start","message":{"model":"m-1","usage":{"input_tokens":8,"cache_read_input_tokens":2,"output_tokens":1}}}"#,
    r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
    r#"{"type":"ping"}"#,
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"let me see"}}"#,
    r#"{"type":"content_block_stop","index":0}"#,
    r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t1","name":"web__search","input":{}}}"#,
    r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"q\": \"x\"}"}}"#,
    r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":9}}"#,
    r#"{"type":"message_stop"}"#,
];

#[tokio::test]
async fn the_messages_wire_is_spoken_in_single_bytes_too() {
    let provider = Provider::start([vec![Act::Drip(stream(&MESSAGE))]]).await;
    let asked = ask(anthropic_at(&provider.url(), quick()), question(), Terms::default()).await;
    let response = asked.result.unwrap();
    assert_eq!(
        (response.text.as_str(), asked.words.as_str(), response.stop),
        ("let me see", "let me see", StopReason::Tools)
    );
    assert_eq!(
        (response.tools[0].name.as_str(), response.tools[0].arguments.as_str()),
        ("web/search", r#"{"q": "x"}"#)
    );
    assert_eq!(response.usage, Usage { input_tokens: 10, cached_tokens: 2, output_tokens: 9, micro_usd: 0 });
    let received = &provider.received()[0];
    assert!(received.head.starts_with("POST /v1/messages HTTP/1.1"));
    assert_eq!((received.header("x-api-key"), received.header("anthropic-version")), (Some(KEY), Some("2023-06-01")));
    assert_eq!(received.header("authorization"), None);
    assert_eq!((&received.body["max_tokens"], &received.body["stream"]), (&json!(64), &json!(true)));
}

#[tokio::test]
async fn an_overloaded_messages_stream_is_retried_and_a_bad_key_is_not() {
    let overloaded =
        stream(&[MESSAGE[0], r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#]);
    let provider = Provider::start([vec![Act::Write(overloaded)], vec![Act::Write(stream(&MESSAGE))]]).await;
    let asked = ask(anthropic_at(&provider.url(), quick()), question(), Terms::default()).await;
    assert_eq!((asked.result.unwrap().usage.input_tokens, provider.received().len()), (10, 2));
    assert_eq!((asked.spent.calls, asked.spent.tokens), (2, 11 + 19), "both attempts are charged as they were counted");

    let refusal = r#"{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}"#;
    let provider = Provider::start([refused(401, &[("content-type", "application/json")], refusal)]).await;
    let asked = ask(anthropic_at(&provider.url(), quick()), question(), Terms::default()).await;
    assert_eq!(code(&asked), "unauthenticated");
    assert!(message(&asked).contains("ANTHROPIC_API_KEY") && message(&asked).contains("invalid x-api-key"));
}

#[tokio::test]
async fn a_messages_stream_without_its_stop_is_cut_off() {
    let provider = Provider::start([vec![Act::Write(stream(&MESSAGE[..8]))]]).await;
    let asked = ask(anthropic_at(&provider.url(), quick()), question(), Terms::default()).await;
    assert_eq!((code(&asked), provider.received().len()), ("cut_off", 3));
}
