//! Going back: what was done is compensated once, the last first, memory is as it was, and nodes
//! begin anew in a new generation.

use l9::ErrorKind;
use l9::journal::Status;
use l9::memory::{NewEntry, Query, Scope};
use l9::plan::Target;
use l9::run::Event;
use serde_json::json;

use super::office::Office;

const BUILD: &str = "plan: build
nodes:
  - {id: a, tool: office/write, arguments: {name: a}, compensate: {tool: office/write, arguments: {name: 'undo a'}}}
  - {id: b, needs: [a], tool: office/write, arguments: {name: 'b ${a.kept}'}, compensate: {tool: office/write, arguments: {name: 'undo ${b.kept}'}}}
  - {id: c, needs: [b], tool: office/write, arguments: {name: c}, compensate: {tool: office/write, arguments: {name: 'undo c'}}}
  - {id: side, tool: office/write, arguments: {name: side}, compensate: {tool: office/write, arguments: {name: 'undo side'}}}
  - {id: end, needs: [c, side], wait: {signal: end}}";

#[tokio::test]
async fn going_back_to_a_node_undoes_what_needs_it_and_begins_it_anew() {
    let office = Office::open().await;
    let run = office
        .start(
            &BUILD.replace("wait: {signal: end}", "tool: office/echo, arguments: {value: 1}, break: before"),
            &json!(null),
        )
        .await;
    office.stands(run).await;
    let before = office.written().len();
    assert_eq!(before, 4);
    let unknown = office.roll_back(run, Target::Node("nobody".into())).await.unwrap_err();
    assert!(unknown.contains("no node \"nobody\""), "{unknown}");
    office.roll_back(run, Target::Node("b".into())).await.unwrap();
    office.stands(run).await;
    assert_eq!(office.written()[before..], ["undo c", "undo b a"]);
    assert_eq!(office.state(run, "a").await, "succeeded");
    assert_eq!(office.state(run, "b").await, "ready");
    assert_eq!(office.node(run, "b").await.generation, 1);
    office.resume(run).await;
    office.until(run, "c", "succeeded").await;
    office.stands(run).await;
    assert_eq!(office.written()[before + 2..], ["b a", "c"]);
    office.resume(run).await;
    assert_eq!(office.ended(run).await.status, Status::Succeeded);
    office.sound().await;
}

#[tokio::test]
async fn a_plan_that_has_ended_is_rolled_back_once_by_a_run_that_shares_its_past() {
    let office = Office::open().await;
    let run = office.start(BUILD, &json!(null)).await;
    office.until(run, "end", "waiting").await;
    office.signal(run, "end", json!(null)).await;
    office.ended(run).await;
    let (engine, principal) = (office.runtime.engine(), office.runtime.principal());
    let events = office.events(run).await.len();
    let back = engine.roll_back(&principal, run, &Target::Start).await.unwrap();
    let done = office.ended(back.run).await;
    assert_eq!(done.status, Status::Succeeded, "{}", done.text());
    let undone = office.written().into_iter().filter(|line| line.starts_with("undo")).collect::<Vec<_>>();
    assert_eq!(undone.len(), 4);
    let place = |what: &str| undone.iter().position(|line| line == what).unwrap();
    assert!(place("undo c") < place("undo b a") && place("undo b a") < place("undo a"), "{undone:?}");
    // The same again is the same run; another way back is refused, and compensates nothing.
    assert!(engine.roll_back(&principal, run, &Target::Start).await.unwrap().existing);
    let other = engine.roll_back(&principal, run, &Target::Node("b".into())).await.unwrap_err();
    assert_eq!(other.kind(), ErrorKind::Conflict);
    assert_eq!(office.written().len(), 8);
    assert_eq!(office.events(run).await.len(), events, "the run that ended stays as it is");
    assert_eq!(office.state(back.run, "b").await, "compensated");
    // What was compensated is not compensated again by going further.
    let none = engine.roll_back(&principal, back.run, &Target::Start).await.unwrap_err();
    assert!(none.message().contains("nothing that was done has a compensation"), "{none}");
    office.sound().await;
}

#[tokio::test]
async fn what_cannot_be_compensated_is_told_and_keeps_nobody_from_editing() {
    let office = Office::open().await;
    let text = "plan: lost
nodes:
  - {id: a, tool: office/echo, arguments: {value: 1}, compensate: {tool: office/write, arguments: {name: 'undo ${a.value.gone}'}}}
  - {id: b, needs: [a], tool: office/echo, arguments: {value: 1}, break: before}";
    let run = office.start(text, &json!(null)).await;
    office.stands(run).await;
    office.roll_back(run, Target::Node("a".into())).await.unwrap();
    office.stands(run).await;
    let hits = office.view(run).await.hits;
    assert!(hits.iter().any(|hit| hit.id == "a; could not be compensated: a"), "{hits:?}");
    let put = json!({"put": [{"id": "b", "needs": ["a"], "tool": "office/write", "arguments": {"name": "b"}}]});
    office.patch(run, 1, put).await.unwrap();
    office.resume(run).await;
    assert_eq!(office.ended(run).await.status, Status::Succeeded);
    assert_eq!(office.written(), ["b"]);
    office.sound().await;
}

