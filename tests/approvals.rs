//! Questions to people: asked before an effect, decided once, and a decision holds for
//! exactly what was asked. Through the library's front door.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may fail, and waits for real")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use l9::digest::{Digest, sha256};
use l9::governor::{Baseline, Choice, Decision, Policy, PolicyAction, PolicyRequest, Verdict};
use l9::id::{ApprovalId, CallId, CommandId};
use l9::journal::Status;
use l9::kernel::{Changes, OpenQuestion};
use l9::model::scripted::{Scripted, Turn};
use l9::native::{Fault, NativeTool};
use l9::run::{Answer, CallState, Command, CommandRequest, Event, Remember};
use l9::tool::{Approval, ArgRole, ArgRule, EffectClass};
use l9::{AgentProfile, Builder, ErrorKind, Principal, RunHandle, RunId, Runtime, Settings, native};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Payment {
    to: String,
    #[schemars(range(min = 1, max = 100))]
    amount: u32,
}

#[derive(Serialize, JsonSchema)]
struct Paid {
    to: String,
    amount: u32,
}

/// What was really paid.
type Payments = Arc<Mutex<Vec<(String, u32)>>>;

/// A tool whose manifest asks a person every time, and that fails at first if told to.
fn pay(payments: &Payments, faults: u64) -> NativeTool {
    let (payments, left) = (Arc::clone(payments), Arc::new(AtomicU64::new(faults)));
    let role = |role| ArgRule { role, constraint: None, required_integrity: None };
    native::tool("bank/pay", "1.0.0", "Pays somebody.")
        .effect(EffectClass::KeyedWrite)
        .approval(Approval::Always)
        .arg("/to", role(ArgRole::Recipient))
        .arg("/amount", role(ArgRole::Amount))
        .handler(move |_, payment: Payment| {
            let failing = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
            if !failing {
                payments.lock().unwrap().push((payment.to.clone(), payment.amount));
            }
            async move {
                if failing {
                    Err(Fault::unavailable("not now"))
                } else {
                    Ok(Paid { to: payment.to, amount: payment.amount })
                }
            }
        })
}

const ADA: (&str, &str) = ("bank/pay", r#"{"to":"ada","amount":5}"#);
const BOB: (&str, &str) = ("bank/pay", r#"{"to":"bob","amount":7}"#);

fn builder(turns: Vec<Turn>) -> Builder {
    let profile = AgentProfile::new("clerk").unwrap().with_model("script").unwrap();
    let profile = ["bank/pay", "calc/evaluate"].iter().fold(profile, |profile, tool| profile.with_tool(tool).unwrap());
    Runtime::builder().model("script", Arc::new(Scripted::new(turns))).agent(profile)
}

fn turns(calls: &[&[(&str, &str)]]) -> Vec<Turn> {
    let mut turns: Vec<Turn> = calls.iter().map(|calls| Turn::call(calls.to_vec())).collect();
    turns.push(Turn::say("done"));
    turns
}

async fn system(calls: &[&[(&str, &str)]], payments: &Payments) -> Runtime {
    builder(turns(calls)).in_memory().tool(pay(payments, 0)).build().await.unwrap()
}

/// Waits until so many questions are open.
async fn asked(runtime: &Runtime, count: usize) -> Vec<OpenQuestion> {
    let tenant = runtime.principal().tenant;
    let look = async {
        loop {
            let open = runtime.engine().approvals(&tenant).await.unwrap();
            if open.len() == count {
                return open;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), look).await.unwrap()
}

async fn decide(runtime: &Runtime, id: ApprovalId, choice: Choice) -> l9::Result<()> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let command = CommandId::new(format!("c{}", NEXT.fetch_add(1, Ordering::SeqCst))).unwrap();
    runtime.engine().decide(&runtime.principal(), id, choice, "for the test".into(), command).await
}

fn approve() -> Choice {
    Choice::Approve { arguments: None, remember: Remember::Once }
}

async fn ended(handle: RunHandle) -> l9::Ended {
    tokio::time::timeout(Duration::from_secs(20), handle.outcome()).await.unwrap().unwrap()
}

async fn events(runtime: &Runtime, run: RunId) -> Vec<Event> {
    let mut feed = runtime.engine().feed(&runtime.principal().tenant, run, 0).await.unwrap();
    feed.page().await.unwrap().into_iter().map(|(_, event)| event).collect()
}

fn tool(index: u32) -> CallId {
    CallId::Tool { turn: 1, index }
}

async fn replays(runtime: &Runtime, run: RunId) {
    let replayed = runtime.engine().replay(&runtime.principal().tenant, run, &BTreeMap::new()).await.unwrap();
    assert_eq!(replayed.divergence, None);
    assert_eq!(runtime.verify().await.unwrap().faults, []);
}

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
    // Deciding again changes nothing: the question is gone.
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
    for wrong in [json!({"to": "ada"}), json!({"to": "ada", "amount": 5000}), json!({"to": "a", "amount": 1, "x": 2})] {
        decide(&runtime, id, edit(wrong)).await.unwrap();
    }
    let rejected = async {
        loop {
            let events = events(&runtime, run).await;
            let rejected = events.iter().filter(|event| matches!(event, Event::CommandRejected(_))).count();
            if rejected == 3 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), rejected).await.unwrap();
    assert_eq!(*payments.lock().unwrap(), [], "the question is still open");
    decide(&runtime, id, edit(json!({"to": "eve", "amount": 3}))).await.unwrap();
    assert_eq!(ended(handle).await.text(), "done");
    assert_eq!(*payments.lock().unwrap(), [("eve".to_owned(), 3)]);
    replays(&runtime, run).await;
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
async fn an_approval_may_hold_for_more() {
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
    // Whoever goes round that is refused by the run's owner, and it is recorded.
    let tenant = runtime.principal().tenant;
    let post = async |id: &str, by: Principal| {
        let command = Command::Decide { ask: 1, choice: approve(), by, reason: "quickly".into() };
        let request = CommandRequest { id: CommandId::new(id).unwrap(), by: "person:local".into(), command };
        runtime.engine().command(&tenant, run, &request).await.unwrap();
    };
    post("own", runtime.principal()).await;
    let stranger = Principal { tenant: "elsewhere".parse().unwrap(), ..runtime.principal() };
    post("stranger", stranger.clone()).await;
    let refused = async {
        loop {
            let events = events(&runtime, run).await;
            let why: Vec<String> = events
                .into_iter()
                .filter_map(|event| match event {
                    Event::CommandRejected(rejected) => Some(rejected.reason),
                    _ => None,
                })
                .collect();
            if why.len() == 2 {
                return why;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let why = tokio::time::timeout(Duration::from_secs(10), refused).await.unwrap();
    assert!(why[0].contains("four eyes") && why[1].contains("another tenant"), "{why:?}");
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
