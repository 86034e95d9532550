//! Against the litellm proxy, which nobody here wrote: `scripts/litellm-check.sh` starts
//! it and runs these.

use std::sync::Arc;

use l9_core::model::{ModelClient as _, ModelRequest};
use l9_tools::models::{anthropic, openai};
use secrecy::SecretString;

use super::support::engine::{Terms, ask};
use super::{code, egress_to, message, question, quick};

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
    let client = Arc::new(openai::Client::new(settings, Some(&key), egress, clock).unwrap());
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
    let client = Arc::new(anthropic::Client::new(settings, Some(&key), egress, clock).unwrap());
    for model in [client.default_model().to_owned(), "claude-unstreamed".to_owned()] {
        let asked = ask(client.clone(), plain(&model), Terms::default()).await;
        let response = asked.result.unwrap();
        assert!(response.text.contains("forty-two") && response.text == asked.words, "{model}");
        assert!(response.usage.input_tokens > 0 && response.usage.output_tokens > 0, "{model}");
    }
}
