//! Once an amount is used up, no further effect starts, whatever it would use.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use l9::governor::Permit;
use l9::model::{DeltaSink, Estimate, ModelClient, ModelFault, ModelRequest, ModelResponse, Usage};
use l9::{AgentProfile, Budget, Builder, Runtime};

use crate::{Nothing, clerk, denials, run};

/// A model with a price, or without one, that counts how often it was asked.
#[derive(Debug, Default)]
struct Hosted {
    micro_usd: Option<u64>,
    asked: AtomicU32,
}

#[async_trait]
impl ModelClient for Hosted {
    fn default_model(&self) -> &str {
        "one"
    }

    fn estimate(&self, _: &ModelRequest) -> Estimate {
        Estimate { tokens: 10, micro_usd: self.micro_usd, egress_bytes: 0 }
    }

    async fn complete(&self, _: Permit, _: &ModelRequest, _: &DeltaSink) -> Result<ModelResponse, ModelFault> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let usage = Usage { micro_usd: self.micro_usd.unwrap_or_default(), ..Usage::default() };
        Ok(ModelResponse { text: "done".into(), usage, ..ModelResponse::default() })
    }
}

fn hosted(model: &Arc<Hosted>) -> Builder {
    let profile = AgentProfile::new("clerk").unwrap().with_model("hosted").unwrap();
    Runtime::builder().in_memory().model("hosted", Arc::<Hosted>::clone(model)).agent(profile)
}

#[tokio::test]
async fn a_call_that_would_use_nothing_of_it_is_refused_as_well() {
    let calls = Arc::new(AtomicU32::new(0));
    let called = Arc::clone(&calls);
    let tool = l9::native::tool("office/work", "1.0.0", "Works.").handler(move |_, _: Nothing| {
        called.fetch_add(1, Ordering::Relaxed);
        async { Ok(Nothing {}) }
    });
    // A turn of the scripted model uses two tokens.
    let budget = Budget { tokens: Some(2), ..Budget::default() };
    let (ended, events, spent) = run(clerk(&[&[("office/work", "{}")]]).tool(tool), budget).await;
    assert_eq!((calls.load(Ordering::Relaxed), spent.tokens), (0, 2));
    assert_eq!(denials(&events), ["budget_exceeded"; 2], "the tool, and the model that is told so");
    assert!(ended.text().contains("used up: 2 tokens of 2"), "{}", ended.text());
}

#[tokio::test]
async fn what_may_not_be_used_at_all_stops_nothing_that_uses_none() {
    let budget = Budget { micro_usd: Some(0), egress_bytes: Some(0), fuel: Some(0), ..Budget::default() };
    let model = Arc::new(Hosted { micro_usd: Some(0), ..Hosted::default() });
    let (ended, ..) = run(hosted(&model), budget).await;
    assert_eq!(ended.text(), "done", "a price of nothing is a price");
    let model = Arc::new(Hosted { micro_usd: Some(1), ..Hosted::default() });
    let (ended, ..) = run(hosted(&model), budget).await;
    assert_eq!(ended.code.as_deref(), Some("denied.budget_exceeded"));
    assert_eq!(model.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_model_without_a_price_is_refused_where_money_is_limited() {
    let model = Arc::new(Hosted::default());
    let budget = Budget { micro_usd: Some(1_000_000), ..Budget::default() };
    let (ended, events, spent) = run(hosted(&model), budget).await;
    assert_eq!((ended.code.as_deref(), model.asked.load(Ordering::Relaxed)), (Some("denied.unpriced_model"), 0));
    assert_eq!(denials(&events), ["unpriced_model"]);
    assert!(ended.text().contains("hosted/one") && ended.text().contains("models.hosted.prices"), "{}", ended.text());
    assert!(spent.is_zero());
    let (ended, ..) = run(hosted(&model), Budget { tokens: Some(1_000), ..Budget::default() }).await;
    assert_eq!(ended.text(), "done", "where money is not limited it does not matter");
}
