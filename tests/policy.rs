//! Policy in Cedar through the library's front door: what decides, what a fork may bring of its
//! own, what another policy would have decided, and what becomes of files that change.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may fail, and waits for real")]

#[path = "support/questions.rs"]
mod questions;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use l9::digest::Digest;
use l9::governor::cedar::Cedar;
use l9::governor::{Choice, Decision};
use l9::id::CommandId;
use l9::kernel::{Changes, OpenQuestion};
use l9::model::scripted::{Scripted, Turn};
use l9::native::NativeTool;
use l9::run::{Event, Remember};
use l9::tool::EffectClass;
use l9::{AgentProfile, Builder, ErrorKind, RunHandle, RunId, Runtime, native};
use questions::asked;
use serde_json::{Map, Value, json};

const SEND: (&str, &str) = ("mail/send", r#"{"to":"ada"}"#);

/// Allows everything but what is asked about.
const ASKS: &str = r#"
    @id("all") permit (principal, action, resource);
    @id("mail") @reason("mail is asked about")
    forbid (principal, action == L9::Action::"InvokeTool", resource == L9::Tool::"mail/send")
    unless { context.approved };
"#;

const ALL: &str = r#"@id("all") permit (principal, action, resource);"#;

const NO_MAIL: &str = r#"
    @id("all") permit (principal, action, resource);
    @id("no-mail") @reason("no mail leaves")
    forbid (principal, action, resource in L9::Namespace::"mail");
"#;

type Sent = Arc<Mutex<Vec<Value>>>;

fn send(sent: &Sent) -> NativeTool {
    let sent = Arc::clone(sent);
    native::tool("mail/send", "1.0.0", "Sends mail.").effect(EffectClass::KeyedWrite).handler(
        move |_, mail: Map<String, Value>| {
            sent.lock().unwrap().push(Value::Object(mail));
            async { Ok(json!({"sent": true})) }
        },
    )
}

fn builder(sent: &Sent, turns: usize) -> Builder {
    let mut said: Vec<Turn> = (0..turns).map(|_| Turn::call(vec![SEND])).collect();
    said.push(Turn::say("done"));
    let profile = AgentProfile::new("clerk").unwrap().with_model("script").unwrap().with_tool("mail/send").unwrap();
    Runtime::builder().in_memory().model("script", Arc::new(Scripted::new(said))).agent(profile).tool(send(sent))
}

async fn under(policy: &str, sent: &Sent) -> Runtime {
    builder(sent, 1).policy(Arc::new(Cedar::parse("test.cedar", policy).unwrap())).build().await.unwrap()
}

async fn ended(handle: RunHandle) -> l9::Ended {
    tokio::time::timeout(Duration::from_secs(20), handle.outcome()).await.unwrap().unwrap()
}

async fn events(runtime: &Runtime, run: RunId) -> Vec<(u64, Event)> {
    let mut feed = runtime.engine().feed(&runtime.principal().tenant, run, 0).await.unwrap();
    let mut events = Vec::new();
    // A page ends where a fork left its parent.
    loop {
        let page = feed.page().await.unwrap();
        if page.is_empty() {
            return events;
        }
        events.extend(page.into_iter().map(|(record, event)| (record.seq, event)));
    }
}

async fn approve(runtime: &Runtime, question: &OpenQuestion) {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let command = CommandId::new(format!("c{}", NEXT.fetch_add(1, Ordering::SeqCst))).unwrap();
    let choice = Choice::Approve { arguments: None, remember: Remember::Once };
    runtime.engine().decide(&runtime.principal(), question.id, choice, "for the test".into(), command).await.unwrap();
}

/// The denials of a run: code and reasons.
async fn denials(runtime: &Runtime, run: RunId) -> Vec<(String, String)> {
    let denied = events(runtime, run).await.into_iter().filter_map(|(_, event)| match event {
        Event::EffectDenied(denied) => Some((denied.code, denied.reasons.join("; "))),
        _ => None,
    });
    denied.collect()
}

#[tokio::test]
async fn the_policy_that_decided_is_journaled() {
    let sent = Sent::default();
    let runtime = under(NO_MAIL, &sent).await;
    let run = finished(&runtime).await;
    assert_eq!(denials(&runtime, run).await, [("forbidden".to_owned(), "no-mail: no mail leaves".to_owned())]);
    let digest = runtime.engine().parts().governor.policy().digest();
    assert_ne!(digest, Digest::ZERO);
    for (_, event) in events(&runtime, run).await {
        match event {
            Event::EffectIntent(intent) => {
                assert_eq!((intent.policy, intent.reasons), (Some(digest), vec!["all".to_owned()]));
            }
            Event::EffectDenied(denied) => assert_eq!(denied.policy, Some(digest)),
            _ => {}
        }
    }
    assert!(sent.lock().unwrap().is_empty());
}

/// A run that has ended.
async fn finished(runtime: &Runtime) -> RunId {
    let handle = runtime.run("clerk", "send").await.unwrap();
    let run = handle.run();
    ended(handle).await;
    run
}

/// Where the tool was about to be called: the event before which a fork leaves.
async fn before_the_call(runtime: &Runtime, run: RunId) -> u64 {
    let events = events(runtime, run).await;
    let of_tool = |event: &Event| match event {
        Event::EffectIntent(intent) => matches!(intent.action, l9::run::Action::Tool { .. }),
        Event::EffectDenied(_) | Event::ApprovalAsked(_) => true,
        _ => false,
    };
    events.iter().find(|(_, event)| of_tool(event)).unwrap().0
}

async fn fork(runtime: &Runtime, run: RunId, policy: &str) -> RunId {
    let at = before_the_call(runtime, run).await;
    let changes = Changes { policy: Some(policy.to_owned()), ..Changes::default() };
    let started = runtime.engine().fork(&runtime.principal(), run, at, &changes, None).await.unwrap();
    let handle = runtime.engine().handle(&runtime.principal(), started.run).await.unwrap();
    ended(handle).await;
    started.run
}

#[tokio::test]
async fn a_fork_is_held_to_its_own_policy_and_to_the_nodes() {
    let sent = Sent::default();
    let runtime = under(ALL, &sent).await;
    let run = finished(&runtime).await;
    assert_eq!(sent.lock().unwrap().len(), 1);

    let stricter = fork(&runtime, run, NO_MAIL).await;
    assert_eq!(denials(&runtime, stricter).await, [("forbidden".to_owned(), "no-mail: no mail leaves".to_owned())]);
    // What leaves the fork in turn is held to it as well.
    let again = fork(&runtime, stricter, ALL).await;
    assert_eq!(sent.lock().unwrap().len(), 2, "its own policy was replaced by one that allows");
    assert_eq!(denials(&runtime, again).await, []);
    let replayed = runtime.engine().replay(&runtime.principal().tenant, stricter, &Default::default()).await.unwrap();
    assert_eq!(replayed.divergence, None);
    assert_eq!(runtime.verify().await.unwrap().faults, []);

    let sent = Sent::default();
    let runtime = under(NO_MAIL, &sent).await;
    let run = finished(&runtime).await;
    let wider = fork(&runtime, run, ALL).await;
    assert_eq!(denials(&runtime, wider).await, [("forbidden".to_owned(), "no-mail: no mail leaves".to_owned())]);
    assert!(sent.lock().unwrap().is_empty(), "a run gains no rights by a policy of its own");
}

#[tokio::test]
async fn a_fork_with_a_policy_that_is_wrong_is_refused() {
    let sent = Sent::default();
    let runtime = under(ALL, &sent).await;
    let run = finished(&runtime).await;
    let at = before_the_call(&runtime, run).await;
    let large = " ".repeat(10 << 20);
    for (policy, why) in [
        ("permit (principal, action resource);", "fork.cedar:1:"),
        ("permit (principal is L9::Robot, action, resource);", "L9::Robot"),
        (large.as_str(), "use at most"),
    ] {
        let changes = Changes { policy: Some(policy.to_owned()), ..Changes::default() };
        let error = runtime.engine().fork(&runtime.principal(), run, at, &changes, None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[tokio::test]
async fn what_another_policy_would_have_decided() {
    let sent = Sent::default();
    let runtime = under(ASKS, &sent).await;
    let handle = runtime.run("clerk", "send").await.unwrap();
    let question = asked(&runtime).await;
    approve(&runtime, &question).await;
    ended(handle).await;
    assert_eq!(sent.lock().unwrap().len(), 1);
    let tenant = runtime.principal().tenant;
    let diff = async |text: &str| {
        let candidate = Cedar::parse("candidate.cedar", text).unwrap();
        let found = runtime.engine().what_if(&tenant, &candidate, None).await.unwrap();
        assert_eq!((found.runs, found.skipped), (1, 0));
        // Two questions to the model, and the one about the mail, once.
        assert_eq!(found.decisions, 3, "{found:?}");
        found.changes.into_iter().map(|change| (change.target, change.recorded, change.candidate)).collect::<Vec<_>>()
    };
    assert_eq!(diff(ASKS).await, []);
    assert_eq!(diff(ALL).await, [("mail/send".to_owned(), Decision::Ask, Decision::Allow)]);
    assert_eq!(diff(NO_MAIL).await, [("mail/send".to_owned(), Decision::Ask, Decision::Deny)]);
    assert_eq!(sent.lock().unwrap().len(), 1, "nothing is performed");
    let later = l9::time::Timestamp::from_millis(i64::MAX);
    let candidate = Cedar::parse("candidate.cedar", ALL).unwrap();
    assert_eq!(runtime.engine().what_if(&tenant, &candidate, Some(later)).await.unwrap().runs, 0);
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(20), wait).await.is_ok(), "not in time: {what}");
}

fn write(folder: &Path, text: &str) {
    std::fs::write(folder.join("a.cedar"), text).unwrap();
}

#[tokio::test]
async fn files_that_change_decide_at_once_and_an_approval_under_others_is_stale() {
    let (sent, folder) = (Sent::default(), tempfile::tempdir().unwrap());
    write(folder.path(), ASKS);
    let runtime = builder(&sent, 1).policy_dir(folder.path()).build().await.unwrap();
    let policy = Arc::clone(runtime.engine().parts().governor.policy());
    let handle = runtime.run("clerk", "send").await.unwrap();
    let run = handle.run();
    let question = asked(&runtime).await;
    let first = policy.digest();

    write(folder.path(), "permit (principal, action resource);");
    until("the fault is told", || policy.fault().is_some()).await;
    assert_eq!(policy.digest(), first, "the last good policies go on deciding");

    write(folder.path(), &ASKS.replace("mail is asked", "all mail is asked"));
    until("the new policies decide", || policy.digest() != first && policy.fault().is_none()).await;
    approve(&runtime, &question).await;
    ended(handle).await;
    let denied = denials(&runtime, run).await;
    assert_eq!(denied[0].0, "approval_stale");
    assert!(denied[0].1.contains("the policy has changed since"), "{denied:?}");
    assert!(sent.lock().unwrap().is_empty());
    let shutdown = tokio::time::timeout(Duration::from_secs(20), runtime.shutdown());
    assert!(shutdown.await.is_ok(), "the watch of the files ends as well");
}

#[tokio::test]
async fn policies_that_cannot_be_used_stop_the_start() {
    let (sent, folder) = (Sent::default(), tempfile::tempdir().unwrap());
    let start = async || builder(&sent, 1).policy_dir(folder.path()).build().await.unwrap_err().to_string();
    assert!(start().await.contains("holds no file that ends with .cedar"));
    write(folder.path(), "permit (principal, action, resource) when { context.colour };");
    assert!(start().await.contains("a.cedar:1:"));
    let missing = builder(&sent, 1).policy_dir(folder.path().join("none")).build().await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
}
