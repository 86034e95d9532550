//! Compensation holds against whatever comes between: a stop, a budget that is used up, an end that
//! nobody knows; and nothing goes on upon what is undone.

use std::time::Duration;

use l9::journal::Status;
use l9::native;
use l9::plan::Target;
use l9::run::{Command, Event};
use l9::tool::EffectClass;
use serde_json::{Map, Value, json};

use super::office::Office;

/// What it did is compensated when its last node fails, which takes a moment for `b`.
const FAILS: &str = "plan: fails
on_failure: compensate
nodes:
  - {id: a, tool: office/write, arguments: {name: a}, compensate: {tool: office/write, arguments: {name: 'undo a'}}}
  - {id: b, needs: [a], tool: office/write, arguments: {name: b}, compensate: {tool: office/nap, arguments: {millis: 1500}}}
  - {id: c, needs: [b], tool: office/flaky, arguments: {name: c, failures: 1}}
  - {id: d, needs: [c], tool: office/write, arguments: {name: 'd'}}";

async fn naps(office: &Office) {
    let nap = async {
        while office.called("office/nap") == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), nap).await.unwrap();
}

#[tokio::test]
async fn a_compensation_under_way_goes_on_to_its_end_when_its_plan_is_stopped() {
    for late in [false, true] {
        let office = Office::open().await;
        let text = if late { FAILS.replace("nodes:", "deadline_seconds: 1\nnodes:") } else { FAILS.to_owned() };
        let run = office.start(&text, &json!(null)).await;
        naps(&office).await;
        if !late {
            office.tell(run, Command::Cancel { reason: "enough".into() }).await.unwrap();
        }
        let ended = office.ended(run).await;
        assert_eq!(ended.status, if late { Status::Failed } else { Status::Cancelled }, "{}", ended.text());
        assert_eq!(office.state(run, "b").await, "compensated");
        let back = office.last().await;
        assert_ne!(back, run, "another run compensates what is left");
        assert_eq!(office.ended(back).await.status, Status::Succeeded);
        assert_eq!(office.written(), ["a", "b", "undo a"]);
        assert_eq!(office.called("office/nap"), 1);
        office.sound().await;
    }
}

#[tokio::test]
async fn a_compensation_is_not_refused_for_want_of_budget() {
    let office = Office::open().await;
    let text = FAILS.replace("nodes:", "budget: {calls: 2}\nnodes:").replace("1500", "1");
    let ended = office.run(&text, &json!(null)).await;
    assert!(ended.text().contains("the budget is used up"), "{}", ended.text());
    assert!(ended.text().ends_with("compensated: b, a"), "{}", ended.text());
    assert_eq!(office.written(), ["a", "b", "undo a"]);
    office.sound().await;
}

#[tokio::test]
async fn nothing_goes_on_upon_what_is_undone() {
    for target in [Target::Failed, Target::Node("c".into())] {
        let office = Office::open().await;
        let failed = office.start(&FAILS.replace("1500", "1"), &json!(null)).await;
        assert_eq!(office.ended(failed).await.status, Status::Failed);
        assert_eq!(office.written(), ["a", "b", "undo a"]);
        let again = office.runtime.engine().roll_back(&office.runtime.principal(), failed, &target).await.unwrap();
        if target != Target::Failed {
            office.stands(again.run).await;
            office.resume(again.run).await;
        }
        let ended = office.ended(again.run).await;
        assert_eq!(ended.status, Status::Succeeded, "{}", ended.text());
        assert_eq!(office.written(), ["a", "b", "undo a", "a", "b", "d"], "{target:?}");
        assert_eq!(office.state(again.run, "a").await, "succeeded");
        office.sound().await;
    }
}

#[tokio::test]
async fn a_plan_that_was_stopped_in_a_write_is_rolled_back() {
    let post = native::tool("office/post", "1.0.0", "Posts, slowly.").effect(EffectClass::OpaqueWrite).handler(
        |_, given: Map<String, Value>| async move {
            tokio::time::sleep(Duration::from_mins(1)).await;
            Ok(given)
        },
    );
    let office = Office::with(|builder| builder.tool(post)).await;
    let run = office
        .start(
            "plan: cut
nodes:
  - {id: a, tool: office/write, arguments: {name: a}, compensate: {tool: office/write, arguments: {name: 'undo a'}}}
  - {id: b, needs: [a], tool: office/post, arguments: {}, compensate: {tool: office/write, arguments: {name: 'undo b'}}}",
            &json!(null),
        )
        .await;
    office.until(run, "b", "running").await;
    office.tell(run, Command::Cancel { reason: "enough".into() }).await.unwrap();
    assert_eq!(office.ended(run).await.status, Status::Cancelled);
    let unknown = |event: &Event| matches!(event, Event::EffectUnknown(_));
    assert!(office.events(run).await.iter().any(unknown), "nobody knows what became of the write");
    let back = office.runtime.engine().roll_back(&office.runtime.principal(), run, &Target::Start).await.unwrap();
    assert_eq!(office.ended(back.run).await.status, Status::Succeeded);
    assert_eq!(office.written(), ["a", "undo b", "undo a"], "what ended unknown counts as done");
    office.sound().await;
}

