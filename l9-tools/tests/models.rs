//! The model clients over real sockets, against a provider without manners.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use l9_core::entropy::SystemEntropy;
use l9_core::model::{Message, ModelClient, ModelRequest, StopReason, ToolSpec, Usage};
use l9_core::time::{Clock, SystemClock};
use l9_tools::egress::{Direct, Origin, Settings as EgressSettings};
use l9_tools::models::{Limits, Price, anthropic, openai};
use secrecy::SecretString;
use serde_json::json;
use support::engine::{Asked, Terms, ask};
use support::provider::{Act, Provider, answer, events, stream, stream_head};

const KEY: &str = "sk-test-0123456789abcdef";

/// Limits under which a test takes no time.
fn quick() -> Limits {
    Limits { idle_ms: 400, backoff_ms: 5, max_backoff_ms: 20, max_retries: 2, ..Limits::default() }
}

fn openai_at(url: &str, limits: Limits) -> Arc<dyn ModelClient> {
    let prices = [("m", Price { input: 1_000_000, cached: 0, output: 2_000_000 })].into_iter().collect();
    let settings = openai::Settings { base_url: format!("{url}/v1"), limits, prices, ..openai::Settings::default() };
    let (egress, clock) = egress_to(&[settings.origin().unwrap()]);
    let key = SecretString::from(KEY.to_owned());
    Arc::new(openai::Client::new(settings, Some(&key), egress, clock, Arc::new(SystemEntropy)).unwrap())
}

fn anthropic_at(url: &str, limits: Limits) -> Arc<dyn ModelClient> {
    let settings = anthropic::Settings { base_url: url.to_owned(), limits, ..anthropic::Settings::default() };
    let (egress, clock) = egress_to(&[settings.origin().unwrap()]);
    let key = SecretString::from(KEY.to_owned());
    Arc::new(anthropic::Client::new(settings, Some(&key), egress, clock, Arc::new(SystemEntropy)).unwrap())
}

fn egress_to(origins: &[Origin]) -> (Arc<Direct>, Arc<dyn Clock>) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let egress = Direct::new(EgressSettings::to(origins.iter().cloned()), Arc::clone(&clock)).unwrap();
    (Arc::new(egress), clock)
}

fn question() -> ModelRequest {
    let tool = |id: &str| ToolSpec {
        id: id.parse().unwrap(),
        description: "looks up".into(),
        input_schema: json!({"type": "object"}),
    };
    ModelRequest {
        model: "m".into(),
        system: "be brief".into(),
        messages: vec![Message::User { text: "what is it?".into() }],
        tools: vec![tool("web/search"), tool("math/calc")],
        max_output_tokens: 64,
        ..ModelRequest::default()
    }
}

async fn asked(provider: &Provider, limits: Limits) -> Asked {
    ask(openai_at(&provider.url(), limits), question(), Terms::default()).await
}

const HELLO: [&str; 4] = [
    r#"{"model":"m-1","choices":[{"index":0,"delta":{"role":"assistant","content":"forty"}}]}"#,
    r#"{"choices":[{"index":0,"delta":{"content":"-two ✓"}}]}"#,
    r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
    r#"{"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5}}"#,
];

const CALLS: [&str; 4] = [
    r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"web__search","arguments":"{\"q\""}}]}}]}"#,
    r#"{"choices":[{"delta":{"tool_calls":[{"index":1,"id":"b","function":{"name":"rm_rf","arguments":"{not json"}}]}}]}"#,
    r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":":\"x\"}"}}]}}]}"#,
    r#"{"choices":[{"delta":{},"finish_reason":"tool_calls"}]}"#,
];

fn whole(data: &[&str]) -> Vec<Act> {
    vec![Act::Write([stream(data), events(&["[DONE]"])].concat())]
}

fn refused(status: u16, headers: &[(&str, &str)], body: &str) -> Vec<Act> {
    vec![Act::Write(answer(status, headers, body))]
}

fn code(asked: &Asked) -> &str {
    &asked.result.as_ref().unwrap_err().code
}

fn message(asked: &Asked) -> &str {
    &asked.result.as_ref().unwrap_err().message
}

#[tokio::test]
async fn a_stream_in_single_bytes_is_shown_and_answered() {
    let provider = Provider::start([vec![Act::Drip([stream(&HELLO), events(&["[DONE]"])].concat())]]).await;
    let asked = asked(&provider, quick()).await;
    let response = asked.result.unwrap();
    assert_eq!((response.text.as_str(), asked.words.as_str()), ("forty-two ✓", "forty-two ✓"));
    assert_eq!((response.stop, response.model.as_str()), (StopReason::End, "m-1"));
    assert_eq!(response.usage, Usage { input_tokens: 10, cached_tokens: 0, output_tokens: 5, micro_usd: 20 });
}

