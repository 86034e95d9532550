//! Calls a minute: of a caller, of a tenant, of a principal over everything they do.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use l9::agent::Profiles;
use l9::entropy::SystemEntropy;
use l9::governor::{self, Baseline, Governor, Rates};
use l9::journal::Status;
use l9::kernel::{self, Advance as _, Components};
use l9::model::ModelClients;
use l9::model::scripted::{Scripted, Turn};
use l9::native::{self, NativeTool};
use l9::queue::Task;
use l9::redact::KnownSecrets;
use l9::run::Event;
use l9::time::Clock as _;
use l9::tool::{EffectClass, Rate};
use l9::{Engine, Principal, Runtime, StartOptions};
use l9_memory::in_memory::Store;
use l9_memory::vault::Keyring;
use l9_tools::registry::Registry;

use crate::clock::Hand;
use crate::support::{Calls, Line, agent, call, echo, ended, events, refusals, replays, somebody, start, system};

fn per_caller(most: u32) -> Rate {
    Rate { per_caller: Some(most), ..Rate::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_burst_by_many_runs_agents_and_names_exceeds_a_limit() {
    const MOST: u32 = 7;
    let calls = Arc::<Calls>::default();
    let names = ["web/echo", "WEB/echo", "web/echo ", "web//echo", "web%2Fecho", "web/\u{200b}echo", "./web/echo"];
    let burst = |name: &'static str| Turn::call(vec![(name, "{}"); 10]);
    let mut turns: Vec<Turn> = names.into_iter().map(burst).collect();
    turns.push(Turn::call([("run/delegate", r#"{"agent":"helper","input":"you too"}"#)]));
    turns.push(Turn::say("done"));
    let mut caller = agent("caller", &["web/echo"]);
    caller.delegates = [("helper".parse().unwrap())].into();
    let runtime = Runtime::builder()
        .in_memory()
        .model("caller", Arc::new(Scripted::new(turns)))
        .model("helper", Arc::new(Scripted::new(vec![burst("web/echo"), Turn::say("done")])))
        .agent(caller)
        .agent(agent("helper", &["web/echo"]))
        .tool(echo("web/echo", per_caller(MOST), &calls))
        .build()
        .await
        .unwrap();
    let me = runtime.principal();
    let mut runs = Vec::new();
    for _ in 0..10 {
        runs.push(start(&runtime, &me, "caller").await);
        runs.push(call(&runtime, &me, "web/echo", StartOptions::default()).await);
    }
    let mut limited = 0;
    for handle in runs {
        let run = handle.run();
        ended(handle).await;
        let denied = events(&runtime, &me, run).await.into_iter().filter_map(|event| match event {
            Event::EffectDenied(denied) if denied.code == "rate_limited" => Some(denied.reasons.join("; ")),
            _ => None,
        });
        for reason in denied {
            limited += 1;
            assert!(
                reason.starts_with("tool web/echo takes 7 calls a minute of one caller, and person:local"),
                "{reason}"
            );
            assert!(reason.contains(": try again in "), "{reason}");
        }
        replays(&runtime, &me, run).await;
    }
    assert_eq!(calls.all(), MOST);
    assert!(limited >= 100, "{limited} were refused");

    let other = somebody("default", "person:other");
    assert_eq!(
        ended(call(&runtime, &other, "web/echo", StartOptions::default()).await).await.status,
        Status::Succeeded
    );
    assert_eq!(runtime.verify().await.unwrap().faults, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_of_a_tenant_share_its_limit_and_other_tenants_have_their_own() {
    let calls = Arc::<Calls>::default();
    let rate = Rate { per_tenant: Some(5), per_caller: Some(4), ..Rate::default() };
    let turns = vec![Turn::call(vec![("web/echo", "{}"); 10]), Turn::say("done")];
    let runtime = system(turns, &["web/echo"]).tool(echo("web/echo", rate, &calls)).build().await.unwrap();
    let (ada, bob, eve) =
        (somebody("acme", "person:ada"), somebody("acme", "person:bob"), somebody("other", "person:ada"));
    let mut reasons = Vec::new();
    for (who, performed) in [(&ada, 4), (&bob, 5), (&eve, 9)] {
        let handle = start(&runtime, who, "caller").await;
        let run = handle.run();
        assert_eq!(ended(handle).await.text(), "done", "a refusal is a result, and the agent goes on");
        assert_eq!(calls.all(), performed, "{}", who.subject);
        reasons.extend(refusals(&runtime, who, run).await.pop());
    }
    assert!(reasons[0].1.contains("4 calls a minute of one caller, and person:ada"), "{reasons:?}");
    assert!(reasons[1].1.contains("5 calls a minute of one tenant, and tenant acme"), "{reasons:?}");
    assert!(reasons[2].1.contains("one caller"), "{reasons:?}");
}

/// A tool that is away the first times.
fn away(times: u32, calls: &Arc<Calls>) -> NativeTool {
    let calls = Arc::clone(calls);
    native::tool("web/away", "1.0.0", "Is away.").effect(EffectClass::Read).handler(move |_, line: Line| {
        let begun = calls.begin();
        let call = calls.all();
        async move {
            drop(begun);
            if call <= times { Err(native::Fault::unavailable("away")) } else { Ok(line) }
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn models_tools_and_attempts_all_count_for_their_principal_and_tenant() {
    // A question, three attempts at a tool, a question.
    for (rates, refused) in [
        (Rates { per_principal: Some(5), per_tenant: None }, None),
        (Rates { per_principal: Some(4), per_tenant: None }, Some("person:ada may have 4 effects a minute")),
        (Rates { per_principal: None, per_tenant: Some(4) }, Some("tenant acme may have 4 effects a minute")),
        (Rates { per_principal: Some(9), per_tenant: Some(5) }, None),
    ] {
        let calls = Arc::<Calls>::default();
        let turns = vec![Turn::call([("web/away", "{}")]), Turn::say("done")];
        let builder = system(turns, &["web/away"]).rates(rates).retries(5, Duration::from_millis(1));
        let runtime = builder.tool(away(2, &calls)).build().await.unwrap();
        let ada = somebody("acme", "person:ada");
        let handle = start(&runtime, &ada, "caller").await;
        let run = handle.run();
        let end = ended(handle).await;
        assert_eq!(calls.all(), 3);
        let refusals = refusals(&runtime, &ada, run).await;
        match refused {
            None => assert_eq!((end.text().as_str(), refusals.len()), ("done", 0)),
            Some(reason) => {
                assert_eq!(end.code.as_deref(), Some("denied.rate_limited"));
                assert!(refusals[0].1.starts_with(reason), "{refusals:?}");
            }
        }
        replays(&runtime, &ada, run).await;
    }
    let none = Rates { per_principal: Some(0), per_tenant: None };
    assert!(
        Runtime::builder().in_memory().rates(none).build().await.unwrap_err().message().contains("rates.per_principal")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_used_up_nothing() {
    let (few, many) = (Arc::<Calls>::default(), Arc::<Calls>::default());
    let mut turns = vec![Turn::call(vec![("web/few", "{}"); 10])];
    turns.push(Turn::call(vec![("web/many", "{}"); 10]));
    turns.push(Turn::say("done"));
    // Two questions, one call of the first tool, and so seven of the second.
    let rates = Rates { per_principal: Some(10), per_tenant: None };
    let runtime = system(turns, &["web/few", "web/many"])
        .rates(rates)
        .tool(echo("web/few", per_caller(1), &few))
        .tool(echo("web/many", Rate::default(), &many))
        .build()
        .await
        .unwrap();
    let handle = start(&runtime, &runtime.principal(), "caller").await;
    ended(handle).await;
    assert_eq!((few.all(), many.all()), (1, 7));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seeded_run_does_not_depend_on_a_rate() {
    let mut heads = Vec::new();
    for _ in 0..2 {
        let calls = Arc::<Calls>::default();
        let turns = vec![Turn::call(vec![("web/echo", "{}"); 10]), Turn::say("done")];
        let rate = Rate { per_caller: Some(3), daily_bytes: Some(5), ..Rate::default() };
        let builder = system(turns, &["web/echo"]).seed(7).rates(Rates { per_principal: Some(1), per_tenant: None });
        let runtime = builder.tool(echo("web/echo", rate, &calls)).build().await.unwrap();
        let me = runtime.principal();
        let handle = start(&runtime, &me, "caller").await;
        let run = handle.run();
        assert_eq!((ended(handle).await.text().as_str(), calls.all()), ("done", 10));
        heads.push(runtime.store().run(&me.tenant, run).await.unwrap().unwrap().head.hash);
    }
    assert_eq!(heads[0], heads[1]);
}

/// An engine whose clock is that one, with one tool.
async fn engine(clock: &Arc<Hand>, tool: NativeTool, settings: governor::Settings) -> Engine {
    let runtime = Runtime::builder().in_memory().build().await.unwrap();
    let registry = Registry::default();
    registry.register_native(tool).unwrap();
    let governor = Governor::new(
        Arc::new(registry),
        ModelClients::default(),
        Arc::new(Baseline),
        Arc::new(KnownSecrets::default()),
        Arc::<Hand>::clone(clock),
        settings,
    );
    let parts = Components {
        store: Arc::new(Store::new(Arc::<Hand>::clone(clock))),
        vault: Arc::new(Keyring::ephemeral()),
        governor: Arc::new(governor),
        profiles: Arc::new(Profiles::default()),
        clock: Arc::<Hand>::clone(clock),
        entropy: Arc::new(SystemEntropy),
        ..runtime.engine().parts().clone()
    };
    Engine::new(parts, kernel::Settings { node: "node".into(), owner: "node".into(), lease: Duration::from_secs(600) })
}

#[tokio::test]
async fn an_attempt_after_the_first_waits_for_its_minute_instead_of_being_refused() {
    let (clock, calls) = (Arc::<Hand>::default(), Arc::<AtomicU32>::default());
    let times = Arc::<Mutex<Vec<Duration>>>::default();
    let (called, looks, noted) = (Arc::clone(&calls), Arc::clone(&clock), Arc::clone(&times));
    let tool = native::tool("web/away", "1.0.0", "Is away.")
        .effect(EffectClass::KeyedWrite)
        .rate(per_caller(2))
        .handler(move |_, line: Line| {
            noted.lock().unwrap().push(looks.monotonic());
            let call = called.fetch_add(1, Ordering::SeqCst);
            // The connection is lost: nobody knows whether it took effect.
            async move { if call < 5 { Err(native::Fault::unavailable("cut off")) } else { Ok(line) } }
        });
    let settings =
        governor::Settings { attempts: 9, backoff: Duration::from_millis(1), ..governor::Settings::default() };
    let engine = engine(&clock, tool, settings).await;
    let me = Principal::local();
    let run = engine.start_tool(&me, &"web/away".parse().unwrap(), "{}", StartOptions::default()).await.unwrap().run;
    let task = Task { tenant: me.tenant.clone(), run, priority: 0 };
    while !engine.parts().store.run(&me.tenant, run).await.unwrap().unwrap().status.is_closed() {
        engine.advance(&task).await.unwrap();
        clock.sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(engine.outcome(&me.tenant, run).await.unwrap().status, Status::Succeeded);
    let times = times.lock().unwrap().clone();
    assert_eq!(times.len(), 6);
    for (at, time) in times.iter().enumerate() {
        let within = times[..=at].iter().filter(|then| *time - **then < Duration::from_secs(60)).count();
        assert!(within <= 2, "{within} attempts within a minute: {times:?}");
    }
    assert!(times[5] < Duration::from_secs(60 * 4), "none waited for nothing: {times:?}");

    // Another is refused, as long as there is no room.
    let run = engine.start_tool(&me, &"web/away".parse().unwrap(), "{}", StartOptions::default()).await.unwrap().run;
    engine.advance(&Task { tenant: me.tenant.clone(), run, priority: 0 }).await.unwrap();
    assert_eq!(engine.outcome(&me.tenant, run).await.unwrap().code.as_deref(), Some("denied.rate_limited"));
}
