//! A plan that was told to compensate does so when it is stopped: in one other run, which begins
//! with its end.

use std::collections::BTreeMap;
use std::time::Duration;

use l9::journal::{RunFilter, Status};
use l9::native::Fault;
use l9::plan::Target;
use l9::run::Command;
use l9::tool::EffectClass;
use l9::{RunId, native};
use serde_json::json;

use super::office::Office;

const TOLD: &str = "plan: told
on_failure: compensate
nodes:
  - {id: first, tool: office/write, arguments: {name: first}, compensate: {tool: office/write, arguments: {name: 'undo ${first.kept}'}}}
  - {id: second, needs: [first], tool: office/write, arguments: {name: second}, compensate: {tool: office/write, arguments: {name: 'undo second'}}}
  - {id: slow, needs: [second], tool: office/nap, arguments: {millis: 60000}, compensate: {tool: office/write, arguments: {name: 'undo slow'}}}";

const UNDONE: [&str; 4] = ["first", "second", "undo second", "undo first"];

async fn cancel(office: &Office, run: RunId) {
    office.tell(run, Command::Cancel { reason: "enough".into() }).await.unwrap();
    assert_eq!(office.ended(run).await.status, Status::Cancelled);
}

/// The runs that left another.
async fn left(office: &Office, run: RunId) -> Vec<RunId> {
    let tenant = office.runtime.principal().tenant;
    let rows = office.runtime.store().runs(&tenant, &RunFilter::default(), 100).await.unwrap();
    rows.into_iter().filter(|row| row.fork.is_some_and(|fork| fork.parent == run)).map(|row| row.run).collect()
}

#[tokio::test]
async fn what_was_done_is_compensated_though_the_plan_is_cancelled() {
    let office = Office::open().await;
    let run = office.start(TOLD, &json!(null)).await;
    office.until(run, "slow", "running").await;
    cancel(&office, run).await;
    let [back] = left(&office, run).await[..] else { panic!("one run compensates") };
    assert_eq!(office.ended(back).await.status, Status::Succeeded);
    assert_eq!(office.written(), UNDONE);
    // Whoever rolls it back finds that it is.
    let (engine, principal) = (office.runtime.engine(), office.runtime.principal());
    let again = engine.roll_back(&principal, run, &Target::Start).await.unwrap();
    assert_eq!((again.run, again.existing), (back, true));
    assert_eq!(office.written(), UNDONE);
    office.sound().await;
}

#[tokio::test]
async fn what_was_done_is_compensated_though_its_time_is_over() {
    let office = Office::open().await;
    let run = office.start(&TOLD.replace("nodes:", "deadline_seconds: 1\nnodes:"), &json!(null)).await;
    let ended = office.ended(run).await;
    assert_eq!(ended.status, Status::Failed, "{ended:?}");
    let [back] = left(&office, run).await[..] else { panic!("one run compensates") };
    assert_eq!(office.ended(back).await.status, Status::Succeeded);
    assert_eq!(office.written(), UNDONE);
    office.sound().await;
}

#[tokio::test]
async fn what_may_have_been_done_before_it_was_to_be_tried_again_is_compensated() {
    let lands = native::tool("office/doubt", "1.0.0", "May have written.").effect(EffectClass::KeyedWrite);
    let lands = lands.handler(|_, _: BTreeMap<String, String>| async { Err::<String, _>(Fault::unavailable("gone")) });
    let office = Office::with(|builder| builder.tool(lands).retries(3, Duration::from_secs(60))).await;
    let doubt = "tool: office/doubt, compensate: {tool: office/write, arguments: {name: 'undo slow'}}";
    let (text, _) = TOLD.split_once("tool: office/nap").unwrap();
    let run = office.start(&format!("{text}{doubt}}}"), &json!(null)).await;
    office.until(run, "slow", "retrying").await;
    cancel(&office, run).await;
    let tenant = office.runtime.principal().tenant;
    let (_, state) = office.runtime.engine().show(&tenant, run).await.unwrap();
    assert_eq!(state.undecided().count(), 1, "its journal says that nobody knows");
    let [back] = left(&office, run).await[..] else { panic!("one run compensates") };
    assert_eq!(office.ended(back).await.status, Status::Succeeded);
    assert_eq!(office.written(), ["first", "second", "undo slow", "undo second", "undo first"]);
    office.sound().await;
}

#[tokio::test]
async fn nothing_begins_where_it_was_not_told_to_or_did_nothing() {
    let office = Office::open().await;
    let kept = office.start(&TOLD.replace("on_failure: compensate\n", ""), &json!(null)).await;
    office.until(kept, "slow", "running").await;
    cancel(&office, kept).await;
    let text = "plan: idle
on_failure: compensate
nodes: [{id: hear, wait: {signal: never}}]";
    let idle = office.start(text, &json!(null)).await;
    office.until(idle, "hear", "waiting").await;
    cancel(&office, idle).await;
    assert!(left(&office, kept).await.is_empty() && left(&office, idle).await.is_empty());
    office.sound().await;
}

#[tokio::test]
async fn whoever_cancels_the_compensation_stops_it() {
    let office = Office::open().await;
    let slow = TOLD.replace(
        "{tool: office/write, arguments: {name: 'undo second'}}",
        "{tool: office/nap, arguments: {millis: 60000}}",
    );
    let run = office.start(&slow, &json!(null)).await;
    office.until(run, "slow", "running").await;
    cancel(&office, run).await;
    let [back] = left(&office, run).await[..] else { panic!("one run compensates") };
    let naps = async {
        while office.called("office/nap") < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), naps).await.unwrap();
    cancel(&office, back).await;
    assert!(left(&office, back).await.is_empty());
    assert_eq!(office.written(), ["first", "second"]);
    // What was cut off is not begun again, and nobody says that it was done.
    let again = office.runtime.engine().roll_back(&office.runtime.principal(), back, &Target::Start).await.unwrap();
    let ended = office.ended(again.run).await;
    assert_eq!(ended.code.as_deref(), Some("plan.not_compensated"), "{}", ended.text());
    assert!(ended.text().ends_with(": second"), "{}", ended.text());
    assert_eq!(office.written(), ["first", "second", "undo first"]);
    office.sound().await;
}

#[tokio::test]
async fn what_compensates_goes_on_in_another_process() {
    let folder = tempfile::tempdir().unwrap();
    let office = Office::at(folder.path()).await;
    let run = office
        .start(
            &TOLD
                .replace("slow", "hear")
                .replace("tool: office/nap, arguments: {millis: 60000}", "wait: {signal: never}"),
            &json!(null),
        )
        .await;
    office.until(run, "hear", "waiting").await;
    cancel(&office, run).await;
    let office = office.restarted().await;
    let [back] = left(&office, run).await[..] else { panic!("one run compensates") };
    assert_eq!(office.ended(back).await.status, Status::Succeeded);
    assert_eq!(office.written(), UNDONE);
    office.sound().await;
}
