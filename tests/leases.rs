//! What becomes of a run whose owner let go of it badly: it is due again by itself, and
//! what its former owner may still be writing is waited out.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use l9::digest::Digest;
use l9::entropy::SystemEntropy;
use l9::id::CommandId;
use l9::journal::{Head, Journal as _, Leases as _, NewRun, Status};
use l9::kernel::{Advance as _, MENDABLE};
use l9::label::Label;
use l9::queue::Task;
use l9::run::{Command, CommandRequest, Event, RunCreated, Sealer, Subject};
use l9::time::{Clock, SystemClock, Timestamp};
use l9::tool::{ContractHash, EffectClass, Limits};
use l9::{Budget, Engine, ErrorKind, Principal, RunId, Runtime, StartOptions, native};
use l9_memory::in_memory::Store;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

#[path = "support/clock.rs"]
mod clock;
#[path = "support/nodes.rs"]
mod nodes;

use clock::Hand;
use nodes::{LEASE, engine};

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
    let new = NewRun {
        kind,
        name,
        priority: 0,
        idempotency_key: None,
        fork: None,
        record,
        artifacts: Vec::new(),
        about: Vec::new(),
    };
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

/// A system with a write that hangs the first time: it tells when it has begun, and counts.
async fn hangs_once(began: &Arc<Notify>, calls: &Arc<AtomicU32>) -> Runtime {
    let (begins, calls) = (Arc::clone(began), Arc::clone(calls));
    let write = native::tool("ledger/write", "1.0.0", "Writes; hangs the first time.")
        .effect(EffectClass::KeyedWrite)
        .handler(move |_, _: Nothing| {
            let (begins, hangs) = (Arc::clone(&begins), calls.fetch_add(1, Ordering::Relaxed) == 0);
            async move {
                if hangs {
                    begins.notify_one();
                    std::future::pending::<()>().await;
                }
                Ok(Nothing {})
            }
        });
    Runtime::builder().in_memory().tool(write).build().await.unwrap()
}

/// Two nodes over one store, and a write that hangs at its first attempt.
struct Cut {
    hand: Arc<Hand>,
    store: Arc<Store>,
    began: Arc<Notify>,
    calls: Arc<AtomicU32>,
    frozen: Engine,
    next: Engine,
}

impl Cut {
    async fn new() -> Self {
        let (began, calls) = (Arc::<Notify>::default(), Arc::<AtomicU32>::default());
        let runtime = hangs_once(&began, &calls).await;
        let hand = Arc::new(Hand::default());
        let store = Arc::new(Store::new(Arc::<Hand>::clone(&hand)));
        let node = |name| engine(&runtime, &store, &hand, name);
        let (frozen, next) = (node("frozen"), node("next"));
        Self { hand, store, began, calls, frozen, next }
    }
}

/// A run of it whose owner freezes while the write is under way, for longer than its lease.
async fn cut_off(engine: &Engine, hand: &Hand, began: &Notify, options: StartOptions) -> Task {
    let principal = Principal::local();
    let run = engine.start_tool(&principal, &"ledger/write".parse().unwrap(), "{}", options).await.unwrap().run;
    let task = Task { tenant: principal.tenant, run, priority: 0 };
    tokio::select! {
        biased;
        () = began.notified() => {}
        ended = engine.advance(&task) => assert!(ended.is_err(), "it hangs"),
    }
    hand.go_on(2 * LEASE);
    task
}

#[tokio::test]
async fn a_paused_run_that_was_cut_off_can_be_cancelled() {
    let Cut { hand, store, began, calls, frozen, next } = Cut::new().await;
    let task = cut_off(&frozen, &hand, &began, StartOptions::default()).await;
    let send = async |id: &str, command| {
        let request = CommandRequest { id: CommandId::new(id).unwrap(), by: "person:test".into(), command };
        next.command(&task.tenant, task.run, &request).await.unwrap();
    };
    send("pause", Command::Pause { reason: "wait".into() }).await;
    next.advance(&task).await.unwrap();
    assert!(next.show(&task.tenant, task.run).await.unwrap().1.paused.is_some());
    send("cancel", Command::Cancel { reason: "enough".into() }).await;
    next.advance(&task).await.unwrap();
    let row = store.run(&task.tenant, task.run).await.unwrap().unwrap();
    assert_eq!((row.status, calls.load(Ordering::Relaxed)), (Status::Cancelled, 1));
}

