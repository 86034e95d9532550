//! Long plans through the library's front door: what runs when, what follows a failure, where a
//! plan stops, how it is edited and rolled back; and that every such run replays without
//! divergence.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may fail, and waits for real")]

mod breakpoints;
mod delegated;
mod large;
mod office;
mod oracle;
mod refused;
mod rollback;
mod stopped;
mod turns;
mod undone;

use l9::governor::Choice;
use l9::id::{ApprovalId, CommandId};
use l9::journal::Status;
use l9::run::Remember;
use serde_json::json;

use office::{Office, plan};

#[tokio::test]
async fn what_nodes_give_goes_where_it_is_referred_to() {
    let office = Office::open().await;
    let done = office
        .run(
            "plan: diamond
nodes:
  - {id: top, tool: office/echo, arguments: {value: '${input.word}'}}
  - {id: left, tool: office/echo, arguments: {value: 'l-${top.value}'}}
  - {id: right, tool: office/echo, arguments: {value: ['${top.value}', 2]}}
  - {id: each, map: {over: '${right.value}', parallel: 2}, tool: office/echo, arguments: {value: '${item}/${index}'}}
  - {id: empty, map: {over: []}, tool: office/echo, arguments: {value: 1}}
output: {left: '${left.value}', each: '${each}', second: '${each[1].value}', empty: '${empty}', cost: '$${5}'}",
            &json!({"word": "tide"}),
        )
        .await;
    assert_eq!(
        done.answer,
        json!({
            "left": "l-tide",
            "each": [{"value": "tide/0"}, {"value": "2/1"}],
            "second": "2/1",
            "empty": [],
            "cost": "${5}",
        })
    );
    assert_eq!(office.called("office/echo"), 5);
    office.sound().await;
}

#[tokio::test]
async fn a_branch_chooses_and_what_it_leaves_out_is_skipped() {
    let office = Office::open().await;
    let text = "plan: choose
nodes:
  - {id: count, tool: office/echo, arguments: {value: '${input}'}}
  - id: which
    branch:
      - {when: '${count.value} > 10', then: [many]}
      - {when: '${count.value} > 0', then: [some]}
      - {then: [none]}
  - {id: many, tool: office/echo, arguments: {value: many}}
  - {id: some, tool: office/echo, arguments: {value: some}}
  - {id: none, tool: office/echo, arguments: {value: none}}
  - {id: join, needs: [many, some, none], trigger: none_failed, tool: office/echo, arguments: {value: joined}}
  - {id: never, when: '${count.value} < 0', tool: office/echo, arguments: {value: x}}";
    for (given, taken) in [(11, "many"), (3, "some"), (0, "none")] {
        let run = office.start(text, &json!(given)).await;
        let done = office.ended(run).await;
        assert_eq!(done.status, Status::Succeeded, "{}", done.text());
        for id in ["many", "some", "none"] {
            assert_eq!(office.state(run, id).await, if id == taken { "succeeded" } else { "skipped" }, "{given} {id}");
        }
        assert_eq!(office.state(run, "join").await, "succeeded");
        assert_eq!(office.state(run, "never").await, "skipped");
    }
    let text = "plan: maybe
output: '${which.way}'
nodes:
  - {id: which, branch: [{when: '${input} > 10', then: [many]}]}
  - {id: many, tool: office/echo, arguments: {value: many}}";
    for (given, way) in [(11, json!(0)), (3, json!(null))] {
        let run = office.start(text, &json!(given)).await;
        assert_eq!(office.ended(run).await.answer, way, "{given}");
    }
    office.sound().await;
}

#[tokio::test]
async fn a_node_is_tried_as_often_as_it_says_and_waits_in_between() {
    let office = Office::open().await;
    let done = office
        .run(
            "plan: again
nodes:
  - {id: third, tool: office/flaky, arguments: {name: a, failures: 2}, retry: {attempts: 3, backoff_seconds: 0}}
  - {id: waits, tool: office/flaky, arguments: {name: b, failures: 1}, retry: {attempts: 2, backoff_seconds: 1}}
  - {id: gives_up, tool: office/flaky, arguments: {name: c, failures: 9}, retry: {attempts: 2, backoff_seconds: 0}, optional: true}
  - {id: told, needs: [gives_up], trigger: any_failed, tool: office/echo, arguments: {value: '${gives_up.error.message}'}}
  - {id: without, needs: [gives_up], tool: office/echo, arguments: {value: x}}
output: {third: '${third.tries}', waits: '${waits.tries}', told: '${told.value}'}",
            &json!(null),
        )
        .await;
    assert_eq!(done.status, Status::Succeeded, "{}", done.text());
    assert_eq!(done.answer, json!({"third": 3, "waits": 2, "told": "c is out of order"}));
    assert_eq!(office.called("office/flaky"), 3 + 2 + 2);
    let run = office.last().await;
    assert_eq!(office.state(run, "gives_up").await, "failed");
    assert_eq!(office.state(run, "without").await, "skipped");
    office.sound().await;
}

