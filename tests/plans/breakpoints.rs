//! Where a plan stops, and what passes a stop; and edits of what has not begun.

use l9::journal::Status;
use l9::run::{Breakpoint, Command, Event, Mode, Moment};
use serde_json::json;

use super::office::Office;

fn at(node: &str, at: Moment, when: Option<&str>, mode: Mode) -> Breakpoint {
    Breakpoint { node: node.into(), at, when: when.map(str::to_owned), mode }
}

const LINE: &str = "plan: line
nodes:
  - {id: a, tool: office/write, arguments: {name: a}}
  - {id: b, needs: [a], tool: office/write, arguments: {name: b}}
  - {id: c, needs: [b], tool: office/write, arguments: {name: c}}
breakpoints: [{node: a, at: before}]";

#[tokio::test]
async fn nothing_behind_a_breakpoint_happens_before_its_release() {
    let office = Office::open().await;
    let run = office.start(LINE, &json!(null)).await;
    office.stands(run).await;
    assert_eq!(office.written(), Vec::<String>::new());
    office.stop_at(run, at("b", Moment::After, None, Mode::Drain)).await;
    office.stop_at(run, at("c", Moment::Before, Some("${a.kept} == 'other'"), Mode::Drain)).await;
    office.resume(run).await;
    office.until(run, "b", "waiting").await;
    assert_eq!(office.written(), ["a", "b"]);
    office.resume(run).await;
    let done = office.ended(run).await;
    assert_eq!(done.status, Status::Succeeded, "{}", done.text());
    assert_eq!(office.written(), ["a", "b", "c"]);
    let hits = office.events(run).await.iter().filter(|event| matches!(event, Event::BreakpointHit(_))).count();
    assert_eq!(hits, 2, "the condition was not true");
    office.sound().await;
}

#[tokio::test]
async fn a_breakpoint_goes_with_the_node_that_an_edit_removes() {
    let office = Office::open().await;
    let text = LINE.replace("{node: a, at: before}", "{node: a, at: before}, {node: c, at: before}");
    let run = office.start(&text, &json!(null)).await;
    office.stands(run).await;
    office.patch(run, 1, json!({"remove": ["c"]})).await.unwrap();
    office.resume(run).await;
    assert_eq!(office.ended(run).await.status, Status::Succeeded);
    assert_eq!(office.written(), ["a", "b"]);
    office.sound().await;
}

#[tokio::test]
async fn breakpoints_that_are_reached_together_are_one_decision() {
    let office = Office::open().await;
    let run = office
        .start(
            "plan: together
nodes:
  - {id: a, tool: office/write, arguments: {name: a}}
  - {id: b, tool: office/write, arguments: {name: b}}
breakpoints: [{node: '*', at: before}]",
            &json!(null),
        )
        .await;
    office.stands(run).await;
    assert_eq!(office.view(run).await.hits.len(), 2);
    office.resume(run).await;
    assert_eq!(office.ended(run).await.status, Status::Succeeded);
    office.sound().await;
}

#[tokio::test]
async fn a_breakpoint_on_error_stops_before_anything_follows() {
    let office = Office::open().await;
    let run = office
        .start(
            "plan: errors
nodes:
  - {id: bad, tool: office/flaky, arguments: {name: x, failures: 9}}
  - {id: clean, needs: [bad], trigger: any_failed, tool: office/write, arguments: {name: cleaned}}
breakpoints: [{node: '*', at: on_error}]",
            &json!(null),
        )
        .await;
    office.stands(run).await;
    assert_eq!(office.view(run).await.hits[0].at, Moment::OnError);
    assert_eq!(office.written(), Vec::<String>::new());
    office.resume(run).await;
    assert_eq!(office.ended(run).await.code.as_deref(), Some("plan.failed"));
    assert_eq!(office.written(), ["cleaned"]);
    office.sound().await;
}

