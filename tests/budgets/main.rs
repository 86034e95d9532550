//! Budgets through the front door: what is reserved, what is charged, what is refused, over
//! retries, crashes and trees of delegation.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

#[path = "../support/clock.rs"]
mod clock;
mod cut_off;
mod hard_stop;
#[path = "../support/nodes.rs"]
mod nodes;
mod time;
mod trees;

use std::sync::Arc;
use std::time::Duration;

use l9::model::scripted::{Scripted, Turn};
use l9::native::NativeTool;
use l9::run::Event;
use l9::time::{Clock as _, SystemClock};
use l9::tool::EffectClass;
use l9::{AgentProfile, Budget, Builder, Cost, Ended, Runtime, StartOptions, native};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the tools of these tests take and give.
#[derive(Deserialize, Serialize, JsonSchema)]
struct Nothing {}

/// A read that takes so long.
fn takes(id: &str, time: Duration) -> NativeTool {
    native::tool(id, "1.0.0", "Takes a while.").effect(EffectClass::Read).handler(move |_, _: Nothing| async move {
        SystemClock::default().sleep(time).await;
        Ok(Nothing {})
    })
}

/// A system whose agent `clerk` calls these tools, turn by turn, and says that it is done.
fn clerk(turns: &[&[(&str, &str)]]) -> Builder {
    let said = turns.iter().map(|calls| Turn::call(calls.iter().copied())).chain([Turn::say("done")]);
    let mut profile = AgentProfile::new("clerk").unwrap().with_model("script").unwrap();
    for (tool, _) in turns.iter().copied().flatten() {
        if !profile.tools.iter().any(|known| known.id.as_str() == *tool) {
            profile = profile.with_tool(tool).unwrap();
        }
    }
    Runtime::builder().in_memory().model("script", Arc::new(Scripted::new(said.collect()))).agent(profile)
}

/// Runs the clerk under a budget, to its end; what it was charged is summed up from its
/// results alone.
async fn run(builder: Builder, budget: Budget) -> (Ended, Vec<Event>, Cost) {
    let runtime = builder.build().await.unwrap();
    let options = StartOptions { budget, ..StartOptions::default() };
    let mut handle = runtime.run_with("clerk", "go", options).await.unwrap();
    let mut events = Vec::new();
    while let Some((_, event)) = handle.next_event().await.unwrap() {
        events.push(event);
    }
    let (_, state) = runtime.engine().show(&runtime.principal().tenant, handle.run()).await.unwrap();
    assert!(state.reserved.is_zero(), "{:?}", state.reserved);
    assert_eq!(budget.exceeded_by(&state.spent), None);
    let ended = handle.outcome().await.unwrap();
    runtime.shutdown().await;
    (ended, events, state.spent)
}

/// What was reserved for a tool and what it was charged, call by call; nothing was charged for
/// one that did not end.
fn calls(events: &[Event], tool: &str) -> Vec<(Cost, Cost)> {
    let mut found = Vec::new();
    for event in events {
        if let Event::EffectIntent(intent) = event
            && matches!(&intent.action, l9::run::Action::Tool { tool: id, .. } if id.as_str() == tool)
        {
            let spent = events.iter().find_map(|event| match event {
                Event::EffectResult(result) if result.call == intent.call => Some(result.spent),
                _ => None,
            });
            found.push((intent.reserved, spent.unwrap_or_default()));
        }
    }
    found
}

/// The codes of what was refused.
fn denials(events: &[Event]) -> Vec<&str> {
    events
        .iter()
        .filter_map(|event| match event {
            Event::EffectDenied(denied) => Some(denied.code.as_str()),
            _ => None,
        })
        .collect()
}