#[tokio::test]
async fn nothing_is_rolled_back_or_edited_under_what_is_under_way() {
    let office = Office::open().await;
    let text = "plan: busy
nodes:
  - {id: done, tool: office/write, arguments: {name: done}, compensate: {tool: office/write, arguments: {name: 'undo done'}}}
  - {id: slow, needs: [done], tool: office/nap, arguments: {millis: 60000}}";
    let run = office.start(text, &json!(null)).await;
    office.until(run, "slow", "running").await;
    let busy = office.roll_back(run, Target::Start).await.unwrap_err();
    assert!(busy.contains("slow is under way"), "{busy}");
    office.tell(run, l9::run::Command::Cancel { reason: "enough".into() }).await.unwrap();
    assert_eq!(office.ended(run).await.status, Status::Cancelled);
    // What was cancelled is compensated by going back.
    let back = office.runtime.engine().roll_back(&office.runtime.principal(), run, &Target::Start).await.unwrap();
    assert_eq!(office.ended(back.run).await.status, Status::Succeeded);
    assert_eq!(office.written(), ["done", "undo done"]);
    office.sound().await;
}

#[tokio::test]
async fn a_plan_that_was_cancelled_while_it_waited_is_rolled_back_too() {
    let office = Office::open().await;
    let run = office
        .start(
            "plan: waited
nodes:
  - {id: done, tool: office/write, arguments: {name: done}, compensate: {tool: office/write, arguments: {name: 'undo ${done.kept}'}}}
  - {id: ask, needs: [done], approval: {question: 'Go on?'}}
  - {id: hear, needs: [done], wait: {signal: never}}",
            &json!(null),
        )
        .await;
    office.until(run, "ask", "waiting").await;
    office.until(run, "hear", "waiting").await;
    office.tell(run, l9::run::Command::Cancel { reason: "enough".into() }).await.unwrap();
    office.ended(run).await;
    let back = office.runtime.engine().roll_back(&office.runtime.principal(), run, &Target::Start).await.unwrap();
    assert_eq!(office.ended(back.run).await.status, Status::Succeeded);
    assert_eq!(office.written(), ["done", "undo done"]);
    office.sound().await;
}

#[tokio::test]
async fn what_was_made_anew_is_compensated_with_what_it_gave_then() {
    let office = Office::open().await;
    let text = "plan: twice
on_failure: compensate
nodes:
  - {id: make, tool: office/flaky, arguments: {name: m, failures: 0}, compensate: {tool: office/write, arguments: {name: 'undo ${make.tries}'}}}
  - {id: look, needs: [make], tool: office/echo, arguments: {value: 1}, break: after}
  - {id: end, needs: [look], tool: office/flaky, arguments: {name: end, failures: 9}}";
    let run = office.start(text, &json!(null)).await;
    office.stands(run).await;
    office.roll_back(run, Target::Node("make".into())).await.unwrap();
    office.stands(run).await;
    assert_eq!(office.written(), ["undo 1"]);
    office.resume(run).await;
    office.until(run, "look", "waiting").await;
    office.resume(run).await;
    assert_eq!(office.ended(run).await.code.as_deref(), Some("plan.failed"));
    assert_eq!(office.written(), ["undo 1", "undo 2"]);
    office.sound().await;
}

#[tokio::test]
async fn a_fork_does_not_compensate_what_its_parent_did() {
    let office = Office::open().await;
    let run = office
        .start(
            "plan: forked
on_failure: compensate
nodes:
  - {id: a, tool: office/write, arguments: {name: a}, compensate: {tool: office/write, arguments: {name: 'undo a'}}}
  - {id: b, needs: [a], tool: office/flaky, arguments: {name: b, failures: 9}}
breakpoints: [{node: b, at: before}]",
            &json!(null),
        )
        .await;
    office.stands(run).await;
    let at = office.events(run).await.len() as u64;
    let principal = office.runtime.principal();
    let fork = office.runtime.engine().fork(&principal, run, at, &l9::kernel::Changes::default(), None).await.unwrap();
    office.resume(fork.run).await;
    assert_eq!(office.ended(fork.run).await.code.as_deref(), Some("plan.failed"));
    assert_eq!(office.written(), ["a"], "what a did is the parent's");
    office.resume(run).await;
    office.ended(run).await;
    assert_eq!(office.written(), ["a", "undo a"]);
    office.sound().await;
}

