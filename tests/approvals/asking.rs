//! What is asked, what a decision does, and how far it reaches.

use std::path::Path;
use std::time::Duration;

use l9::governor::Choice;
use l9::id::CallId;
use l9::journal::Status;
use l9::kernel::Changes;
use l9::label::{Label, MAX_SUBJECTS};
use l9::run::{Answer, CallState, Event, Outcome, Remember};
use l9::{ErrorKind, StartOptions};
use serde_json::{Value, json};

use crate::system::{
    ADA, BOB, Payments, approve, asked, builder, decide, ended, events, pay, refused, replays, smuggle, system, tool,
    turns,
};

#[tokio::test]
async fn nothing_happens_before_a_question_is_decided_and_then_exactly_that() {
    let payments = Payments::default();
    let runtime = system(&[&[ADA]], &payments).await;
    let handle = runtime.run("clerk", "pay ada").await.unwrap();
    let open = asked(&runtime, 1).await;
    let question = &open[0];
    assert_eq!((question.target.as_str(), &question.arguments), ("bank/pay", &json!({"to": "ada", "amount": 5})));
    assert!(question.reasons[0].contains("asks a person"), "{:?}", question.reasons);
    let (row, state) = runtime.engine().show(&runtime.principal().tenant, handle.run()).await.unwrap();
    assert_eq!((row.status, state.reserved.is_zero()), (Status::Waiting, true), "nothing is reserved");
    assert_eq!(*payments.lock().unwrap(), []);
    decide(&runtime, question.id, approve()).await.unwrap();
    let run = handle.run();
    assert_eq!(ended(handle).await.text(), "done");
    assert_eq!(*payments.lock().unwrap(), [("ada".to_owned(), 5)]);
    let kinds: Vec<&str> = events(&runtime, run).await.iter().map(Event::kind).collect();
    let place = |kind| kinds.iter().position(|other| *other == kind).unwrap();
    assert!(place("approval.asked") < place("approval.decided"));
    let intents = events(&runtime, run).await.into_iter().filter_map(|event| match event {
        Event::EffectIntent(intent) if intent.call == tool(0) => Some(intent.reasons.join("; ")),
        _ => None,
    });
    let reasons: Vec<String> = intents.collect();
    assert!(reasons[0].contains("approved by person:local, question 1"), "{reasons:?}");
    // Another decision changes nothing: the question is gone.
    assert_eq!(decide(&runtime, question.id, Choice::Reject).await.unwrap_err().kind(), ErrorKind::Conflict);
    replays(&runtime, run).await;
}

#[tokio::test]
async fn a_rejection_is_an_ordinary_result() {
    let payments = Payments::default();
    let runtime = system(&[&[ADA]], &payments).await;
    let handle = runtime.run("clerk", "pay ada").await.unwrap();
    let run = handle.run();
    decide(&runtime, asked(&runtime, 1).await[0].id, Choice::Reject).await.unwrap();
    assert_eq!(ended(handle).await.text(), "done");
    assert_eq!(*payments.lock().unwrap(), []);
    let (_, state) = runtime.engine().show(&runtime.principal().tenant, run).await.unwrap();
    assert!(matches!(&state.calls[&tool(0)], CallState::Denied { code, .. } if code == "rejected"));
    replays(&runtime, run).await;
}

#[tokio::test]
async fn edited_arguments_are_what_is_executed_and_must_fit() {
    let payments = Payments::default();
    let runtime = system(&[&[ADA]], &payments).await;
    let handle = runtime.run("clerk", "pay ada").await.unwrap();
    let (run, id) = (handle.run(), asked(&runtime, 1).await[0].id);
    let edit = |arguments: Value| Choice::Approve { arguments: Some(arguments), remember: Remember::Once };
    let wrong = [json!({"to": "ada"}), json!({"to": "ada", "amount": 5000}), json!({"to": "a", "amount": 1, "x": 2})];
    for wrong in wrong.clone() {
        assert_eq!(decide(&runtime, id, edit(wrong)).await.unwrap_err().kind(), ErrorKind::Invalid);
    }
    // The run's owner looks as well.
    for (n, wrong) in wrong.into_iter().enumerate() {
        smuggle(&runtime, id, &format!("wrong-{n}"), edit(wrong), runtime.principal()).await;
    }
    let refused = refused(&runtime, run, 6).await;
    assert!(refused.iter().all(|(by, why)| by == "person:local" && why.contains("do not fit")), "{refused:?}");
    assert_eq!(*payments.lock().unwrap(), [], "the question is still open");
    decide(&runtime, id, edit(json!({"to": "eve", "amount": 3}))).await.unwrap();
    assert_eq!(ended(handle).await.text(), "done");
    assert_eq!(*payments.lock().unwrap(), [("eve".to_owned(), 3)]);
    replays(&runtime, run).await;
}

