//! Time: an effect has the time that is left, and is charged what it took.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use l9::model::scripted::{Scripted, Turn};
use l9::run::{Event, Outcome};
use l9::tool::{EffectClass, Limits};
use l9::{Budget, native};

use crate::{Nothing, calls, clerk, denials, run, takes};

fn millis(time_ms: u64) -> Budget {
    Budget { time_ms: Some(time_ms), ..Budget::default() }
}

#[tokio::test]
async fn an_effect_reserves_its_deadline_and_is_charged_what_it_took() {
    let tool = || takes("office/work", Duration::from_millis(30));
    for budget in [Budget::default(), millis(1_000_000)] {
        let (ended, events, spent) = run(clerk(&[&[("office/work", "{}")]]).tool(tool()), budget).await;
        assert_eq!(ended.text(), "done");
        let [(reserved, took)] = calls(&events, "office/work")[..] else { panic!("one call") };
        assert_eq!(reserved.time_ms, Limits::default().wall_ms);
        assert!((30..reserved.time_ms).contains(&took.time_ms), "{took:?}");
        assert!(spent.time_ms >= took.time_ms && spent.time_ms < reserved.time_ms, "{spent:?}");
    }
}

#[tokio::test]
async fn an_effect_has_no_more_time_than_is_left() {
    let hangs = native::tool("office/hang", "1.0.0", "Hangs.")
        .effect(EffectClass::Read)
        .handler(|_, _: Nothing| std::future::pending::<native::Result<Nothing>>());
    let (_, events, _) = run(clerk(&[&[("office/hang", "{}")]]).tool(hangs), millis(1_500)).await;
    let [(reserved, took)] = calls(&events, "office/hang")[..] else { panic!("one call") };
    assert!((1..1_500).contains(&reserved.time_ms), "the model took some of it: {reserved:?}");
    assert!((1..=reserved.time_ms).contains(&took.time_ms), "{took:?} of {reserved:?}");
    let ended = events.iter().find_map(|event| match event {
        Event::EffectResult(result) => match &result.outcome {
            Outcome::Failed { code, .. } => Some(code.as_str()),
            Outcome::Ok { .. } => None,
        },
        _ => None,
    });
    assert_eq!(ended, Some("limit.time"));
}

#[tokio::test]
async fn once_all_time_is_used_up_nothing_begins() {
    // It takes longer than it may, and the moment after its time is nobody's.
    let slow = Turn::call([("office/work", "{}")]).after(Duration::from_millis(900));
    let builder = clerk(&[&[("office/work", "{}")]]).model("script", Arc::new(Scripted::new(vec![slow])));
    let (ended, events, spent) = run(builder.tool(takes("office/work", Duration::ZERO)), millis(600)).await;
    assert_eq!((ended.code.as_deref(), spent.time_ms), (Some("denied.budget_exceeded"), 600));
    assert_eq!(denials(&events), ["budget_exceeded"; 2], "the tool, and the model that is told so");
    assert!(ended.text().contains("used up: 600 time_ms of 600"), "{}", ended.text());
}

#[tokio::test]
async fn waiting_takes_no_time_of_the_budget() {
    let (ended, events, spent) = run(clerk(&[&[("run/wait", r#"{"seconds":2}"#)]]), millis(1_500)).await;
    assert_eq!(ended.text(), "done");
    assert_eq!(calls(&events, "run/wait")[0].0.time_ms, 0);
    assert!(spent.time_ms < 1_500, "{spent:?}");
}

#[tokio::test]
async fn calls_that_run_together_have_the_time_together() {
    let limits = Limits { wall_ms: 10_000, ..Limits::default() };
    let quick = native::tool("office/quick", "1.0.0", "Is quick.")
        .effect(EffectClass::Read)
        .limits(limits)
        .handler(|_, _: Nothing| async { Ok(Nothing {}) });
    let (ended, events, _) = run(clerk(&[&[("office/quick", "{}"); 4]]).tool(quick), millis(25_000)).await;
    // Two have all they ask for, one the rest, and nothing is left for the fourth.
    let reserved: Vec<u64> = calls(&events, "office/quick").iter().map(|(reserved, _)| reserved.time_ms).collect();
    assert!(matches!(reserved[..], [10_000, 10_000, 1..5_000]), "{reserved:?}");
    assert_eq!((denials(&events), ended.text().as_str()), (vec!["budget_exceeded"], "done"), "and all of it came back");
}

#[tokio::test]
async fn attempts_are_charged_and_the_pauses_between_them_are_not() {
    let tries = Arc::new(AtomicU32::new(0));
    let tried = Arc::clone(&tries);
    let away = native::tool("office/away", "1.0.0", "Is away once.").effect(EffectClass::Read).handler(
        move |_, _: Nothing| {
            let first = tried.fetch_add(1, Ordering::Relaxed) == 0;
            async move { if first { Err(native::Fault::unavailable("away")) } else { Ok(Nothing {}) } }
        },
    );
    let builder = clerk(&[&[("office/away", "{}")]]).tool(away).retries(3, Duration::from_millis(2_000));
    let (ended, events, spent) = run(builder, millis(1_500)).await;
    assert_eq!((ended.text().as_str(), tries.load(Ordering::Relaxed)), ("done", 2));
    let retried = events.iter().find_map(|event| match event {
        Event::EffectRetry(retry) => Some(retry.spent),
        _ => None,
    });
    assert!(retried.unwrap().time_ms >= 1 && spent.time_ms < 1_500, "{spent:?}");
}

#[tokio::test]
async fn under_a_seed_effects_take_no_time() {
    for _ in 0..2 {
        let tool = takes("office/work", Duration::from_millis(5));
        let (ended, events, spent) = run(clerk(&[&[("office/work", "{}")]]).tool(tool).seed(7), millis(10_000)).await;
        assert_eq!((ended.text().as_str(), spent.time_ms), ("done", 0));
        assert_eq!(calls(&events, "office/work")[0].0.time_ms, Limits::default().wall_ms);
    }
}
