//! What the egress lets out, and under which permit.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use l9_core::budget::Budget;
use l9_core::egress::{Egress, EgressRequest, Injection};
use l9_core::governor::Permit;
use l9_core::model::{DeltaSink, Estimate, ModelClient, ModelFault, ModelRequest, ModelResponse};
use l9_core::time::{Clock as _, SystemClock};
use l9_core::tool::Inject;
use l9_tools::egress::Direct;
use l9_tools::models::openai;

use super::support::engine::{Terms, ask};
use super::support::provider::{Act, Provider, stream};
use super::{HELLO, asked, code, egress_to, message, openai_at, question, quick, refused, whole};

#[tokio::test]
async fn only_listed_origins_are_reached() {
    let provider = Provider::start([whole(&HELLO)]).await;
    let settings = openai::Settings { base_url: provider.url(), limits: quick(), ..openai::Settings::default() };
    let (egress, clock) = egress_to(&["https://api.example.com".parse().unwrap()]);
    let client = openai::Client::new(settings, None, egress, clock).unwrap();
    let asked = ask(Arc::new(client), question(), Terms::default()).await;
    assert_eq!(code(&asked), "refused");
    assert!(
        message(&asked).contains("https://api.example.com") && provider.received().is_empty(),
        "{}",
        message(&asked)
    );
}

/// Sends what it was told to, whatever it costs, and says how that went.
#[derive(Debug)]
struct Sends {
    egress: Arc<Direct>,
    requests: Vec<EgressRequest>,
    /// How long it dawdles before, so that its permit may be gone by then.
    wait: Duration,
    /// The bytes that it says it will send.
    reserves: u64,
}

#[async_trait]
impl ModelClient for Sends {
    fn default_model(&self) -> &str {
        "sends"
    }

    fn estimate(&self, _: &ModelRequest) -> Estimate {
        Estimate { egress_bytes: self.reserves, ..Estimate::local(0) }
    }

    async fn complete(&self, permit: Permit, _: &ModelRequest, _: &DeltaSink) -> Result<ModelResponse, ModelFault> {
        SystemClock::default().sleep(self.wait).await;
        for request in &self.requests {
            let sent = self.egress.send(&permit, request.clone()).await;
            sent.map_err(|error| ModelFault::new(error.kind().as_str(), error.message()))?;
        }
        Ok(ModelResponse { text: "sent".into(), ..ModelResponse::default() })
    }
}

fn request(method: &str, url: String, headers: &[(&str, &str)], body: &'static str) -> EgressRequest {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let secret = Injection {
        place: Inject::Header("x-key".into()),
        value: "hunter2-hunter2".to_owned().into(),
        audience: "127.0.0.1".into(),
    };
    EgressRequest {
        method: method.into(),
        url,
        headers: headers.iter().map(owned).collect(),
        secrets: vec![secret],
        body: body.into(),
        idle: Duration::from_secs(5),
        max_response_bytes: 1000,
    }
}

#[tokio::test]
async fn nothing_leaves_under_a_permit_that_has_lapsed_or_was_cancelled() {
    let wait = Duration::from_millis(300);
    let lapsed = Terms { deadline: Duration::from_millis(100), ..Terms::default() };
    let cancelled = Terms { cancel_after: Some(Duration::from_millis(50)), ..Terms::default() };
    for (terms, expected) in [(lapsed, "denied"), (cancelled, "cancelled")] {
        let provider = Provider::start([whole(&HELLO)]).await;
        let (egress, _) = egress_to(&[provider.url().parse().unwrap()]);
        let requests = vec![request("POST", provider.url(), &[], "{}")];
        let asked = ask(Arc::new(Sends { egress, requests, wait, reserves: 0 }), question(), terms).await;
        assert_eq!((code(&asked), provider.received().len()), (expected, 0), "{}", message(&asked));
    }
}

/// A budget of so many bytes, and nothing else.
fn bytes(egress_bytes: u64) -> Terms {
    Terms { budget: Budget { egress_bytes: Some(egress_bytes), ..Budget::default() }, ..Terms::default() }
}