#[tokio::test]
async fn what_was_done_is_compensated_in_reverse_once_a_node_has_failed() {
    let office = Office::open().await;
    let done = office
        .run(
            "plan: pipeline
on_failure: compensate
nodes:
  - {id: a, tool: office/write, arguments: {name: a}, compensate: {tool: office/write, arguments: {name: 'undo ${a.kept}'}}}
  - {id: b, needs: [a], tool: office/write, arguments: {name: b}, compensate: {tool: office/write, arguments: {name: 'undo b'}}}
  - id: each
    needs: [b]
    map: {over: [1, 2]}
    tool: office/write
    arguments: {name: 'e${item}'}
    compensate: {tool: office/write, arguments: {name: 'undo e${item}'}}
  - {id: c, needs: [each], tool: office/flaky, arguments: {name: c, failures: 9}}
  - {id: d, needs: [c], tool: office/write, arguments: {name: d}, compensate: {tool: office/write, arguments: {name: 'undo d'}}}",
            &json!(null),
        )
        .await;
    assert_eq!(done.code.as_deref(), Some("plan.failed"));
    assert!(done.text().contains("node c failed, failed: c is out of order"), "{}", done.text());
    assert!(done.text().contains("compensated: each, b, a"), "{}", done.text());
    assert_eq!(office.written(), ["a", "b", "e1", "e2", "undo e2", "undo e1", "undo b", "undo a"]);
    let run = office.last().await;
    assert_eq!(office.state(run, "a").await, "compensated");
    assert_eq!(office.state(run, "d").await, "skipped");
    office.sound().await;
}

#[tokio::test]
async fn one_element_that_fails_ends_its_list_and_no_further_element_begins() {
    let office = Office::open().await;
    let done = office
        .run(
            "plan: list
nodes:
  - id: each
    map: {over: [0, 9, 0, 0, 0, 0, 0, 0], parallel: 1}
    tool: office/flaky
    arguments: {name: 'n${index}', failures: '${item}'}",
            &json!(null),
        )
        .await;
    assert!(done.text().contains("node each failed, failed: element 1: n1 is out of order"), "{}", done.text());
    assert_eq!(office.called("office/flaky"), 2);
    office.sound().await;
}

#[tokio::test]
async fn a_plan_waits_for_signals_and_people_and_takes_what_they_say() {
    let office = Office::open().await;
    let run = office
        .start(
            "plan: people
nodes:
  - {id: paid, wait: {signal: paid}}
  - {id: moment, wait: {seconds: 0}}
  - {id: draft, needs: [moment], tool: office/echo, arguments: {value: 'sum ${paid.value}'}}
  - {id: ask, approval: {question: 'Send it?', data: '${draft.value}'}}
  - {id: send, tool: office/write, arguments: {name: '${ask.data}'}}
output: '${ask}'",
            &json!(null),
        )
        .await;
    office.until(run, "paid", "waiting").await;
    assert_eq!(office.state(run, "draft").await, "pending");
    office.signal(run, "paid", json!(5)).await;
    office.until(run, "ask", "waiting").await;
    office.approve(run, Some(json!({"question": "Send it?", "data": "a better sum"}))).await;
    let done = office.ended(run).await;
    assert_eq!(done.answer, json!({"approved": true, "data": "a better sum"}), "{}", done.text());
    assert_eq!(office.written(), ["a better sum"]);
    office.sound().await;
}

#[tokio::test]
async fn a_reference_to_what_is_not_there_fails_its_node_and_nothing_else() {
    let office = Office::open().await;
    let done = office
        .run(
            "plan: holes
nodes:
  - {id: a, tool: office/echo, arguments: {value: {x: 1}}}
  - {id: b, tool: office/echo, arguments: {value: '${a.value.y}'}, optional: true}
  - {id: c, when: '${a.value.z} > 1', tool: office/echo, arguments: {value: 1}, optional: true}
  - {id: d, tool: office/echo, arguments: {value: '${a.value.x}'}}
output: {b: '${b.error.code}', c: '${c.error.code}', d: '${d.value}'}",
            &json!(null),
        )
        .await;
    assert_eq!(done.answer, json!({"b": "reference", "c": "condition", "d": 1}), "{}", done.text());
    office.sound().await;
}

