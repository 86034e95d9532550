//! Nodes whose calls wait for a turn: they begin when it comes, if the plan wants them still.

use std::sync::Arc;

use l9::RunId;
use l9::governor::Capacity;
use l9::journal::Status;
use l9::native::{self, Fault, NativeTool};
use l9::plan::Target;
use l9::run::Event;
use l9::tool::{EffectClass, Limits};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Semaphore;

use super::office::Office;

#[derive(Deserialize, Serialize, JsonSchema)]
struct Nothing {}

/// A tool of a class that ends when the gate lets it.
fn held(class: EffectClass, gate: &Arc<Semaphore>) -> NativeTool {
    let gate = Arc::clone(gate);
    let limits = Limits { wall_ms: 600_000, ..Limits::default() };
    let tool = native::tool("office/held", "1.0.0", "Waits to be let go.").effect(class);
    tool.limits(limits).handler(move |_, nothing: Nothing| {
        let gate = Arc::clone(&gate);
        async move {
            gate.acquire().await.map_err(|_| Fault::failed("the gate is closed"))?.forget();
            Ok(nothing)
        }
    })
}

/// An office in which one write under a key is under way at a time, and one call that touches
/// nothing; and what lets go of calls of the class.
async fn narrow(class: EffectClass) -> (Office, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let capacity = Capacity { keyed_write: Some(1), pure: Some(1), ..Capacity::default() };
    let office = Office::with(|builder| builder.capacity(capacity).tool(held(class, &gate))).await;
    (office, gate)
}

/// A run that has the only place of the class.
async fn holds(office: &Office) -> RunId {
    let run = office.start("plan: other\nnodes: [{id: a, tool: office/held, arguments: {}}]", &json!(null)).await;
    office.until(run, "a", "running").await;
    run
}

#[tokio::test]
async fn what_waited_for_its_turn_begins_only_when_the_plan_has_room_for_it() {
    let (office, gate) = narrow(EffectClass::KeyedWrite).await;
    let other = holds(&office).await;
    let run = office
        .start(
            "plan: room
parallel: 2
nodes:
  - {id: first, tool: office/nap, arguments: {millis: 50}}
  - {id: left, needs: [first], tool: office/nap, arguments: {millis: 800}}
  - {id: right, needs: [first], tool: office/nap, arguments: {millis: 1200}}
  - {id: waits, tool: office/write, arguments: {name: late}}",
            &json!(null),
        )
        .await;
    office.until(run, "right", "running").await;
    gate.add_permits(1);
    assert_eq!(office.ended(other).await.status, Status::Succeeded);
    // Its turn is there now, and the plan has no room.
    office.until(run, "left", "running").await;
    assert_eq!(office.written(), [""; 0]);
    assert_eq!(office.ended(run).await.status, Status::Succeeded);
    assert_eq!(office.written(), ["late"]);
    let (mut open, mut most) = (0, 0);
    for event in office.events(run).await {
        match event {
            Event::EffectIntent(_) => open += 1,
            Event::EffectResult(_) => open -= 1,
            _ => {}
        }
        most = most.max(open);
    }
    assert_eq!(most, 2);
    office.sound().await;
}

#[tokio::test]
async fn what_waits_for_its_turn_does_not_begin_once_the_plan_has_failed() {
    let capacity = Capacity { read: Some(1), ..Capacity::default() };
    for on_failure in ["keep", "compensate"] {
        let office = Office::with(|builder| builder.capacity(capacity)).await;
        let plan = format!(
            "plan: list
on_failure: {on_failure}
nodes:
  - {{id: kept, tool: office/write, arguments: {{name: kept}}, compensate: {{tool: office/write, arguments: {{name: undone}}}}}}
  - id: each
    needs: [kept]
    map: {{over: [9, 0, 0, 0], parallel: 4}}
    tool: office/flaky
    arguments: {{name: 'n${{index}}', failures: '${{item}}'}}"
        );
        let done = office.run(&plan, &json!(null)).await;
        assert!(done.text().contains("element 0: n0 is out of order"), "{}", done.text());
        assert_eq!(office.called("office/flaky"), 1, "{on_failure}");
        let written = if on_failure == "keep" { vec!["kept"] } else { vec!["kept", "undone"] };
        assert_eq!(office.written(), written);
        office.sound().await;
    }
}

