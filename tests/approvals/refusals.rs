//! Decisions that do not count, and approvals that do not hold: all refused, and recorded.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use l9::digest::{Digest, sha256};
use l9::governor::{Baseline, Choice, Decision, OnUnknown, Policy, PolicyAction, PolicyRequest, Verdict};
use l9::id::CommandId;
use l9::model::scripted::Scripted;
use l9::run::{Command, CommandRequest, Event, Remember};
use l9::{AgentProfile, ErrorKind, Principal, RunId, Runtime, Settings};
use serde_json::json;

use crate::system::{
    ADA, Payments, approve, asked, builder, decide, ended, events, pay, refused, replays, smuggle, turns,
};

/// The baseline, but of a version that a test changes, and with four eyes if it says so.
#[derive(Debug, Default)]
struct Changing {
    version: AtomicU64,
    four_eyes: bool,
}

impl Policy for Changing {
    fn decide(&self, request: &PolicyRequest<'_>) -> Verdict {
        match request.action {
            PolicyAction::Approve { requester, .. } if self.four_eyes && requester == request.principal => {
                Verdict { decision: Decision::Deny, reasons: vec!["four eyes: nobody decides for themselves".into()] }
            }
            _ => Baseline.decide(request),
        }
    }

    fn digest(&self) -> Digest {
        sha256(&[&self.version.load(Ordering::SeqCst).to_be_bytes()])
    }
}

async fn denied_with(runtime: &Runtime, run: RunId, code: &str, words: &str) {
    let denied = events(runtime, run).await.into_iter().find_map(|event| match event {
        Event::EffectDenied(denied) => Some((denied.code, denied.reasons.join("; "))),
        _ => None,
    });
    let (found, reasons) = denied.unwrap();
    assert_eq!(found, code);
    assert!(reasons.contains(words), "{reasons}");
}

#[tokio::test]
async fn an_approval_under_another_policy_does_not_hold() {
    let (payments, policy) = (Payments::default(), Arc::new(Changing::default()));
    let runtime = builder(turns(&[&[ADA]]))
        .in_memory()
        .tool(pay(&payments, 0))
        .policy(Arc::<Changing>::clone(&policy))
        .build()
        .await
        .unwrap();
    let handle = runtime.run("clerk", "pay ada").await.unwrap();
    let id = asked(&runtime, 1).await[0].id;
    policy.version.store(1, Ordering::SeqCst);
    decide(&runtime, id, approve()).await.unwrap();
    let run = handle.run();
    assert_eq!(ended(handle).await.text(), "done");
    assert_eq!(*payments.lock().unwrap(), []);
    denied_with(&runtime, run, "approval_stale", "the policy has changed").await;
}