#[tokio::test]
async fn every_byte_of_a_request_is_counted() {
    let provider = Provider::start([whole(&HELLO)]).await;
    let (egress, _) = egress_to(&[provider.url().parse().unwrap()]);
    let url = |path: &str| format!("{}{path}", provider.url());
    let requests = vec![
        request("GET", url(""), &[], ""),
        request("GET", url("/a/b?c=d&e=%C3%A9"), &[("accept", "text/plain"), ("X-Twice", "1"), ("x-twice", "22")], ""),
        request("HEAD", url("/a?"), &[], ""),
        request("DELETE", url("/a"), &[], ""),
        request("DELETE", url("/a"), &[], "{}"),
        request("OPTIONS", url("/"), &[], ""),
        request("PATCH", url("/a"), &[], ""),
        request("POST", url("/a"), &[("content-type", "application/json")], ""),
        request("PUT", url("/a"), &[], r#"{"text":"some words"}"#),
    ];
    for one in &requests {
        let before = provider.bytes();
        let (egress, requests) = (Arc::clone(&egress), vec![one.clone()]);
        let sends = Sends { egress, requests, wait: Duration::ZERO, reserves: 0 };
        let asked = ask(Arc::new(sends), question(), Terms::default()).await;
        assert!(asked.result.is_ok(), "{asked:?}");
        assert_eq!(asked.spent.egress_bytes, provider.bytes() - before, "{} {}", one.method, one.url);
    }
    assert_eq!(provider.received().len(), requests.len());
}

#[tokio::test]
async fn nothing_leaves_beyond_what_was_reserved() {
    let provider = Provider::start([whole(&HELLO)]).await;
    let (egress, _) = egress_to(&[provider.url().parse().unwrap()]);
    let post = || request("POST", provider.url(), &[], "{}");
    let sends = |count, reserves| {
        let requests = std::iter::repeat_with(post).take(count).collect();
        Arc::new(Sends { egress: Arc::clone(&egress), requests, wait: Duration::ZERO, reserves })
    };
    let one = ask(sends(1, 0), question(), Terms::default()).await.spent.egress_bytes;
    // The budget holds much more than was reserved for this effect.
    let asked = ask(sends(3, 2 * one), question(), bytes(100 * one)).await;
    assert_eq!((code(&asked), asked.spent.egress_bytes, provider.received().len()), ("denied", 2 * one, 1 + 2));
    assert!(message(&asked).contains(&format!("of the {} egress_bytes", 2 * one)), "{}", message(&asked));
    // What the budget does not hold is never begun.
    let asked = ask(sends(3, 3 * one), question(), bytes(3 * one - 1)).await;
    assert_eq!((asked.spent.calls, asked.spent.egress_bytes, provider.received().len()), (0, 0, 3));
}

#[tokio::test]
async fn what_did_not_leave_is_not_charged() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let (egress, _) = egress_to(&[url.parse().unwrap()]);
    let requests = vec![request("POST", url, &[], "{}")];
    let sends = Sends { egress, requests, wait: Duration::ZERO, reserves: 1000 };
    let asked = ask(Arc::new(sends), question(), bytes(1000)).await;
    assert_eq!((code(&asked), asked.spent.egress_bytes), ("unavailable", 0));
}

#[tokio::test]
async fn attempts_are_all_counted_and_none_is_made_that_the_budget_does_not_hold() {
    let provider = Provider::start([refused(503, &[], "{}"), refused(503, &[], "{}"), whole(&HELLO)]).await;
    let asked = asked(&provider, quick()).await;
    assert!(asked.result.is_ok(), "{asked:?}");
    assert_eq!((provider.received().len(), asked.spent.calls), (3, 3));
    assert_eq!(asked.spent.egress_bytes, provider.bytes());

    let provider = Provider::start([refused(503, &[], "{}")]).await;
    let client = openai_at(&provider.url(), quick());
    let one = client.estimate(&question()).egress_bytes;
    let asked = ask(client, question(), bytes(5 * one / 2)).await;
    assert_eq!((code(&asked), provider.received().len(), asked.spent.calls), ("unavailable", 2, 2));
    assert_eq!((asked.spent.egress_bytes, provider.bytes()), (2 * one, 2 * one));
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_asked_for_again_as_far_as_the_budget_goes() {
    let provider = Provider::start([vec![Act::Write(stream(&HELLO[..2]))]]).await;
    let client = openai_at(&provider.url(), quick());
    let Estimate { tokens, micro_usd, .. } = client.estimate(&question());
    let micro_usd = micro_usd.unwrap();
    for budget in [
        Budget { tokens: Some(5 * tokens / 2), ..Budget::default() },
        Budget { micro_usd: Some(5 * micro_usd / 2), ..Budget::default() },
    ] {
        let before = provider.received().len();
        let client = Arc::clone(&client);
        let asked = ask(client, question(), Terms { budget, ..Terms::default() }).await;
        assert_eq!((code(&asked), provider.received().len() - before, asked.spent.calls), ("cut_off", 2, 2));
        // Nobody knows what a provider counts of a stream that broke off.
        assert_eq!((asked.spent.tokens, asked.spent.micro_usd), (2 * tokens, 2 * micro_usd));
        assert!(budget.exceeded_by(&asked.spent).is_none());
    }
}