#[tokio::test]
async fn a_plan_that_was_paused_wants_anew_what_waited_for_its_turn() {
    let (office, gate) = narrow(EffectClass::KeyedWrite).await;
    let other = holds(&office).await;
    let run = office
        .start(
            "plan: paused
nodes:
  - {id: waits, tool: office/write, arguments: {name: late}}
  - {id: signal, wait: {signal: go}}",
            &json!(null),
        )
        .await;
    office.until(run, "signal", "waiting").await;
    office.tell(run, l9::run::Command::Pause { reason: "look".into() }).await.unwrap();
    gate.add_permits(1);
    assert_eq!(office.ended(other).await.status, Status::Succeeded);
    // The place is free, and nobody who stands still has it.
    let third = holds(&office).await;
    gate.add_permits(1);
    assert_eq!(office.ended(third).await.status, Status::Succeeded);
    assert_eq!(office.written(), [""; 0]);
    office.resume(run).await;
    office.until(run, "waits", "succeeded").await;
    office.signal(run, "go", json!(null)).await;
    assert_eq!(office.ended(run).await.status, Status::Succeeded);
    assert_eq!(office.written(), ["late"]);
    office.sound().await;
}

#[tokio::test]
async fn what_a_person_approved_waits_for_its_turn_and_keeps_nothing_else_waiting() {
    let (office, gate) = narrow(EffectClass::Pure).await;
    let other = holds(&office).await;
    let run = office
        .start(
            "plan: asks
nodes:
  - {id: ask, approval: {question: 'Send it?'}}
  - {id: first, tool: office/nap, arguments: {millis: 700}}
  - {id: second, needs: [first], tool: office/nap, arguments: {millis: 700}}
  - {id: send, needs: [ask], tool: office/write, arguments: {name: sent}}",
            &json!(null),
        )
        .await;
    office.until(run, "ask", "waiting").await;
    office.approve(run, None).await;
    // Meanwhile the rest goes on.
    office.until(run, "second", "running").await;
    gate.add_permits(1);
    office.until(run, "send", "succeeded").await;
    assert_eq!(office.state(run, "second").await, "running");
    assert_eq!(office.ended(run).await.status, Status::Succeeded);
    assert_eq!(office.ended(other).await.status, Status::Succeeded);
    assert_eq!(office.written(), ["sent"]);
    office.sound().await;
}

#[tokio::test]
async fn what_was_approved_and_waits_for_its_turn_does_not_begin_once_the_plan_is_rolled_back() {
    let (office, gate) = narrow(EffectClass::Pure).await;
    let run = office
        .start(
            "plan: back
nodes:
  - {id: kept, tool: office/write, arguments: {name: kept}, compensate: {tool: office/write, arguments: {name: undone}}}
  - {id: ask, needs: [kept], approval: {question: 'Send it?'}}
  - {id: signal, wait: {signal: go}}",
            &json!(null),
        )
        .await;
    office.until(run, "ask", "waiting").await;
    let other = holds(&office).await;
    office.approve(run, None).await;
    office.roll_back(run, Target::Start).await.unwrap();
    gate.add_permits(1);
    assert_eq!(office.ended(other).await.status, Status::Succeeded);
    assert_eq!(office.ended(run).await.status, Status::Succeeded);
    assert_eq!(office.written(), ["kept", "undone"]);
    let began = |event: &Event| matches!(event, Event::EffectIntent(intent) if intent.class == EffectClass::Pure);
    let pure = office.events(run).await.iter().filter(|event| began(event)).count();
    assert_eq!(pure, 1, "the wait began, and what was approved did not");
    office.sound().await;
}