#[tokio::test]
async fn a_wait_of_before_takes_no_signal_once_its_node_was_reset() {
    let office = Office::open().await;
    let run = office
        .start(
            "plan: waits
nodes:
  - {id: a, tool: office/write, arguments: {name: a}}
  - {id: hear, needs: [a], wait: {signal: go}}
  - {id: z, needs: [hear], tool: office/write, arguments: {name: z}}",
            &json!(null),
        )
        .await;
    office.until(run, "hear", "waiting").await;
    office.roll_back(run, Target::Node("a".into())).await.unwrap();
    office.stands(run).await;
    let early = Command::Signal { name: "go".into(), value: json!(null) };
    let early = office.tell(run, early).await.unwrap_err();
    assert!(early.contains("nobody waits for signal \"go\""), "{early}");
    let (_, state) = office.runtime.engine().show(&office.runtime.principal().tenant, run).await.unwrap();
    assert!(state.waits.is_empty(), "it has ended: {:?}", state.waits);
    office.resume(run).await;
    office.until(run, "hear", "waiting").await;
    office.signal(run, "go", json!(null)).await;
    assert_eq!(office.ended(run).await.status, Status::Succeeded);
    assert_eq!(office.written(), ["a", "a", "z"]);
    office.sound().await;
}

#[tokio::test]
async fn what_failed_is_tried_again_from_the_breakpoint_that_it_stands_at() {
    let office = Office::open().await;
    let run = office
        .start(
            "plan: stands
nodes:
  - {id: a, tool: office/write, arguments: {name: a}}
  - {id: b, needs: [a], tool: office/flaky, arguments: {name: b, failures: 1}, break: on_error}",
            &json!(null),
        )
        .await;
    office.stands(run).await;
    office.roll_back(run, Target::Failed).await.unwrap();
    assert_eq!(office.ended(run).await.status, Status::Succeeded);
    assert_eq!(office.written(), ["a"]);
    office.sound().await;
}

#[tokio::test]
async fn nothing_is_edited_while_what_was_done_is_compensated() {
    let office = Office::open().await;
    let run = office.start(FAILS, &json!(null)).await;
    naps(&office).await;
    let put = json!({"put": [{"id": "e", "tool": "office/write", "arguments": {"name": "e"}}]});
    let refused = office.patch(run, 1, put).await.unwrap_err();
    assert!(refused.contains("is being compensated"), "{refused}");
    assert_eq!(office.ended(run).await.status, Status::Failed);
    assert_eq!(office.written(), ["a", "b", "undo a"]);
    office.sound().await;
}

#[tokio::test]
async fn what_a_plan_within_did_is_undone_by_what_its_node_says_or_told_of() {
    for (compensate, left) in
        [("", json!(["s"])), (", compensate: {tool: office/write, arguments: {name: 'undo s'}}", json!(null))]
    {
        let office = Office::open().await;
        let run = office
            .start(
                &format!(
                    "plan: outer
nodes:
  - {{id: a, tool: office/write, arguments: {{name: a}}, compensate: {{tool: office/write, arguments: {{name: 'undo a'}}}}}}
  - id: s
    needs: [a]
    plan:
      plan: inner
      nodes: [{{id: x, tool: office/write, arguments: {{name: x}}, compensate: {{tool: office/write, arguments: {{name: 'undo x'}}}}}}]{}",
                    compensate.replace(", compensate:", "\n    compensate:")
                ),
                &json!(null),
            )
            .await;
        assert_eq!(office.ended(run).await.status, Status::Succeeded);
        let back = office.runtime.engine().roll_back(&office.runtime.principal(), run, &Target::Start).await.unwrap();
        let ended = office.ended(back.run).await;
        assert_eq!(ended.status, Status::Succeeded, "{}", ended.text());
        assert_eq!(ended.answer["left"], left);
        assert_eq!(office.written().contains(&"undo s".to_owned()), left.is_null());
        office.sound().await;
    }
}
