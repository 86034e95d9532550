//! A write that can be asked about, whose process dies while it is under way.

use std::time::Duration;

use l9_services::Fault;
use serde_json::json;

use crate::count::Counts;
use crate::outside::Outside;
use crate::support::{Served, pause};

#[tokio::test]
async fn a_queryable_write_whose_process_died_is_asked_for_and_not_made_again() {
    let outside = Outside::start().await;
    let folder = tempfile::tempdir().unwrap();
    outside.prepare(folder.path());
    let environment = outside.environment();
    let served = Served::start_over(&environment, folder.path()).await;
    outside.ledger.fail([Fault::Hang]);
    let body = json!({"arguments": {"text": "a line"}, "wait": false});
    let started = served.post("/tools/ledger/queryable/call", &body).await.json();
    let arrived = async {
        while outside.requests().1 == 0 {
            pause(10).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), arrived).await.unwrap();
    // As by SIGKILL.
    drop(served);
    let served = Served::start_over(&environment, folder.path()).await;
    let run = started["run_id"].as_str().unwrap();
    let streamed =
        served.client().get(served.url(&format!("/runs/{run}/events"))).header("accept", "text/event-stream");
    let _until_its_end = served.send(streamed).await;
    let page = served.get(&format!("/runs/{run}/events")).await.json();
    let mut counts = Counts::default();
    counts.add(page["events"].as_array().unwrap());
    let lines = outside.ledger.lines();
    let line = lines.values().next().unwrap();
    assert_eq!((lines.len(), line.requests, line.probes), (1, 1, 1), "{lines:?}");
    assert_eq!((counts.tools(), counts.results, counts.unknowns), (1, 1, 0), "{page}");
    assert_eq!(served.get(&format!("/runs/{run}")).await.json()["end"]["outcome"], "succeeded");
}
