//! The model clients over real sockets, against a provider without manners.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod chat_completions;
mod egress;
mod embeddings;
mod litellm;
mod messages;
mod support;

use std::sync::Arc;

use l9_core::model::{Estimate, Message, ModelClient, ModelRequest, ToolSpec};
use l9_core::time::{Clock, SystemClock};
use l9_tools::egress::{Direct, Gateway, Origin, Settings as EgressSettings};
use l9_tools::models::{Limits, Price, anthropic, openai};
use secrecy::SecretString;
use serde_json::json;
use support::engine::{Asked, Terms, ask};
use support::provider::{Act, Provider, answer, events, stream};

const KEY: &str = "sk-test-0123456789abcdef";

/// Limits under which a test takes no time.
fn quick() -> Limits {
    Limits { idle_ms: 10_000, ..Limits::default() }
}

fn openai_at(url: &str, limits: Limits) -> Arc<dyn ModelClient> {
    let prices = [("m", Price { input: 1_000_000, cached: 0, output: 2_000_000 })].into_iter().collect();
    let settings = openai::Settings { base_url: format!("{url}/v1"), limits, prices, ..openai::Settings::default() };
    let (egress, clock) = egress_to(&[settings.origin().unwrap()]);
    let key = SecretString::from(KEY.to_owned());
    Arc::new(openai::Client::new(settings, Some(&key), egress, clock).unwrap())
}

fn anthropic_at(url: &str, limits: Limits) -> Arc<dyn ModelClient> {
    let settings = anthropic::Settings { base_url: url.to_owned(), limits, ..anthropic::Settings::default() };
    let (egress, clock) = egress_to(&[settings.origin().unwrap()]);
    let key = SecretString::from(KEY.to_owned());
    Arc::new(anthropic::Client::new(settings, Some(&key), egress, clock).unwrap())
}

fn egress_to(origins: &[Origin]) -> (Arc<Direct>, Arc<dyn Clock>) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let settings = EgressSettings::to(origins.iter().cloned());
    let egress = Direct::new(&settings, &Gateway::default(), Arc::clone(&clock)).unwrap();
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

#[test]
fn estimates_are_an_upper_bound_with_a_price_and_nothing_shows_the_key() {
    let client = openai_at("http://127.0.0.1:9", Limits::default());
    let Estimate { tokens, micro_usd, egress_bytes } = client.estimate(&question());
    let cost = micro_usd.unwrap();
    assert!(tokens > 64 && tokens < 1000 && cost == (tokens - 64) + 2 * 64, "{tokens} {cost}");
    assert!(egress_bytes > 2 * (tokens - 64), "the head as well");
    assert_eq!(client.estimate(&ModelRequest { model: "unknown".into(), ..question() }).micro_usd, None);
    assert!(!format!("{client:?}").contains("0123456789"));
    assert!(!format!("{:?}", anthropic_at("http://127.0.0.1:9", Limits::default())).contains("0123456789"));
}

#[test]
fn settings_are_read_strictly_and_may_leave_out_everything() {
    let settings: openai::Settings = serde_json::from_value(json!({})).unwrap();
    assert_eq!(settings, openai::Settings::default());
    let given = json!({"base_url": "http://127.0.0.1:1/v1", "limits": {"idle_ms": 7}, "prices": {"m": {"input": 5}}});
    let settings: anthropic::Settings = serde_json::from_value(given).unwrap();
    let five = Some(Price { input: 5, ..Price::default() });
    assert_eq!((settings.limits.idle_ms, settings.prices.of("m"), settings.prices.of("n")), (7, five, None));
    assert!(serde_json::from_value::<openai::Settings>(json!({"base_ur": "x"})).is_err());
    assert!(serde_json::from_value::<openai::Settings>(json!({"limits": {"max_retries": 1}})).is_err());
    assert!(serde_json::from_value::<EgressSettings>(json!({"origins": ["https://h/path"]})).is_err());
    let bad = openai::Settings { base_url: "not a url".into(), ..openai::Settings::default() };
    let (egress, clock) = egress_to(&[]);
    assert!(openai::Client::new(bad, None, egress, clock).is_err());
}