#[tokio::test]
async fn a_run_that_was_cut_off_ends_at_its_deadline_paused_or_not_and_attempts_nothing_again() {
    for paused in [false, true] {
        let Cut { hand, began, calls, frozen, next, .. } = Cut::new().await;
        let options = StartOptions { deadline: Some(LEASE * 3 / 2), ..StartOptions::default() };
        let task = cut_off(&frozen, &hand, &began, options).await;
        if paused {
            let command = Command::Pause { reason: "wait".into() };
            let request = CommandRequest { id: CommandId::new("p").unwrap(), by: "person:test".into(), command };
            next.command(&task.tenant, task.run, &request).await.unwrap();
        }
        next.advance(&task).await.unwrap();
        assert_eq!(next.outcome(&task.tenant, task.run).await.unwrap().code.as_deref(), Some("deadline"));
        let mut feed = next.feed(&task.tenant, task.run, 0).await.unwrap();
        let events = feed.page().await.unwrap();
        let intents = events.iter().filter(|(_, event)| matches!(event, Event::EffectIntent(_))).count();
        assert_eq!((intents, calls.load(Ordering::Relaxed)), (1, 1), "paused: {paused}");
    }
}

/// An acquisition that came late is granted to an owner who has stopped asking.
#[tokio::test]
async fn a_lease_that_nobody_asks_for_any_more_is_given_up_and_not_renewed_for_ever() {
    let runtime = Runtime::builder().in_memory().build().await.unwrap();
    let hand = Arc::new(Hand::default());
    let store = Arc::new(Store::new(Arc::<Hand>::clone(&hand)));
    let here = engine(&runtime, &store, &hand, "here");
    let (principal, tool) = (Principal::local(), "calc/evaluate".parse().unwrap());
    let run = here.start_tool(&principal, &tool, r#"{"expression":"1"}"#, StartOptions::default()).await.unwrap().run;
    store.acquire(&principal.tenant, run, "here", LEASE).await.unwrap().unwrap();
    let renewing = tokio::spawn(here.renew_leases());
    while hand.monotonic() < LEASE * 2 / 3 {
        tokio::task::yield_now().await;
    }
    renewing.abort();
    assert!(store.acquire(&principal.tenant, run, "there", LEASE).await.unwrap().is_some());
}

#[tokio::test]
async fn a_write_is_waited_out_though_somebody_took_the_run_over_in_between() {
    let Cut { hand, store, began, frozen, next, .. } = Cut::new().await;
    let task = cut_off(&frozen, &hand, &began, StartOptions::default()).await;

    // Somebody takes it over, and lets go of it before it has written anything.
    let passing = store.acquire(&task.tenant, task.run, "passing", LEASE).await.unwrap().unwrap();
    assert!(passing.expired.is_some());
    store.release(&passing, Some(Duration::ZERO)).await.unwrap();

    let taken_over = hand.monotonic();
    next.advance(&task).await.unwrap();
    let deadline = Limits::default().wall();
    assert!(hand.monotonic() - taken_over >= deadline, "the first attempt might still have left");
    assert_eq!(store.run(&task.tenant, task.run).await.unwrap().unwrap().status, Status::Succeeded);
}

#[tokio::test]
async fn attempts_that_died_with_their_process_do_not_use_up_the_tries() {
    let (began, calls) = (Arc::new(Notify::new()), Arc::new(AtomicU32::new(0)));
    let (begins, called) = (Arc::clone(&began), Arc::clone(&calls));
    let write = native::tool("ledger/write", "1.0.0", "Writes; hangs three times, then is away twice.")
        .effect(EffectClass::KeyedWrite)
        .handler(move |_, _: Nothing| {
            let (begins, call) = (Arc::clone(&begins), called.fetch_add(1, Ordering::Relaxed));
            async move {
                match call {
                    0..3 => {
                        begins.notify_one();
                        std::future::pending().await
                    }
                    3..5 => Err(native::Fault::unavailable("away")),
                    _ => Ok(Nothing {}),
                }
            }
        });
    let runtime = Runtime::builder().in_memory().tool(write).build().await.unwrap();
    let hand = Arc::new(Hand::default());
    let store = Arc::new(Store::new(Arc::<Hand>::clone(&hand)));
    let (principal, tool) = (Principal::local(), "ledger/write".parse().unwrap());
    let node = |name| engine(&runtime, &store, &hand, name);
    let run = node("first").start_tool(&principal, &tool, "{}", StartOptions::default()).await.unwrap().run;
    let task = Task { tenant: principal.tenant.clone(), run, priority: 0 };
    for name in ["first", "second", "third"] {
        let dying = node(name);
        tokio::select! {
            biased;
            () = began.notified() => {}
            ended = dying.advance(&task) => assert!(ended.is_err(), "it hangs"),
        }
        hand.go_on(2 * LEASE);
    }
    let last = node("last");
    while !store.run(&principal.tenant, run).await.unwrap().unwrap().status.is_closed() {
        last.advance(&task).await.unwrap();
        hand.go_on(Duration::from_secs(1));
    }
    assert_eq!(store.run(&principal.tenant, run).await.unwrap().unwrap().status, Status::Succeeded);
    assert_eq!(calls.load(Ordering::Relaxed), 6, "three died, two ended without effect, one wrote");
}

/// The clock of a store that is slow now and then: a look at it takes real time.
#[derive(Debug)]
struct Slow {
    hand: Arc<Hand>,
    looks: AtomicU32,
}

#[async_trait]
impl Clock for Slow {
    fn now(&self) -> Timestamp {
        self.hand.now()
    }

    #[expect(clippy::disallowed_methods, reason = "permits lapse by the system's clock here")]
    fn monotonic(&self) -> Duration {
        if self.looks.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            std::thread::sleep(Duration::from_millis(150));
        }
        self.hand.monotonic()
    }

    async fn sleep(&self, duration: Duration) {
        self.hand.sleep(duration).await;
    }
}