#[tokio::test]
async fn an_edit_makes_no_run_about_more_people_than_a_label_names() {
    const SUM: (&str, &str) = ("calc/evaluate", r#"{"expression":"6 * 7"}"#);
    let payments = Payments::default();
    let runtime = system(&[&[ADA], &[SUM]], &payments).await;
    let tenant = runtime.principal().tenant;
    let named = |name: String| runtime.memory().subject(&tenant, &name);
    let subjects = (1..MAX_SUBJECTS).map(|at| named(at.to_string())).collect();
    let options = StartOptions { label: Label { subjects, ..Label::trusted() }, ..StartOptions::default() };
    let handle = runtime.run_with("clerk", "pay ada", options).await.unwrap();
    let run = handle.run();
    let edit = json!({"to": "eve", "amount": 3});
    let edit = Choice::Approve { arguments: Some(edit), remember: Remember::Once };
    decide(&runtime, asked(&runtime, 1).await[0].id, edit).await.unwrap();
    assert_eq!(ended(handle).await.text(), "done", "what comes after adds nobody");
    assert_eq!(*payments.lock().unwrap(), []);
    let (_, state) = runtime.engine().show(&tenant, run).await.unwrap();
    let CallState::Denied { code, .. } = &state.calls[&tool_of(1, 0)] else { unreachable!("{:?}", state.calls) };
    assert_eq!((code.as_str(), state.label.subjects.len()), ("limit.subjects", MAX_SUBJECTS));
    assert!(matches!(&state.calls[&tool_of(2, 0)], CallState::Ended { outcome: Outcome::Ok { .. }, .. }));
    replays(&runtime, run).await;
}

fn tool_of(turn: u32, index: u32) -> CallId {
    CallId::Tool { turn, index }
}

#[tokio::test]
async fn a_question_outlives_its_process() {
    let (folder, payments) = (tempfile::tempdir().unwrap(), Payments::default());
    let open = |path: &Path| {
        let tool = pay(&payments, 0);
        builder(turns(&[&[ADA]])).data_dir(path).tool(tool).build()
    };
    let first = open(folder.path()).await.unwrap();
    let run = first.run("clerk", "pay ada").await.unwrap().run();
    asked(&first, 1).await;
    first.shutdown().await;
    let second = open(folder.path()).await.unwrap();
    second.start().await;
    let id = asked(&second, 1).await[0].id;
    decide(&second, id, approve()).await.unwrap();
    let handle = second.engine().handle(&second.principal(), run).await.unwrap();
    assert_eq!(ended(handle).await.text(), "done");
    assert_eq!(*payments.lock().unwrap(), [("ada".to_owned(), 5)]);
    replays(&second, run).await;
    second.shutdown().await;
}

#[tokio::test]
async fn beside_a_question_the_rest_goes_on_and_each_is_decided_by_itself() {
    let payments = Payments::default();
    let sum = ("calc/evaluate", r#"{"expression":"1+1"}"#);
    let runtime = system(&[&[ADA, sum, BOB]], &payments).await;
    let handle = runtime.run("clerk", "pay both").await.unwrap();
    let open = asked(&runtime, 2).await;
    let (_, state) = runtime.engine().show(&runtime.principal().tenant, handle.run()).await.unwrap();
    assert!(state.output(tool(1)).is_some(), "what needs nobody is done");
    decide(&runtime, open[1].id, approve()).await.unwrap();
    let second = async {
        while payments.lock().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), second).await.unwrap();
    assert_eq!(*payments.lock().unwrap(), [("bob".to_owned(), 7)]);
    decide(&runtime, open[0].id, Choice::Reject).await.unwrap();
    let run = handle.run();
    assert_eq!(ended(handle).await.text(), "done");
    assert_eq!(payments.lock().unwrap().len(), 1);
    replays(&runtime, run).await;
}

#[tokio::test]
async fn an_attempt_that_is_repeated_is_not_asked_about_again() {
    let payments = Payments::default();
    let runtime = builder(turns(&[&[ADA]]))
        .in_memory()
        .retries(3, Duration::from_millis(1))
        .tool(pay(&payments, 1))
        .build()
        .await
        .unwrap();
    let handle = runtime.run("clerk", "pay ada").await.unwrap();
    decide(&runtime, asked(&runtime, 1).await[0].id, approve()).await.unwrap();
    let run = handle.run();
    assert_eq!(ended(handle).await.text(), "done");
    let asked = events(&runtime, run).await.iter().filter(|event| matches!(event, Event::ApprovalAsked(_))).count();
    assert_eq!((asked, payments.lock().unwrap().len()), (1, 1));
}

#[tokio::test]
async fn an_approval_holds_for_no_other_arguments_unless_it_says_so() {
    let other = ("bank/pay", r#"{"to":"ada","amount":6}"#);
    // (what is remembered, how many questions the three payments after it take)
    for (remember, questions) in [(Remember::Once, 3), (Remember::Class, 2), (Remember::Run, 0)] {
        let payments = Payments::default();
        let runtime = system(&[&[ADA], &[ADA], &[other], &[BOB]], &payments).await;
        let handle = runtime.run("clerk", "pay").await.unwrap();
        let run = handle.run();
        let choice = Choice::Approve { arguments: None, remember };
        decide(&runtime, asked(&runtime, 1).await[0].id, choice).await.unwrap();
        for ask in 2..questions + 2 {
            let next = async {
                loop {
                    let open = asked(&runtime, 1).await[0].id;
                    if open.ask == ask {
                        return open;
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            decide(&runtime, tokio::time::timeout(Duration::from_secs(10), next).await.unwrap(), approve())
                .await
                .unwrap();
        }
        assert_eq!(ended(handle).await.text(), "done", "{remember:?}");
        assert_eq!(payments.lock().unwrap().len(), 4, "{remember:?}");
        let asked = events(&runtime, run).await.iter().filter(|event| matches!(event, Event::ApprovalAsked(_))).count();
        assert_eq!(asked as u32, questions + 1, "{remember:?}");
        replays(&runtime, run).await;
    }
}

#[tokio::test]
async fn time_decides_what_nobody_does() {
    let payments = Payments::default();
    let runtime = builder(turns(&[&[ADA]]))
        .in_memory()
        .approval_timeout(Duration::from_millis(200))
        .tool(pay(&payments, 0))
        .build()
        .await
        .unwrap();
    let handle = runtime.run("clerk", "pay ada").await.unwrap();
    let run = handle.run();
    assert_eq!(ended(handle).await.text(), "done");
    assert_eq!(*payments.lock().unwrap(), []);
    let (_, state) = runtime.engine().show(&runtime.principal().tenant, run).await.unwrap();
    assert!(matches!(&state.calls[&tool(0)], CallState::Denied { code, .. } if code == "approval_expired"));
    replays(&runtime, run).await;
}

#[tokio::test]
async fn a_fork_asks_anew_whatever_its_parent_was_allowed() {
    let payments = Payments::default();
    let runtime = system(&[&[ADA]], &payments).await;
    let handle = runtime.run("clerk", "pay ada").await.unwrap();
    let run = handle.run();
    decide(&runtime, asked(&runtime, 1).await[0].id, approve()).await.unwrap();
    ended(handle).await;
    let events = events(&runtime, run).await;
    let decided =
        |event: &Event| matches!(event, Event::ApprovalDecided(it) if matches!(it.answer, Answer::Approved { .. }));
    let at = events.iter().position(decided).unwrap() as u64 + 1;
    let fork = runtime.engine().fork(&runtime.principal(), run, at, &Changes::default(), None).await.unwrap();
    let open = asked(&runtime, 1).await;
    assert_eq!((open[0].run_id, open[0].id.ask), (fork.run, 2));
    assert_eq!(payments.lock().unwrap().len(), 1);
    decide(&runtime, open[0].id, Choice::Reject).await.unwrap();
    let handle = runtime.engine().handle(&runtime.principal(), fork.run).await.unwrap();
    assert_eq!(ended(handle).await.text(), "done");
    assert_eq!(payments.lock().unwrap().len(), 1);
    replays(&runtime, fork.run).await;
}
