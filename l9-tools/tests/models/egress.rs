//! What the egress lets out, and under which permit.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use l9_core::egress::{Egress, EgressRequest};
use l9_core::governor::Permit;
use l9_core::model::{DeltaSink, ModelClient, ModelFault, ModelRequest, ModelResponse};
use l9_core::time::{Clock as _, SystemClock};
use l9_tools::egress::Direct;
use l9_tools::models::openai;

use super::support::engine::{Terms, ask};
use super::support::provider::Provider;
use super::{HELLO, code, egress_to, message, question, quick, whole};

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

/// Dawdles before it sends, so that its permit is gone by then.
#[derive(Debug)]
struct Late {
    egress: Arc<Direct>,
    url: String,
    wait: Duration,
}

#[async_trait]
impl ModelClient for Late {
    fn default_model(&self) -> &str {
        "late"
    }

    fn estimate(&self, _: &ModelRequest) -> (u64, u64) {
        (0, 0)
    }

    async fn complete(&self, permit: Permit, _: &ModelRequest, _: &DeltaSink) -> Result<ModelResponse, ModelFault> {
        SystemClock::default().sleep(self.wait).await;
        let request = EgressRequest {
            method: "POST".into(),
            url: self.url.clone(),
            headers: Vec::new(),
            secret_headers: Vec::new(),
            body: "{}".into(),
            idle: Duration::from_secs(5),
            max_response_bytes: 1000,
        };
        let error = self.egress.send(&permit, request).await.unwrap_err();
        Err(ModelFault::new(error.kind().as_str(), error.message()))
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
        let asked = ask(Arc::new(Late { egress, url: provider.url(), wait }), question(), terms).await;
        assert_eq!((code(&asked), provider.received().len()), (expected, 0), "{}", message(&asked));
    }
}