#[tokio::test]
async fn an_effect_whose_time_passed_before_it_began_is_tried_again() {
    let hand = Arc::new(Hand::default());
    let slow = Arc::new(Slow { hand: Arc::clone(&hand), looks: AtomicU32::new(0) });
    let (slows, calls) = (Arc::clone(&slow), Arc::new(AtomicU32::new(0)));
    let called = Arc::clone(&calls);
    let write = native::tool("ledger/write", "1.0.0", "Is away once, and then the store is slow.")
        .effect(EffectClass::KeyedWrite)
        .limits(Limits { wall_ms: 100, ..Limits::default() })
        .handler(move |context, _: Nothing| {
            let (slow, call) = (Arc::clone(&slows), called.fetch_add(1, Ordering::Relaxed));
            async move {
                context.check()?;
                if call == 0 {
                    // The next two appends: that of this end, and that of the next intent.
                    slow.looks.store(2, Ordering::Relaxed);
                    return Err(native::Fault::unavailable("away"));
                }
                Ok(Nothing {})
            }
        });
    let runtime =
        Runtime::builder().in_memory().tool(write).retries(3, Duration::from_millis(1)).build().await.unwrap();
    let store = Arc::new(Store::new(Arc::<Slow>::clone(&slow)));
    let node = engine(&runtime, &store, &hand, "node");
    let (principal, tool) = (Principal::local(), "ledger/write".parse().unwrap());
    let run = node.start_tool(&principal, &tool, "{}", StartOptions::default()).await.unwrap().run;
    let task = Task { tenant: principal.tenant.clone(), run, priority: 0 };
    let retries = || async {
        let records = store.read(&principal.tenant, run, 0, 100).await.unwrap();
        records.iter().filter(|record| record.kind == "effect.retry").count()
    };
    while !store.run(&principal.tenant, run).await.unwrap().unwrap().status.is_closed() {
        node.advance(&task).await.unwrap();
        hand.go_on(Duration::from_secs(1));
    }
    assert_eq!(store.run(&principal.tenant, run).await.unwrap().unwrap().status, Status::Succeeded);
    assert_eq!((retries().await, calls.load(Ordering::Relaxed)), (2, 2), "one attempt never began");
}
