//! A clerk that pays, under a tool that asks a person every time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use l9::governor::Choice;
use l9::id::{ApprovalId, CallId, CommandId};
use l9::kernel::OpenQuestion;
use l9::model::scripted::{Scripted, Turn};
use l9::native::{Fault, NativeTool};
use l9::run::{Command, CommandRequest, Event, Remember};
use l9::tool::{Approval, ArgRole, EffectClass};
use l9::{AgentProfile, Builder, Principal, RunHandle, RunId, Runtime, native};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
pub(crate) type Payments = Arc<Mutex<Vec<(String, u32)>>>;

/// A tool whose manifest asks a person every time, and that fails at first if told to.
pub(crate) fn pay(payments: &Payments, faults: u64) -> NativeTool {
    let (payments, left) = (Arc::clone(payments), Arc::new(AtomicU64::new(faults)));
    native::tool("bank/pay", "1.0.0", "Pays somebody.")
        .effect(EffectClass::KeyedWrite)
        .approval(Approval::Always)
        .arg("/to", ArgRole::Recipient.into())
        .arg("/amount", ArgRole::Amount.into())
        .subject("/to")
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

pub(crate) const ADA: (&str, &str) = ("bank/pay", r#"{"to":"ada","amount":5}"#);
pub(crate) const BOB: (&str, &str) = ("bank/pay", r#"{"to":"bob","amount":7}"#);

pub(crate) fn builder(turns: Vec<Turn>) -> Builder {
    let profile = AgentProfile::new("clerk").unwrap().with_model("script").unwrap();
    let profile = ["bank/pay", "calc/evaluate"].iter().fold(profile, |profile, tool| profile.with_tool(tool).unwrap());
    Runtime::builder().model("script", Arc::new(Scripted::new(turns))).agent(profile)
}

pub(crate) fn turns(calls: &[&[(&str, &str)]]) -> Vec<Turn> {
    let mut turns: Vec<Turn> = calls.iter().map(|calls| Turn::call(calls.to_vec())).collect();
    turns.push(Turn::say("done"));
    turns
}

pub(crate) async fn system(calls: &[&[(&str, &str)]], payments: &Payments) -> Runtime {
    builder(turns(calls)).in_memory().tool(pay(payments, 0)).build().await.unwrap()
}

/// Waits until so many questions are open.
pub(crate) async fn asked(runtime: &Runtime, count: usize) -> Vec<OpenQuestion> {
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

pub(crate) async fn decide(runtime: &Runtime, id: ApprovalId, choice: Choice) -> l9::Result<()> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let command = CommandId::new(format!("c{}", NEXT.fetch_add(1, Ordering::SeqCst))).unwrap();
    runtime.engine().decide(&runtime.principal(), id, choice, "for the test".into(), command).await
}

pub(crate) fn approve() -> Choice {
    Choice::Approve { arguments: None, remember: Remember::Once }
}

pub(crate) async fn ended(handle: RunHandle) -> l9::Ended {
    tokio::time::timeout(Duration::from_secs(20), handle.outcome()).await.unwrap().unwrap()
}

pub(crate) async fn events(runtime: &Runtime, run: RunId) -> Vec<Event> {
    let mut feed = runtime.engine().feed(&runtime.principal().tenant, run, 0).await.unwrap();
    feed.page().await.unwrap().into_iter().map(|(_, event)| event).collect()
}

pub(crate) fn tool(index: u32) -> CallId {
    CallId::Tool { turn: 1, index }
}

pub(crate) async fn replays(runtime: &Runtime, run: RunId) {
    let replayed = runtime.engine().replay(&runtime.principal().tenant, run, &BTreeMap::new()).await.unwrap();
    assert_eq!(replayed.divergence, None);
    assert_eq!(runtime.verify().await.unwrap().faults, []);
}

/// Puts a decision into the inbox of a run past the door, as though that had not looked.
pub(crate) async fn smuggle(runtime: &Runtime, id: ApprovalId, command: &str, choice: Choice, by: Principal) {
    let decide = Command::Decide { ask: id.ask, choice, by, reason: "quickly".into() };
    let request = CommandRequest { id: CommandId::new(command).unwrap(), by: "person:local".into(), command: decide };
    runtime.engine().command(&runtime.principal().tenant, id.run, &request).await.unwrap();
}

/// Waits for so many refused commands: who asked, and why they were refused.
pub(crate) async fn refused(runtime: &Runtime, run: RunId, count: usize) -> Vec<(String, String)> {
    let look = async {
        loop {
            let rejected = events(runtime, run).await.into_iter().filter_map(|event| match event {
                Event::CommandRejected(rejected) => Some((rejected.by.unwrap(), rejected.reason)),
                _ => None,
            });
            let rejected: Vec<_> = rejected.collect();
            if rejected.len() == count {
                return rejected;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), look).await.unwrap()
}