#[tokio::test]
async fn a_plan_s_deadline_and_a_node_s_time_are_held() {
    let office = Office::open().await;
    let done = office
        .run(
            "plan: slow
nodes:
  - {id: nap, tool: office/nap, arguments: {millis: 60000}, timeout_seconds: 1}",
            &json!(null),
        )
        .await;
    assert!(done.text().contains("node nap failed, limit.time"), "{}", done.text());
    let done = office
        .run(
            "plan: late
deadline_seconds: 1
nodes:
  - {id: never, wait: {signal: never}}",
            &json!(null),
        )
        .await;
    assert_eq!(done.code.as_deref(), Some("deadline"));
    let done = office
        .run(
            "plan: patience
nodes:
  - {id: signal, wait: {signal: never}, timeout_seconds: 1, optional: true}
  - {id: person, approval: {question: Well?}, timeout_seconds: 1, optional: true}
  - {id: time, wait: {seconds: 1}, timeout_seconds: 5}
output: ['${signal.error.code}', '${person.error.code}', '${time.elapsed}']",
            &json!(null),
        )
        .await;
    assert_eq!(done.answer, json!(["timeout", "denied.approval_expired", true]), "{}", done.text());
    office.sound().await;
}

/// A line of nodes is gone through without a call for each, however long it is.
#[tokio::test]
async fn a_long_line_is_checked_and_walked() {
    let office = Office::open().await;
    let mut nodes: Vec<_> = (0..20_000)
        .map(|n| json!({"id": format!("n{n}"), "when": "false", "wait": {"seconds": 1}, "needs": if n == 0 { vec![] } else { vec![format!("n{}", n - 1)] }}))
        .collect();
    nodes.push(json!({"id": "end", "tool": "office/echo", "arguments": {"value": 1}, "needs": ["n19999"], "trigger": "all_done"}));
    let done = office.run_value(&plan("line", &json!({"output": "${end.value}"}), &nodes), &json!(null)).await;
    assert_eq!(done.answer, json!(1), "{}", done.text());
}

#[tokio::test]
async fn a_plan_goes_on_in_another_process_where_it_stood() {
    let folder = tempfile::tempdir().unwrap();
    let office = Office::at(folder.path()).await;
    let run = office
        .start(
            "plan: restart
nodes:
  - {id: a, tool: office/write, arguments: {name: a}}
  - {id: go, needs: [a], wait: {signal: go}}
  - {id: b, needs: [go], map: {over: [1, 2, 3]}, tool: office/write, arguments: {name: 'b${item} after ${a.kept}'}}
breakpoints: [{node: b, at: after}]",
            &json!(null),
        )
        .await;
    office.until(run, "go", "waiting").await;
    let office = office.restarted().await;
    office.signal(run, "go", json!(null)).await;
    office.until(run, "b", "waiting").await;
    let office = office.restarted().await;
    office.resume(run).await;
    let done = office.ended(run).await;
    assert_eq!(done.status, Status::Succeeded, "{}", done.text());
    let mut written = office.written();
    written.sort();
    assert_eq!(written, ["a", "b1 after a", "b2 after a", "b3 after a"]);
    office.sound().await;
}

#[tokio::test]
async fn a_wide_plan_has_no_more_under_way_than_it_says() {
    let office = Office::open().await;
    let nodes: Vec<_> =
        (0..40).map(|n| json!({"id": format!("n{n}"), "tool": "office/nap", "arguments": {"millis": 5}})).collect();
    let done = office.run_value(&plan("wide", &json!({"parallel": 4}), &nodes), &json!(null)).await;
    assert_eq!(done.status, Status::Succeeded);
    assert_eq!(office.most_at_once(), 4);
    office.sound().await;
}

#[tokio::test]
async fn words_of_a_plan_are_words_though_they_say_yes_or_no() {
    let office = Office::open().await;
    let text = "plan: words
nodes: [{id: each, map: {over: [de, no, y, on, true]}, tool: office/echo, arguments: {value: '${item}'}}]
output: '${each}'";
    let words = ["de", "no", "y", "on"].map(|word| json!({ "value": word }));
    let wanted: Vec<_> = words.into_iter().chain([json!({"value": true})]).collect();
    assert_eq!(office.run(text, &json!(null)).await.answer, json!(wanted));
}

#[tokio::test]
async fn a_plan_s_own_question_is_approved_for_itself_alone() {
    let office = Office::open().await;
    let text = "plan: asks\nnodes: [{id: ask, approval: {question: 'Publish it?'}}]";
    let run = office.start(text, &json!(null)).await;
    office.until(run, "ask", "waiting").await;
    let (engine, principal) = (office.runtime.engine(), office.runtime.principal());
    for (at, remember) in [Remember::Class, Remember::Provenance, Remember::Run].into_iter().enumerate() {
        let (choice, command) = (Choice::Approve { arguments: None, remember }, format!("approval/class/{at}"));
        let id = ApprovalId { run, ask: 1 };
        let refused = engine.decide(&principal, id, choice, "fine".into(), CommandId::new(command).unwrap()).await;
        assert!(refused.unwrap_err().message().contains("approve it once"), "{remember:?}");
    }
    office.approve(run, None).await;
    assert_eq!(office.ended(run).await.status, Status::Succeeded);
    office.sound().await;
}