#[tokio::test]
async fn the_request_is_exactly_what_the_wire_wants() {
    let provider = Provider::start([whole(&HELLO)]).await;
    asked(&provider, quick()).await.result.unwrap();
    let received = &provider.received()[0];
    assert!(received.head.starts_with("POST /v1/chat/completions HTTP/1.1"), "{}", received.head);
    assert_eq!(received.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!(received.header("content-type"), Some("application/json"));
    for absent in ["cookie", "idempotency-key", "referer", "accept-encoding"] {
        assert_eq!(received.header(absent), None, "{absent}");
    }
    let function = |name: &str| json!({"type": "function", "function": {"name": name, "description": "looks up", "parameters": {"type": "object"}}});
    let expected = json!({
        "model": "m",
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "what is it?"}],
        "stream": true,
        "stream_options": {"include_usage": true},
        "max_tokens": 64,
        "tools": [function("web__search"), function("math__calc")],
    });
    assert_eq!(received.body, expected);
}

#[tokio::test]
async fn parallel_calls_keep_their_own_arguments_and_go_back_to_their_tools() {
    let provider = Provider::start([whole(&CALLS)]).await;
    let response = asked(&provider, quick()).await.result.unwrap();
    let calls: Vec<_> = response.tools.iter().map(|call| (call.name.as_str(), call.arguments.as_str())).collect();
    assert_eq!(
        calls,
        [("web/search", r#"{"q":"x"}"#), ("rm_rf", "{not json")],
        "what the model wrote is for the governor to refuse"
    );
    assert_eq!(response.stop, StopReason::Tools);
}

#[tokio::test]
async fn passing_refusals_are_retried_after_the_wait_they_ask_for() {
    for first in [
        refused(429, &[("retry-after", "1")], r#"{"error":{"message":"slow down"}}"#),
        refused(529, &[("retry-after-ms", "1000")], r#"{"error":{"type":"overloaded_error"}}"#),
        refused(
            503,
            &[("date", "Sun, 06 Nov 1994 08:49:37 GMT"), ("retry-after", "Sun, 06 Nov 1994 08:49:38 GMT")],
            "",
        ),
    ] {
        let provider = Provider::start([first, whole(&HELLO)]).await;
        let asked = asked(&provider, quick()).await;
        assert_eq!(asked.result.unwrap().text, "forty-two ✓");
        assert_eq!(provider.received().len(), 2);
        assert!(asked.took >= Duration::from_secs(1), "{:?}", asked.took);
    }
}

#[tokio::test]
async fn a_server_error_is_retried_and_so_is_one_in_the_stream() {
    let overloaded = [r#"{"error":{"message":"busy","type":"server_error","code":503}}"#];
    for first in [refused(500, &[], "oops"), refused(408, &[], ""), whole(&overloaded)] {
        let provider = Provider::start([first, whole(&HELLO)]).await;
        let asked = asked(&provider, quick()).await;
        assert_eq!((asked.result.unwrap().text.as_str(), provider.received().len()), ("forty-two ✓", 2));
    }
}

#[tokio::test]
async fn retries_end_and_the_last_words_of_the_provider_are_kept() {
    let provider = Provider::start([refused(502, &[], r#"{"error":{"message":"upstream is away"}}"#)]).await;
    let asked = asked(&provider, quick()).await;
    assert_eq!((code(&asked), provider.received().len()), ("unavailable", 3));
    assert!(message(&asked).contains("upstream is away"), "{}", message(&asked));
}

#[tokio::test]
async fn a_wait_that_outlasts_the_permit_is_not_waited() {
    let provider = Provider::start([refused(429, &[("retry-after", "3600")], "")]).await;
    let asked = asked(&provider, quick()).await;
    assert_eq!((code(&asked), provider.received().len()), ("rate_limited", 1));
    assert_eq!(asked.result.as_ref().unwrap_err().retry_after, Some(Duration::from_secs(3600)));
    assert!(asked.took < Duration::from_secs(5));
}

#[tokio::test]
async fn lasting_refusals_are_not_retried_and_never_show_the_key() {
    let echo = format!(r#"{{"error":{{"message":"Incorrect API key provided: {KEY}"}}}}"#);
    for (status, expected, mend) in [
        (400, "bad_request", "answered 400"),
        (401, "unauthenticated", "OPENAI_API_KEY"),
        (403, "unauthenticated", "OPENAI_API_KEY"),
        (404, "bad_request", "base URL"),
    ] {
        let provider = Provider::start([refused(status, &[("content-type", "application/json")], &echo)]).await;
        let asked = asked(&provider, quick()).await;
        assert_eq!((code(&asked), provider.received().len()), (expected, 1), "{status}");
        assert!(message(&asked).contains(mend) && !message(&asked).contains(KEY), "{}", message(&asked));
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let target = Provider::start([whole(&HELLO)]).await;
    let provider =
        Provider::start([refused(307, &[("location", &format!("{}/v1/chat/completions", target.url()))], "")]).await;
    let asked = asked(&provider, quick()).await;
    assert_eq!(code(&asked), "bad_request");
    assert!(message(&asked).contains(&target.url()) && target.received().is_empty());
}

#[tokio::test]
async fn nobody_listening_is_unavailable() {
    let url = Provider::start([Vec::new()]).await.url();
    let asked = ask(openai_at(&url, quick()), question(), Terms::default()).await;
    assert_eq!(code(&asked), "unavailable");
    assert!(message(&asked).contains("cannot connect"), "{}", message(&asked));
}

#[tokio::test]
async fn a_connection_reset_before_any_words_is_retried() {
    for acts in [vec![Act::Reset], vec![Act::Write(stream_head()), Act::Wait(Duration::from_millis(50)), Act::Reset]] {
        let provider = Provider::start([acts, whole(&HELLO)]).await;
        let asked = asked(&provider, quick()).await;
        assert_eq!((asked.result.unwrap().text.as_str(), asked.words.as_str()), ("forty-two ✓", "forty-two ✓"));
    }
}

#[tokio::test]
async fn a_stream_cut_after_words_is_asked_for_again_and_charged_for_both() {
    let cut = vec![Act::Write(stream(&HELLO[..1])), Act::Wait(Duration::from_millis(50)), Act::Reset];
    let provider = Provider::start([cut, whole(&HELLO)]).await;
    let asked = asked(&provider, quick()).await;
    let response = asked.result.unwrap();
    assert_eq!(response.text, "forty-two ✓", "what was shown does not stand in for the answer");
    assert!(asked.words.starts_with("forty\n\n[") && asked.words.ends_with("forty-two ✓"), "{}", asked.words);
    assert!(response.usage.input_tokens > 10 && response.usage.output_tokens == 5 + 2, "{:?}", response.usage);
}

#[tokio::test]
async fn a_stream_that_ends_politely_but_unfinished_is_cut_off() {
    let provider = Provider::start([vec![Act::Write(stream(&HELLO[..2]))]]).await;
    let asked = asked(&provider, quick()).await;
    assert_eq!((code(&asked), provider.received().len()), ("cut_off", 3));
}

#[tokio::test]
async fn an_answer_that_gave_its_reason_to_stop_survives_a_broken_end() {
    for end in [Act::Reset, Act::Hang] {
        let provider =
            Provider::start([vec![Act::Write(stream(&HELLO[..3])), Act::Wait(Duration::from_millis(50)), end]]).await;
        let asked = asked(&provider, quick()).await;
        let response = asked.result.unwrap();
        assert_eq!((response.text.as_str(), provider.received().len()), ("forty-two ✓", 1));
        assert!(response.usage.input_tokens > 0, "a provider that does not count is counted for");
    }
}

#[tokio::test]
async fn what_is_not_the_wire_is_malformed_and_not_retried() {
    let html = refused(200, &[("content-type", "text/html")], "<html>welcome</html>");
    let broken = whole(&[r#"{"choices":[{"delta":"#]);
    let empty = refused(200, &[("content-type", "application/json")], "{}");
    let none = refused(204, &[], "");
    for acts in [html, broken, empty, none] {
        let provider = Provider::start([acts]).await;
        let asked = asked(&provider, quick()).await;
        assert_eq!((code(&asked), provider.received().len()), ("malformed", 1), "{}", message(&asked));
    }
}

#[tokio::test]
async fn a_server_that_does_not_stream_is_understood() {
    let body = r#"{"model":"m","choices":[{"message":{"content":"all at once"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
    let provider = Provider::start([refused(200, &[("content-type", "application/json; charset=utf-8")], body)]).await;
    let asked = asked(&provider, quick()).await;
    assert_eq!((asked.result.unwrap().text.as_str(), asked.words.as_str()), ("all at once", "all at once"));
}

#[tokio::test]
async fn silence_ends_at_the_idle_limit() {
    let limits = Limits { max_retries: 0, ..quick() };
    let slow_head = vec![Act::Drip(b"HTTP/1.1 200 OK\r\ncontent-type: ".to_vec()), Act::Hang];
    for acts in [vec![Act::Hang], slow_head, vec![Act::Write(stream(&HELLO[..1])), Act::Hang]] {
        let provider = Provider::start([acts]).await;
        let asked = asked(&provider, limits).await;
        assert_eq!(code(&asked), "timeout", "{}", message(&asked));
        assert!(asked.took < Duration::from_secs(3));
    }
}

#[tokio::test]
async fn a_stream_that_never_ends_is_held_by_the_permit() {
    let trickle =
        (0..200).flat_map(|_| [Act::Write(b": still here\n\n".to_vec()), Act::Wait(Duration::from_millis(100))]);
    let provider = Provider::start([[Act::Write(stream_head())].into_iter().chain(trickle).collect()]).await;
    let terms = Terms { deadline: Duration::from_millis(800), ..Terms::default() };
    let asked = ask(openai_at(&provider.url(), quick()), question(), terms).await;
    assert_eq!((code(&asked), provider.received().len()), ("timeout", 1), "{}", message(&asked));
    assert!(asked.took >= Duration::from_millis(700) && asked.took < Duration::from_secs(3));
}

#[tokio::test]
async fn cancelling_the_run_ends_the_call_wherever_it_is() {
    let terms = Terms { cancel_after: Some(Duration::from_millis(200)), ..Terms::default() };
    let limits = Limits { idle_ms: 10_000, ..quick() };
    let waiting = refused(429, &[("retry-after", "10")], "");
    for acts in [vec![Act::Hang], vec![Act::Write(stream(&HELLO[..1])), Act::Hang], waiting] {
        let provider = Provider::start([acts]).await;
        let asked = ask(openai_at(&provider.url(), limits), question(), terms).await;
        assert_eq!((code(&asked), provider.received().len()), ("cancelled", 1));
        assert!(asked.took < Duration::from_secs(2), "{:?}", asked.took);
    }
}

#[tokio::test]
async fn floods_are_capped() {
    let limits = Limits { max_response_bytes: 100_000, max_event_bytes: 10_000, ..quick() };
    let endless_line = vec![Act::Write(stream_head()), Act::Flood(vec![b'x'; 1000])];
    let endless_events = vec![Act::Write(stream_head()), Act::Flood(events(&[HELLO[0]]))];
    let endless_json = vec![
        Act::Write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n".to_vec()),
        Act::Flood(vec![b' '; 1000]),
    ];
    for acts in [endless_line, endless_events, endless_json] {
        let provider = Provider::start([acts]).await;
        let asked = asked(&provider, limits).await;
        assert_eq!((code(&asked), provider.received().len()), ("malformed", 1), "{}", message(&asked));
    }
}

#[tokio::test]
async fn a_flood_of_headers_or_of_refusal_is_survived() {
    let limits = Limits { max_retries: 0, ..quick() };
    let headers = vec![Act::Write(b"HTTP/1.1 200 OK\r\n".to_vec()), Act::Flood(b"x-much: more\r\n".to_vec())];
    let long = vec![
        Act::Write([b"HTTP/1.1 200 OK\r\nx: ".as_slice(), &[b'y'; 1 << 20]].concat()),
        Act::Flood(vec![b'y'; 1000]),
    ];
    let refusal = vec![Act::Write(b"HTTP/1.1 500 No\r\n\r\n".to_vec()), Act::Flood(vec![b'z'; 1000])];
    for acts in [headers, long, refusal] {
        let provider = Provider::start([acts]).await;
        let asked = asked(&provider, limits).await;
        assert_eq!(code(&asked), "unavailable", "{}", message(&asked));
        assert!(message(&asked).len() < 1000);
    }
}

#[tokio::test]
async fn only_listed_origins_are_reached() {
    let provider = Provider::start([whole(&HELLO)]).await;
    let settings = openai::Settings { base_url: provider.url(), limits: quick(), ..openai::Settings::default() };
    let (egress, clock) = egress_to(&["https://api.example.com".parse().unwrap()]);
    let client = openai::Client::new(settings, None, egress, clock, Arc::new(SystemEntropy)).unwrap();
    let asked = ask(Arc::new(client), question(), Terms::default()).await;
    assert_eq!(code(&asked), "refused");
    assert!(
        message(&asked).contains("https://api.example.com") && provider.received().is_empty(),
        "{}",
        message(&asked)
    );
}

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
    assert_eq!(
        (asked.result.unwrap().usage.input_tokens, provider.received().len()),
        (20, 2),
        "both attempts are charged"
    );

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

#[test]
fn estimates_are_an_upper_bound_with_a_price_and_nothing_shows_the_key() {
    let client = openai_at("http://127.0.0.1:9", Limits::default());
    let (tokens, cost) = client.estimate(&question());
    assert!(tokens > 64 && tokens < 1000 && cost == (tokens - 64) + 2 * 64, "{tokens} {cost}");
    assert_eq!(client.estimate(&ModelRequest { model: "unknown".into(), ..question() }).1, 0);
    assert!(!format!("{client:?}").contains("0123456789"));
    assert!(!format!("{:?}", anthropic_at("http://127.0.0.1:9", Limits::default())).contains("0123456789"));
}

#[test]
fn settings_are_read_strictly_and_may_leave_out_everything() {
    let settings: openai::Settings = serde_json::from_value(json!({})).unwrap();
    assert_eq!(settings, openai::Settings::default());
    let given =
        json!({"base_url": "http://127.0.0.1:1/v1", "limits": {"max_retries": 0}, "prices": {"m": {"input": 5}}});
    let settings: anthropic::Settings = serde_json::from_value(given).unwrap();
    assert_eq!((settings.limits.max_retries, settings.prices.of("m").input, settings.prices.of("m").output), (0, 5, 0));
    assert!(serde_json::from_value::<openai::Settings>(json!({"base_ur": "x"})).is_err());
    assert!(serde_json::from_value::<openai::Settings>(json!({"limits": {"max_retry": 1}})).is_err());
    assert!(serde_json::from_value::<EgressSettings>(json!({"origins": ["https://h/path"]})).is_err());
    let bad = openai::Settings { base_url: "not a url".into(), ..openai::Settings::default() };
    let (egress, clock) = egress_to(&[]);
    assert!(openai::Client::new(bad, None, egress, clock, Arc::new(SystemEntropy)).is_err());
}

/// The base URL that `scripts/litellm-check.sh` gives.
fn litellm() -> String {
    std::env::var("OPENAI_BASE_URL").expect("run this through scripts/litellm-check.sh")
}

fn plain(model: &str) -> ModelRequest {
    ModelRequest { model: model.into(), tools: Vec::new(), ..question() }
}

#[tokio::test]
#[ignore = "needs the litellm proxy: scripts/litellm-check.sh cargo test -p l9-tools --test models -- --ignored"]
async fn litellm_speaks_chat_completions_with_us() {
    let key = SecretString::from(std::env::var("OPENAI_API_KEY").unwrap());
    let settings = openai::Settings { base_url: litellm(), limits: quick(), ..openai::Settings::default() };
    let (egress, clock) = egress_to(&[settings.origin().unwrap()]);
    let client = Arc::new(openai::Client::new(settings, Some(&key), egress, clock, Arc::new(SystemEntropy)).unwrap());
    let asked = ask(client.clone(), plain(client.default_model()), Terms::default()).await;
    let response = asked.result.unwrap();
    assert!(response.text.contains("forty-two") && response.text == asked.words);
    assert!(response.usage.input_tokens > 0 && response.usage.output_tokens > 0 && response.usage.micro_usd > 0);
    let limited = ask(client.clone(), plain("always-limited"), Terms::default()).await;
    assert_eq!(code(&limited), "rate_limited", "{}", message(&limited));
    let unknown = ask(client, plain("no-such-model"), Terms::default()).await;
    assert_eq!(code(&unknown), "bad_request");
    assert!(message(&unknown).contains("no-such-model"));
}

#[tokio::test]
#[ignore = "needs the litellm proxy: scripts/litellm-check.sh cargo test -p l9-tools --test models -- --ignored"]
async fn litellm_speaks_messages_with_us() {
    let key = SecretString::from(std::env::var("ANTHROPIC_API_KEY").unwrap());
    let settings = anthropic::Settings { base_url: litellm(), limits: quick(), ..anthropic::Settings::default() };
    let (egress, clock) = egress_to(&[settings.origin().unwrap()]);
    let client =
        Arc::new(anthropic::Client::new(settings, Some(&key), egress, clock, Arc::new(SystemEntropy)).unwrap());
    for model in [client.default_model().to_owned(), "claude-unstreamed".to_owned()] {
        let asked = ask(client.clone(), plain(&model), Terms::default()).await;
        let response = asked.result.unwrap();
        assert!(response.text.contains("forty-two") && response.text == asked.words, "{model}");
        assert!(response.usage.input_tokens > 0 && response.usage.output_tokens > 0, "{model}");
    }
}
