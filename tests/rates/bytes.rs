//! Bytes a day.

use std::sync::Arc;
use std::time::Duration;

use l9::journal::Status;
use l9::model::scripted::Turn;
use l9::native::{self, NativeTool};
use l9::run::{Event, Outcome};
use l9::tool::{EffectClass, Limits, Rate};
use l9::{Runtime, StartOptions};

use crate::support::{Calls, Line, call, ended, events, refusals, replays, somebody, start, system};

/// A tool that gives a thousand letters: 1011 bytes with what is around them, and two for `{}`.
fn thousand(quota: u64, calls: &Arc<Calls>) -> NativeTool {
    let calls = Arc::clone(calls);
    let limits = Limits { output_bytes: 1_200, ..Limits::default() };
    let tool = native::tool("web/read", "1.0.0", "Reads.").effect(EffectClass::Read).limits(limits);
    tool.rate(Rate { daily_bytes: Some(quota), ..Rate::default() }).handler(move |_, _: Line| {
        let calls = Arc::clone(&calls);
        async move {
            let _begun = calls.begin();
            tokio::time::sleep(Duration::from_millis(5)).await;
            Ok(Line { text: "x".repeat(1_000) })
        }
    })
}

const CALL: u64 = 1_013;

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_is_used_up_to_its_last_byte_and_each_tenant_has_its_own() {
    let calls = Arc::<Calls>::default();
    let runtime = Runtime::builder().in_memory().tool(thousand(2 * CALL + 3, &calls)).build().await.unwrap();
    let (ada, bob) = (somebody("acme", "person:ada"), somebody("acme", "person:bob"));
    let once = async |who| ended(call(&runtime, who, "web/read", StartOptions::default()).await).await;
    for who in [&ada, &bob, &ada] {
        assert_eq!(once(who).await.status, Status::Succeeded);
    }
    let handle = call(&runtime, &bob, "web/read", StartOptions::default()).await;
    let run = handle.run();
    assert_eq!(ended(handle).await.code.as_deref(), Some("denied.rate_limited"));
    let reason = refusals(&runtime, &bob, run).await.pop().unwrap().1;
    assert!(reason.contains(&format!("{} of tenant acme are used", 3 * CALL)), "{reason}");
    assert!(reason.contains("it starts anew at ") && reason.ends_with("T00:00:00.000Z"), "{reason}");
    assert_eq!(once(&somebody("other", "person:ada")).await.status, Status::Succeeded);
    assert_eq!(calls.all(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parallel_burst_uses_no_more_than_one_call_would() {
    let quota = 5 * CALL;
    let calls = Arc::<Calls>::default();
    let turns = vec![Turn::call(vec![("web/read", "{}"); 10]), Turn::say("done")];
    let runtime = system(turns, &["web/read"]).tool(thousand(quota, &calls)).build().await.unwrap();
    let me = runtime.principal();
    let mut handles = Vec::new();
    for _ in 0..10 {
        handles.push(start(&runtime, &me, "caller").await);
    }
    let (mut performed, mut refused) = (0, 0);
    for handle in handles {
        let run = handle.run();
        assert_eq!(ended(handle).await.text(), "done");
        refused += refusals(&runtime, &me, run).await.len();
        let given = |event: &Event| {
            matches!(event, Event::EffectResult(result)
                if matches!(&result.outcome, Outcome::Ok { value } if format!("{value:?}").contains("xxx")))
        };
        performed += events(&runtime, &me, run).await.iter().filter(|event| given(event)).count();
        replays(&runtime, &me, run).await;
    }
    assert_eq!((performed, refused), (5, 95), "each byte is used, and none twice");
    assert_eq!(calls.all(), 5);
}