#[tokio::test]
async fn draining_lets_what_is_under_way_end_and_freezing_begins_it_anew() {
    for (mode, before, after) in [(Mode::Drain, 1, 1), (Mode::Freeze, 1, 2)] {
        let office = Office::open().await;
        let run = office
            .start(
                &format!(
                    "plan: modes
nodes:
  - {{id: long, tool: office/nap, arguments: {{millis: 400}}}}
  - {{id: quick, tool: office/echo, arguments: {{value: 1}}}}
  - {{id: next, needs: [quick], tool: office/echo, arguments: {{value: 2}}}}
breakpoints: [{{node: next, at: before, mode: {}}}]",
                    if mode == Mode::Drain { "drain" } else { "freeze" }
                ),
                &json!(null),
            )
            .await;
        office.stands(run).await;
        assert_eq!(office.called("office/nap"), before);
        if mode == Mode::Drain {
            office.until(run, "long", "succeeded").await;
        } else {
            tokio::time::sleep(std::time::Duration::from_millis(600)).await;
            assert_ne!(office.state(run, "long").await, "succeeded", "it is frozen");
        }
        assert_eq!(office.called("office/echo"), 1);
        office.resume(run).await;
        let done = office.ended(run).await;
        assert_eq!(done.status, Status::Succeeded, "{}", done.text());
        assert_eq!(office.called("office/nap"), after, "{mode:?}");
        assert_eq!(office.called("office/echo"), 2);
        office.sound().await;
    }
}

#[tokio::test]
async fn what_has_not_begun_is_edited_by_whoever_saw_the_newest_version() {
    let office = Office::open().await;
    let run = office.start(&LINE.replace("node: a", "node: b"), &json!(null)).await;
    office.stands(run).await;
    let added = json!({"id": "d", "needs": ["c"], "tool": "office/echo", "arguments": {"value": "${c.kept}!"}});
    let other = json!({"id": "c", "needs": ["b"], "tool": "office/write", "arguments": {"name": "better"}});
    let stale = office.patch(run, 7, json!({"put": [added]})).await.unwrap_err();
    assert!(stale.contains("version 1 by now, not 7"), "{stale}");
    let begun = office.patch(run, 1, json!({"remove": ["a"]})).await.unwrap_err();
    assert!(begun.contains("node a has begun"), "{begun}");
    let needed = office.patch(run, 1, json!({"remove": ["b"]})).await.unwrap_err();
    assert!(needed.contains("node c: it needs \"b\", which is no node"), "{needed}");
    let circle = json!({"id": "b", "needs": ["c"], "tool": "office/write", "arguments": {"name": "b"}});
    let circle = office.patch(run, 1, json!({"put": [circle]})).await.unwrap_err();
    assert!(circle.contains("in a circle: b, c"), "{circle}");
    let unknown = json!({"id": "e", "tool": "office/none", "arguments": {}});
    let unknown = office.patch(run, 1, json!({"put": [unknown]})).await.unwrap_err();
    assert!(unknown.contains("office/none"), "{unknown}");
    office.patch(run, 1, json!({"put": [added, other]})).await.unwrap();
    assert_eq!(office.view(run).await.version, 2);
    let again = office.patch(run, 1, json!({"remove": ["d"]})).await.unwrap_err();
    assert!(again.contains("version 2"), "{again}");
    office.resume(run).await;
    let done = office.ended(run).await;
    assert_eq!(done.answer, json!({"d": {"value": "better!"}}), "{}", done.text());
    assert_eq!(office.written(), ["a", "b", "better"]);
    office.sound().await;
}

#[tokio::test]
async fn a_breakpoint_set_everywhere_stops_only_what_has_not_begun() {
    let office = Office::open().await;
    let run = office
        .start(
            "plan: everywhere
nodes:
  - {id: a, tool: office/write, arguments: {name: a}}
  - {id: slow, tool: office/nap, arguments: {millis: 300}}
  - {id: b, needs: [a, slow], tool: office/write, arguments: {name: b}}",
            &json!(null),
        )
        .await;
    office.until(run, "a", "succeeded").await;
    office.stop_at(run, at("*", Moment::Before, None, Mode::Drain)).await;
    assert_eq!(office.state(run, "a").await, "succeeded");
    office.stands(run).await;
    let hits: Vec<String> = office.view(run).await.hits.into_iter().map(|hit| hit.id).collect();
    assert_eq!(hits, ["b"]);
    office.resume(run).await;
    assert_eq!(office.ended(run).await.status, Status::Succeeded);
    office.sound().await;
}

#[tokio::test]
async fn a_plan_that_stands_can_be_cancelled_and_a_paused_one_resumed() {
    let office = Office::open().await;
    let run = office.start(LINE, &json!(null)).await;
    office.stands(run).await;
    office.tell(run, Command::Pause { reason: "look".into() }).await.unwrap();
    office.tell(run, Command::Cancel { reason: "no".into() }).await.unwrap();
    assert_eq!(office.ended(run).await.status, Status::Cancelled);
    assert_eq!(office.written(), Vec::<String>::new());
    office.sound().await;
}