#[tokio::test]
async fn an_approval_that_is_not_used_in_time_does_not_hold() {
    let payments = Payments::default();
    let settings = Settings { approval_validity_ms: 50, storage: l9::Storage::InMemory, ..Settings::default() };
    let runtime = builder(turns(&[&[ADA]])).settings(settings).tool(pay(&payments, 0)).build().await.unwrap();
    let handle = runtime.run("clerk", "pay ada").await.unwrap();
    let (run, id) = (handle.run(), asked(&runtime, 1).await[0].id);
    let send = async |id: &str, command| {
        let request = CommandRequest { id: CommandId::new(id).unwrap(), by: "person:test".into(), command };
        runtime.engine().command(&runtime.principal().tenant, run, &request).await.unwrap();
    };
    send("hold", Command::Pause { reason: "wait".into() }).await;
    decide(&runtime, id, approve()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    send("go", Command::Resume { reason: "go on".into() }).await;
    assert_eq!(ended(handle).await.text(), "done");
    assert_eq!(*payments.lock().unwrap(), []);
    denied_with(&runtime, run, "approval_stale", "not used in time").await;
}

#[tokio::test]
async fn nobody_decides_who_may_not() {
    let payments = Payments::default();
    let runtime = builder(turns(&[&[ADA]]))
        .in_memory()
        .tool(pay(&payments, 0))
        .policy(Arc::new(Changing { four_eyes: true, ..Changing::default() }))
        .build()
        .await
        .unwrap();
    let handle = runtime.run("clerk", "pay ada").await.unwrap();
    let (run, id) = (handle.run(), asked(&runtime, 1).await[0].id);
    let error = decide(&runtime, id, approve()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.to_string().contains("four eyes"), "{error}");
    // Whoever goes round that is refused by the run's owner. Either is recorded.
    smuggle(&runtime, id, "own", approve(), runtime.principal()).await;
    let stranger = Principal { tenant: "elsewhere".parse().unwrap(), ..runtime.principal() };
    smuggle(&runtime, id, "stranger", approve(), stranger.clone()).await;
    let why = refused(&runtime, run, 3).await;
    assert!(why[0].1.contains("four eyes") && why[1].1.contains("four eyes"), "{why:?}");
    assert!(why[2].1.contains("another tenant"), "{why:?}");
    // Of another tenant's question nobody learns anything.
    let command = CommandId::new("c-x").unwrap();
    let error = runtime.engine().decide(&stranger, id, approve(), "mine".into(), command).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(runtime.engine().approvals(&stranger.tenant).await.unwrap(), []);
    // Somebody else of the same tenant may.
    let other = Principal { subject: "person:grace".into(), ..runtime.principal() };
    let command = CommandId::new("c-y").unwrap();
    runtime.engine().decide(&other, id, approve(), "looked at it".into(), command).await.unwrap();
    assert_eq!(ended(handle).await.text(), "done");
    assert_eq!(payments.lock().unwrap().len(), 1);
    replays(&runtime, run).await;
}

#[tokio::test]
async fn a_decision_after_its_time_does_not_count_though_nobody_noticed_the_time() {
    let (folder, payments) = (tempfile::tempdir().unwrap(), Payments::default());
    let open = || {
        let builder = builder(turns(&[&[ADA]])).data_dir(folder.path()).tool(pay(&payments, 0));
        builder.approval_timeout(Duration::from_millis(300)).build()
    };
    let first = open().await.unwrap();
    let run = first.run("clerk", "pay ada").await.unwrap().run();
    let question = asked(&first, 1).await.remove(0);
    first.shutdown().await;
    let second = open().await.unwrap();
    while second.clock().now() < question.expires_at {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // No process works: the question stands open in the journal, and commands wait.
    let error = decide(&second, question.id, approve()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("was open until"), "{error}");
    smuggle(&second, question.id, "late", approve(), second.principal()).await;
    second.start().await;
    let handle = second.engine().handle(&second.principal(), run).await.unwrap();
    assert_eq!(ended(handle).await.text(), "done");
    assert_eq!(*payments.lock().unwrap(), []);
    denied_with(&second, run, "approval_expired", "nobody decided").await;
    assert_eq!(refused(&second, run, 2).await.len(), 2);
    replays(&second, run).await;
    second.shutdown().await;
}

#[tokio::test]
async fn a_decision_again_changes_nothing_and_another_under_its_id_is_refused() {
    let payments = Payments::default();
    let wait = ("run/wait", r#"{"signal":"go"}"#);
    let mut profile = AgentProfile::new("clerk").unwrap().with_model("script").unwrap();
    profile.tools = ["bank/pay", "run/wait"].map(|tool| tool.parse().unwrap()).to_vec();
    let script = Arc::new(Scripted::new(turns(&[&[ADA], &[wait]])));
    let builder = Runtime::builder().in_memory().model("script", script).agent(profile);
    let runtime = builder.tool(pay(&payments, 0)).build().await.unwrap();
    let handle = runtime.run("clerk", "pay ada").await.unwrap();
    let (run, id) = (handle.run(), asked(&runtime, 1).await[0].id);
    let edit = |to: &str| Choice::Approve { arguments: Some(json!({"to": to, "amount": 3})), remember: Remember::Once };
    let (by, key) = (runtime.principal(), CommandId::new("k").unwrap());
    let decide = async |choice, key: &CommandId| {
        runtime.engine().decide(&by, id, choice, "for the test".into(), key.clone()).await.map_err(|error| error.kind())
    };
    decide(edit("grace"), &key).await.unwrap();
    // Before the run takes it, and after.
    decide(edit("grace"), &key).await.unwrap();
    assert_eq!(decide(edit("eve"), &key).await, Err(ErrorKind::Conflict));
    asked(&runtime, 0).await;
    decide(edit("grace"), &key).await.unwrap();
    for (choice, key) in [(edit("eve"), "k"), (approve(), "k"), (Choice::Reject, "k"), (edit("mallory"), "another")] {
        let key = CommandId::new(key).unwrap();
        assert_eq!(decide(choice, &key).await, Err(ErrorKind::Conflict));
    }
    // What was refused before is refused again, and stands once.
    assert_eq!(refused(&runtime, run, 4).await.len(), 4);
    assert_eq!(*payments.lock().unwrap(), [("grace".to_owned(), 3)]);
    let go = Command::Signal { name: "go".into(), value: json!(null) };
    let request = CommandRequest { id: CommandId::new("go").unwrap(), by: "person:test".into(), command: go };
    runtime.engine().command(&by.tenant, run, &request).await.unwrap();
    assert_eq!(ended(handle).await.text(), "done");
    // Of what was carried out, the same again is known after the end too.
    decide(edit("grace"), &key).await.unwrap();
    assert_eq!(decide(edit("eve"), &key).await, Err(ErrorKind::Conflict));
    replays(&runtime, run).await;
}

/// Asks nobody about the first so many effects of a tool, and about all that come then.
#[derive(Debug)]
struct Later(AtomicU64);

impl Policy for Later {
    fn decide(&self, request: &PolicyRequest<'_>) -> Verdict {
        match request.action {
            PolicyAction::InvokeTool { .. } if self.0.fetch_sub(1, Ordering::SeqCst) == 0 => {
                Verdict { decision: Decision::Ask, reasons: vec!["it asks now".into()] }
            }
            _ => Verdict { decision: Decision::Allow, reasons: vec![] },
        }
    }

    fn digest(&self) -> Digest {
        sha256(&[b"later"])
    }
}

#[tokio::test]
async fn nobody_is_asked_whether_to_begin_what_may_have_happened() {
    let payments = Payments::default();
    let runtime = builder(turns(&[&[ADA]]))
        .in_memory()
        .tool(pay(&payments, 1))
        .policy(Arc::new(Later(AtomicU64::new(1))))
        .retries(3, Duration::from_millis(10))
        .on_unknown(OnUnknown::Tell)
        .build()
        .await
        .unwrap();
    let handle = runtime.run("clerk", "pay ada").await.unwrap();
    let run = handle.run();
    assert_eq!(ended(handle).await.text(), "done");
    let unknown = events(&runtime, run).await.into_iter().find_map(|event| match event {
        Event::EffectUnknown(unknown) => Some(unknown.reason),
        _ => None,
    });
    assert!(unknown.as_ref().is_some_and(|reason| reason.contains("policy asks now; it asks now")), "{unknown:?}");
}
