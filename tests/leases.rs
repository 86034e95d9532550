//! What becomes of a run whose owner let go of it badly: it is due again by itself, and
//! what its former owner may still be writing is waited out.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use l9::digest::Digest;
use l9::entropy::SystemEntropy;
use l9::journal::{Head, Journal as _, Leases as _, NewRun, Status};
use l9::kernel::{Advance as _, MENDABLE};
use l9::label::Label;
use l9::queue::Task;
use l9::run::{Event, RunCreated, Sealer, Subject};
use l9::time::{Clock, SystemClock, Timestamp};
use l9::tool::{ContractHash, EffectClass};
use l9::{Budget, Engine, ErrorKind, Principal, RunId, Runtime, StartOptions, kernel, native};
use l9_memory::in_memory::Store;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

const LEASE: Duration = Duration::from_secs(15);

/// A clock that goes on when it is told to, and when somebody sleeps.
#[derive(Debug, Default)]
struct Hand(Mutex<Duration>);

impl Hand {
    fn go_on(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }
}

#[async_trait]
impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::EPOCH
    }

    fn monotonic(&self) -> Duration {
        *self.0.lock().unwrap()
    }

    async fn sleep(&self, duration: Duration) {
        // Whatever is ready goes first.
        tokio::task::yield_now().await;
        self.go_on(duration);
    }
}

/// An engine by that name over the store.
fn engine(runtime: &Runtime, store: &Arc<Store>, hand: &Arc<Hand>, owner: &str) -> Engine {
    let mut parts = runtime.engine().parts().clone();
    parts.store = Arc::<Store>::clone(store);
    parts.clock = Arc::<Hand>::clone(hand);
    Engine::new(parts, kernel::Settings { node: owner.into(), owner: owner.into(), lease: LEASE })
}

#[tokio::test]
async fn a_run_that_needs_a_newer_version_is_due_after_the_upgrade() {
    let runtime = Runtime::builder().in_memory().build().await.unwrap();
    let hand = Arc::new(Hand::default());
    let store = Arc::new(Store::new(Arc::<Hand>::clone(&hand)));
    let principal = Principal::local();
    let run = RunId::generate(SystemClock::default().now(), &SystemEntropy, "");
    let created = Event::RunCreated(Box::new(RunCreated {
        subject: Subject::Tool {
            tool: "text/echo".parse().unwrap(),
            contract: ContractHash(Digest::ZERO),
            arguments: "{}".into(),
        },
        principal: principal.clone(),
        session: None,
        budget: Budget::default(),
        label: Label::trusted(),
        request: Digest::ZERO,
        decider: 1_000,
        deadline: None,
        parent: None,
        seed: None,
    }));
    let sealer = Sealer { vault: &**runtime.vault(), entropy: &SystemEntropy };
    let record = sealer.record(&principal.tenant, run, 0, &Head::START, Timestamp::EPOCH, &created).unwrap();
    let (kind, name) = ("tool".into(), "text/echo".into());
    let new = NewRun { kind, name, priority: 0, idempotency_key: None, fork: None, record, artifacts: Vec::new() };
    store.create(new).await.unwrap();

    let task = Task { tenant: principal.tenant, run, priority: 0 };
    let refused = engine(&runtime, &store, &hand, "old").advance(&task).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Newer);
    assert!(store.due(10, Duration::ZERO).await.unwrap().is_empty(), "not at once");
    hand.go_on(MENDABLE);
    assert_eq!(store.due(10, Duration::ZERO).await.unwrap(), [task]);
}

/// What the tool takes and gives.
#[derive(Deserialize, Serialize, JsonSchema)]
struct Nothing {}

#[tokio::test]
async fn a_write_is_waited_out_though_somebody_took_the_run_over_in_between() {
    let (began, first) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(true)));
    let (begins, is_first) = (Arc::clone(&began), Arc::clone(&first));
    let write = native::tool("ledger/write", "1.0.0", "Writes; hangs the first time.")
        .effect(EffectClass::KeyedWrite)
        .handler(move |_, _: Nothing| {
            let (begins, hangs) = (Arc::clone(&begins), is_first.swap(false, Ordering::Relaxed));
            async move {
                if hangs {
                    begins.notify_one();
                    std::future::pending::<()>().await;
                }
                Ok(Nothing {})
            }
        });
    let runtime = Runtime::builder().in_memory().tool(write).build().await.unwrap();
    let hand = Arc::new(Hand::default());
    let store = Arc::new(Store::new(Arc::<Hand>::clone(&hand)));
    let (frozen, next) = (engine(&runtime, &store, &hand, "frozen"), engine(&runtime, &store, &hand, "next"));
    let principal = Principal::local();
    let tool = "ledger/write".parse().unwrap();
    let run = frozen.start_tool(&principal, &tool, "{}", StartOptions::default()).await.unwrap().run;
    let task = Task { tenant: principal.tenant.clone(), run, priority: 0 };
    tokio::select! {
        biased;
        () = began.notified() => {}
        ended = frozen.advance(&task) => assert!(ended.is_err(), "it hangs"),
    }
    hand.go_on(2 * LEASE);

    // Somebody takes it over, and lets go of it before it has written anything.
    let passing = store.acquire(&principal.tenant, run, "passing", LEASE).await.unwrap().unwrap();
    assert!(passing.expired.is_some());
    store.release(&passing, Some(Duration::ZERO)).await.unwrap();

    let taken_over = hand.monotonic();
    next.advance(&task).await.unwrap();
    let deadline = l9::tool::Limits::default().wall();
    assert!(hand.monotonic() - taken_over >= deadline, "the first attempt might still have left");
    assert_eq!(store.run(&principal.tenant, run).await.unwrap().unwrap().status, Status::Succeeded);
}