#[tokio::test]
async fn a_fork_leaves_to_its_parent_what_its_rollback_had_not_come_to() {
    let office = Office::open().await;
    let run = office
        .start(
            "plan: halfway
nodes:
  - {id: a, tool: office/write, arguments: {name: a}, compensate: {tool: office/write, arguments: {name: 'undo a'}}}
  - {id: b, needs: [a], tool: office/write, arguments: {name: b}, compensate: {tool: office/write, arguments: {name: 'undo b'}}}
  - {id: end, needs: [b], wait: {signal: end}}",
            &json!(null),
        )
        .await;
    office.until(run, "end", "waiting").await;
    office.roll_back(run, Target::Start).await.unwrap();
    office.ended(run).await;
    let events = office.events(run).await;
    let at = events.iter().position(|event| matches!(event, Event::PlanRolledBack(_))).unwrap() as u64 + 1;
    let (engine, principal) = (office.runtime.engine(), office.runtime.principal());
    let fork = engine.fork(&principal, run, at, &l9::kernel::Changes::default(), None).await.unwrap();
    office.ended(fork.run).await;
    assert_eq!(office.written(), ["a", "b", "undo b", "undo a"], "nothing is compensated twice");
    office.sound().await;
}

#[tokio::test]
async fn only_the_elements_of_a_list_that_failed_are_tried_again() {
    let office = Office::open().await;
    let text = "plan: sends
nodes:
  - id: each
    map: {over: [0, 1, 0], parallel: 3}
    tool: office/flaky
    arguments: {name: 'n${index}', failures: '${item}'}";
    let run = office.start(text, &json!(null)).await;
    assert_eq!(office.ended(run).await.code.as_deref(), Some("plan.failed"));
    assert_eq!(office.called("office/flaky"), 3);
    let again = office.runtime.engine().roll_back(&office.runtime.principal(), run, &Target::Failed).await.unwrap();
    let done = office.ended(again.run).await;
    assert_eq!(done.answer, json!({"each": [{"tries": 1}, {"tries": 2}, {"tries": 1}]}), "{}", done.text());
    assert_eq!(office.called("office/flaky"), 4);
    office.sound().await;
}

#[tokio::test]
async fn what_failed_is_tried_again_with_what_was_skipped_for_it_and_nothing_else() {
    let office = Office::open().await;
    let text = "plan: again
nodes:
  - {id: good, tool: office/write, arguments: {name: good}}
  - {id: bad, tool: office/flaky, arguments: {name: x, failures: 1}}
  - {id: after, needs: [good, bad], tool: office/write, arguments: {name: 'after ${bad.tries}'}}";
    let run = office.start(text, &json!(null)).await;
    assert_eq!(office.ended(run).await.code.as_deref(), Some("plan.failed"));
    let again = office.runtime.engine().roll_back(&office.runtime.principal(), run, &Target::Failed).await.unwrap();
    let done = office.ended(again.run).await;
    assert_eq!(done.status, Status::Succeeded, "{}", done.text());
    assert_eq!(office.written(), ["good", "after 2"]);
    let nothing = office.runtime.engine().roll_back(&office.runtime.principal(), again.run, &Target::Failed).await;
    assert!(nothing.unwrap_err().message().contains("no node has failed"));
    office.sound().await;
}

#[tokio::test]
async fn memory_goes_back_with_the_plan() {
    let office = Office::open().await;
    let (tenant, memory) = (office.runtime.principal().tenant, office.runtime.memory());
    let entry = |text: &str| NewEntry { text: text.into(), ..NewEntry::default() };
    memory.remember(&tenant, vec![entry("the harbour is open")]).await.unwrap();
    let run = office
        .start(
            "plan: memory
nodes:
  - {id: first, tool: memory/remember, arguments: {text: the harbour has a light}}
  - {id: mark, needs: [first], checkpoint: {}}
  - {id: second, needs: [mark], tool: memory/remember, arguments: {text: the harbour is closed}}
  - {id: stop, needs: [second], tool: office/echo, arguments: {value: 1}, break: before}",
            &json!(null),
        )
        .await;
    office.stands(run).await;
    let known = async || {
        let hits = memory.search(&Scope::tenant(tenant.clone()), &Query::new("harbour", 10)).await.unwrap();
        let mut texts: Vec<String> = hits.into_iter().map(|hit| hit.entry.entry.text).collect();
        texts.sort();
        texts
    };
    assert_eq!(known().await, ["the harbour has a light", "the harbour is closed", "the harbour is open"]);
    office.roll_back(run, Target::Node("mark".into())).await.unwrap();
    office.stands(run).await;
    assert_eq!(known().await, ["the harbour has a light", "the harbour is open"]);
    assert_eq!(office.state(run, "second").await, "ready");
    office.resume(run).await;
    office.until(run, "second", "succeeded").await;
    assert_eq!(known().await.len(), 3);
    let rolled = office.events(run).await.iter().filter(|event| matches!(event, Event::PlanRolledBack(_))).count();
    assert_eq!(rolled, 1);
    office.sound().await;
}
