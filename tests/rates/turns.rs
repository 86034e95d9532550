//! Calls at once: whoever finds no room waits before anything of it is journaled, and room is
//! given back however a call ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use l9::governor::{Decision, OnUnknown, Policy, PolicyRequest, Verdict};
use l9::journal::Status;
use l9::kernel::Advance as _;
use l9::model::scripted::Turn;
use l9::native::{self, NativeTool};
use l9::queue::Task;
use l9::run::{Command, Event};
use l9::stop::Scope;
use l9::tool::{EffectClass, Limits, Rate};
use l9::{Principal, RunHandle, Runtime, StartOptions};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::support::{Calls, Line, call, echo, ended, events, kinds, replays, send, start, start_many, system, until};

fn at_once(most: u32) -> Rate {
    Rate { concurrency: Some(most), ..Rate::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_runs_never_have_more_calls_at_once_than_the_tool_takes_and_all_get_theirs() {
    const MOST: u32 = 3;
    let calls = Arc::<Calls>::default();
    let turns = vec![Turn::call(vec![("web/echo", "{}"); 8]), Turn::say("done")];
    let runtime = system(turns, &["web/echo"]).tool(echo("web/echo", at_once(MOST), &calls)).build().await.unwrap();
    let me = runtime.principal();
    for handle in start_many(&runtime, &me, 12).await {
        let run = handle.run();
        assert_eq!(ended(handle).await.text(), "done");
        let (mut open, mut most) = (0, 0);
        for event in events(&runtime, &me, run).await {
            match event {
                Event::EffectIntent(_) => open += 1,
                Event::EffectResult(_) => open -= 1,
                Event::EffectDenied(denied) => panic!("{denied:?}"),
                _ => {}
            }
            most = most.max(open);
        }
        // A slot is free once its effect has ended, and the result is journaled after that.
        assert!(most <= 2 * MOST, "{most} intents were open: none may stand before its turn has come");
        replays(&runtime, &me, run).await;
    }
    assert_eq!((calls.all(), calls.most()), (12 * 8, MOST));
    assert_eq!(runtime.verify().await.unwrap().faults, []);
}

/// A tool whose calls hold a slot until the gate lets one go.
fn held(id: &str, most: u32, gate: &Arc<Semaphore>, calls: &Arc<Calls>) -> NativeTool {
    let (gate, calls) = (Arc::clone(gate), Arc::clone(calls));
    let limits = Limits { wall_ms: 600_000, ..Limits::default() };
    let tool = native::tool(id, "1.0.0", "Waits to be let go.").effect(EffectClass::KeyedWrite);
    tool.rate(at_once(most)).limits(limits).handler(move |_, line: Line| {
        let (gate, calls) = (Arc::clone(&gate), Arc::clone(&calls));
        async move {
            let _begun = calls.begin();
            gate.acquire().await.map_err(|_| native::Fault::failed("the gate is closed"))?.forget();
            Ok(line)
        }
    })
}

/// A run that holds the only slot, and another that waits for it.
struct Waiting {
    runtime: Runtime,
    me: Principal,
    gate: Arc<Semaphore>,
    calls: Arc<Calls>,
    first: RunHandle,
    second: RunHandle,
}

impl Waiting {
    async fn new(options: StartOptions) -> Self {
        let (gate, calls) = (Arc::new(Semaphore::new(0)), Arc::<Calls>::default());
        let runtime = Runtime::builder().in_memory().tool(held("web/held", 1, &gate, &calls)).build().await.unwrap();
        let me = runtime.principal();
        let first = call(&runtime, &me, "web/held", StartOptions::default()).await;
        until("the first holds the slot", async || calls.all() == 1).await;
        let second = call(&runtime, &me, "web/held", options).await;
        let this = Self { runtime, me, gate, calls, first, second };
        this.waits().await;
        this
    }

    /// Waits until the second run has been taken up, and a while longer.
    async fn waits(&self) {
        until("the second is taken up", async || {
            kinds(&self.runtime, &self.me, self.second.run()).await.contains(&"lease.taken")
        })
        .await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(kinds(&self.runtime, &self.me, self.second.run()).await, ["run.created", "lease.taken"]);
        assert_eq!(self.calls.all(), 1, "it did not begin");
    }

    /// Lets the first go, and checks that the slot can be had again.
    async fn let_go(self) {
        self.gate.add_permits(2);
        assert_eq!(ended(self.first).await.status, Status::Succeeded);
        let third = call(&self.runtime, &self.me, "web/held", StartOptions::default()).await;
        assert_eq!(ended(third).await.status, Status::Succeeded);
        assert_eq!(self.calls.most(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_leaves_no_trace_and_begins_when_the_other_has_ended() {
    let waiting = Waiting::new(StartOptions::default()).await;
    waiting.gate.add_permits(1);
    until("the second begins", async || waiting.calls.all() == 2).await;
    waiting.gate.add_permits(1);
    assert_eq!(ended(waiting.second).await.status, Status::Succeeded);
    assert_eq!(waiting.calls.most(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_ends_the_wait() {
    let waiting = Waiting::new(StartOptions::default()).await;
    let run = waiting.second.run();
    send(&waiting.runtime, &waiting.me, run, "cancel", Command::Cancel { reason: "enough".into() }).await;
    until("it ends while the slot is held", async || {
        let row = waiting.runtime.store().run(&waiting.me.tenant, run).await.unwrap().unwrap();
        row.status == Status::Cancelled
    })
    .await;
    assert!(!kinds(&waiting.runtime, &waiting.me, run).await.contains(&"effect.intent"));
    waiting.let_go().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_ends_the_wait() {
    // Long enough to be taken up, on a machine that has much to do.
    let options = StartOptions { deadline: Some(Duration::from_secs(8)), ..StartOptions::default() };
    let waiting = Waiting::new(options).await;
    let run = waiting.second.run();
    until("its time has passed", async || {
        waiting.runtime.store().run(&waiting.me.tenant, run).await.unwrap().unwrap().status == Status::Failed
    })
    .await;
    let ended = waiting.runtime.engine().outcome(&waiting.me.tenant, run).await.unwrap();
    assert_eq!(ended.code.as_deref(), Some("deadline"));
    assert!(!kinds(&waiting.runtime, &waiting.me, run).await.contains(&"effect.intent"));
    waiting.let_go().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_run_gives_up_its_place_and_takes_another_when_it_goes_on() {
    let (gate, calls) = (Arc::new(Semaphore::new(0)), Arc::<Calls>::default());
    let (other_gate, others) = (Arc::new(Semaphore::new(0)), Arc::<Calls>::default());
    let turns = vec![Turn::call([("web/held", "{}"), ("web/other", "{}")]), Turn::say("done")];
    let builder = system(turns, &["web/held", "web/other"]).tool(held("web/held", 1, &gate, &calls));
    let runtime = builder.tool(held("web/other", 9, &other_gate, &others)).build().await.unwrap();
    let me = runtime.principal();
    let first = call(&runtime, &me, "web/held", StartOptions::default()).await;
    until("the first holds the slot", async || calls.all() == 1).await;
    let second = start(&runtime, &me, "caller").await;
    let run = second.run();
    until("the second waits for it beside another call", async || others.all() == 1).await;
    send(&runtime, &me, run, "pause", Command::Pause { reason: "not now".into() }).await;
    until("it is paused", async || kinds(&runtime, &me, run).await.contains(&"run.paused")).await;

    // Its other call is under way still, and nobody stands in the way of a third.
    gate.add_permits(2);
    assert_eq!(ended(first).await.status, Status::Succeeded);
    assert_eq!(ended(call(&runtime, &me, "web/held", StartOptions::default()).await).await.status, Status::Succeeded);
    assert_eq!((calls.all(), others.all()), (2, 1));

    send(&runtime, &me, run, "resume", Command::Resume { reason: "now".into() }).await;
    gate.add_permits(1);
    other_gate.add_permits(1);
    assert_eq!(ended(second).await.text(), "done");
    assert_eq!((calls.all(), calls.most()), (3, 1));
    replays(&runtime, &me, run).await;
}

/// Allows everything, and counts what it is asked.
#[derive(Debug, Default)]
struct Counting(AtomicU32);

impl Policy for Counting {
    fn decide(&self, _: &PolicyRequest<'_>) -> Verdict {
        self.0.fetch_add(1, Ordering::SeqCst);
        Verdict { decision: Decision::Allow, reasons: Vec::new() }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_looked_at_again_only_when_the_turn_comes() {
    let (gate, calls, policy) = (Arc::new(Semaphore::new(0)), Arc::<Calls>::default(), Arc::<Counting>::default());
    let builder = Runtime::builder().in_memory().policy(Arc::<Counting>::clone(&policy));
    let runtime = builder.tool(held("web/held", 1, &gate, &calls)).build().await.unwrap();
    let me = runtime.principal();
    let first = call(&runtime, &me, "web/held", StartOptions::default()).await;
    until("the first holds the slot", async || calls.all() == 1).await;
    let second = call(&runtime, &me, "web/held", StartOptions::default()).await;
    until("the second is asked about", async || policy.0.load(Ordering::SeqCst) == 2).await;
    // Longer than a run that performs something goes without a look at its inbox.
    tokio::time::sleep(Duration::from_millis(1_700)).await;
    assert_eq!(policy.0.load(Ordering::SeqCst), 2, "it was tried again while it waited");
    gate.add_permits(2);
    for handle in [first, second] {
        assert_eq!(ended(handle).await.status, Status::Succeeded);
    }
    assert_eq!(policy.0.load(Ordering::SeqCst), 3, "it begins at step 1 when its turn has come");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emergency_stop_ends_the_wait_and_the_run_goes_on_after_it() {
    let waiting = Waiting::new(StartOptions::default()).await;
    let Waiting { runtime, me, gate, calls, first, second } = waiting;
    runtime.engine().stop(Scope::All, "person:ada", "everything", Duration::from_secs(60)).await.unwrap();
    assert_eq!(runtime.store().held(&Scope::All).await.unwrap(), 0, "nobody holds a lease to wait with");
    assert_eq!(kinds(&runtime, &me, second.run()).await, ["run.created", "lease.taken"], "nothing was refused");
    gate.add_permits(2);
    runtime.engine().unstop(&Scope::All, "person:ada", "mended").await.unwrap();
    for handle in [first, second] {
        assert_eq!(ended(handle).await.status, Status::Succeeded);
    }
    assert_eq!(calls.most(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_goes_away_does_not_wait_for_a_turn() {
    let waiting = Waiting::new(StartOptions::default()).await;
    let run = waiting.second.run();
    waiting.gate.add_permits(1);
    // The first ends; whether the second begins before the process goes is chance.
    tokio::time::timeout(Duration::from_secs(60), async {
        waiting.gate.close();
        waiting.runtime.shutdown().await;
    })
    .await
    .expect("it ends");
    let kinds = kinds(&waiting.runtime, &waiting.me, run).await;
    assert!(!kinds.contains(&"effect.denied"), "{kinds:?}");
}

/// How a call ends.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Result,
    Failure,
    Panic,
    Timeout,
    TooMuch,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_is_given_back_however_its_call_ends() {
    for (end, effect) in [
        (End::Result, EffectClass::Read),
        (End::Failure, EffectClass::OpaqueWrite),
        (End::Panic, EffectClass::Read),
        (End::Panic, EffectClass::OpaqueWrite),
        (End::Timeout, EffectClass::Read),
        (End::Timeout, EffectClass::OpaqueWrite),
        (End::TooMuch, EffectClass::Read),
    ] {
        let limits = Limits { wall_ms: 50, output_bytes: 64, ..Limits::default() };
        let tool = native::tool("web/ends", "1.0.0", "Ends somehow.").effect(effect).rate(at_once(1)).limits(limits);
        let tool = tool.handler(move |_, line: Line| async move {
            match end {
                End::Result => Ok(line),
                End::Failure => Err(native::Fault::failed("as a test")),
                End::Panic => panic!("as a test"),
                End::Timeout => std::future::pending().await,
                End::TooMuch => Ok(Line { text: "x".repeat(1_000) }),
            }
        });
        let builder = Runtime::builder().in_memory().on_unknown(OnUnknown::Tell).retries(2, Duration::from_millis(1));
        let runtime = builder.tool(tool).build().await.unwrap();
        for _ in 0..3 {
            let status = ended(call(&runtime, &runtime.principal(), "web/ends", StartOptions::default()).await).await;
            assert_eq!(status.status == Status::Succeeded, end == End::Result, "{end:?} {effect:?}");
        }
    }
}

#[tokio::test]
async fn a_slot_is_given_back_when_the_owner_of_the_run_is_gone() {
    let (gate, calls) = (Arc::new(Semaphore::new(0)), Arc::<Calls>::default());
    let runtime = Runtime::builder().in_memory().tool(held("web/held", 1, &gate, &calls)).build().await.unwrap();
    let (me, engine) = (runtime.principal(), runtime.engine().clone());
    let start = async || {
        let options = StartOptions::default();
        let run = engine.start_tool(&me, &"web/held".parse().unwrap(), "{}", options).await.unwrap().run;
        Task { tenant: me.tenant.clone(), run, priority: 0 }
    };
    let lost = start().await;
    tokio::select! {
        ended = engine.advance(&lost) => panic!("it is held: {ended:?}"),
        () = until("it began", async || calls.all() == 1) => {}
    }
    gate.add_permits(1);
    let next = start().await;
    engine.advance(&next).await.unwrap();
    assert_eq!(engine.outcome(&me.tenant, next.run).await.unwrap().status, Status::Succeeded);
}

/// A tool of which some calls take longer than others, as chance has it.
fn uneven(seed: u64, most: u32) -> NativeTool {
    let tool = native::tool("web/uneven", "1.0.0", "Takes its time.").effect(EffectClass::Read).deterministic();
    tool.rate(at_once(most)).handler(move |context, line: Line| async move {
        let last = context.idempotency_key().as_bytes()[0] ^ u8::try_from(seed).unwrap();
        tokio::time::sleep(Duration::from_millis(u64::from(last) / 8)).await;
        Ok(line)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn seeded_runs_that_compete_for_turns_are_the_same_every_time() {
    let mut all = Vec::new();
    for chance in [3, 90, 200] {
        let free = native::tool("web/free", "1.0.0", "Takes no turns.").effect(EffectClass::Read).deterministic();
        let free = free.handler(|_, line: Line| async move { Ok(line) });
        let mixed = vec![("web/free", "{}"), ("web/uneven", "{}"), ("web/uneven", "{}"), ("web/free", "{}")];
        let turns = vec![Turn::call(mixed.clone()), Turn::call(mixed), Turn::say("done")];
        let builder = system(turns, &["web/uneven", "web/free"]).seed(11).tool(uneven(chance, 2)).tool(free);
        let runtime = builder.build().await.unwrap();
        let me = runtime.principal();
        let mut handles = Vec::new();
        for input in ["one", "two", "three", "four"] {
            handles.push(runtime.run("caller", input).await.unwrap());
        }
        let mut heads = Vec::new();
        for handle in handles {
            let run = handle.run();
            assert_eq!(ended(handle).await.text(), "done");
            replays(&runtime, &me, run).await;
            heads.push(runtime.store().run(&me.tenant, run).await.unwrap().unwrap().head.hash);
        }
        all.push(heads);
    }
    assert!(all.iter().all(|heads| *heads == all[0]), "{all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn seeded_plans_that_compete_for_turns_are_the_same_every_time() {
    let node = |id: &str, tool: &str, needs: &[&str]| json!({"id": id, "tool": tool, "arguments": {}, "needs": needs});
    let plan = json!({"plan": "turns", "nodes": [
        node("a", "web/free", &[]),
        node("b", "web/uneven", &[]),
        node("c", "web/free", &["a"]),
        node("d", "web/uneven", &["a", "b"]),
    ]});
    let mut all = Vec::new();
    for chance in [3_u8, 90] {
        let free = native::tool("web/free", "1.0.0", "Takes no turns.").effect(EffectClass::Read).deterministic();
        let free = free.handler(|_, line: Line| async move { Ok(line) });
        let uneven = native::tool("web/uneven", "1.0.0", "Takes its time.").effect(EffectClass::Read).deterministic();
        let uneven = uneven.rate(at_once(1)).handler(move |context, line: Line| async move {
            // Longer than a run waits before it looks around.
            let last = context.idempotency_key().as_bytes()[0] ^ chance;
            tokio::time::sleep(Duration::from_millis(u64::from(last % 2) * 700)).await;
            Ok(line)
        });
        let runtime = system(Vec::new(), &[]).seed(11).tool(uneven).tool(free).build().await.unwrap();
        runtime.start().await;
        let me = runtime.principal();
        let mut runs = Vec::new();
        for input in 0..3 {
            let started =
                runtime.engine().start_plan(&me, &plan, &json!(input), StartOptions::default()).await.unwrap();
            runs.push(started.run);
        }
        let mut heads = Vec::new();
        for run in runs {
            assert_eq!(ended(runtime.engine().handle(&me, run).await.unwrap()).await.status, Status::Succeeded);
            replays(&runtime, &me, run).await;
            heads.push(runtime.store().run(&me.tenant, run).await.unwrap().unwrap().head.hash);
        }
        all.push(heads);
    }
    assert_eq!(all[0], all[1]);
}
