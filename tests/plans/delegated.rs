//! Agents within plans, plans within plans, and plans that agents propose: none may do more than
//! whoever began it.

use std::sync::Arc;

use l9::AgentProfile;
use l9::id::CallId;
use l9::journal::Status;
use l9::model::scripted::{Scripted, Turn};
use l9::run::CallState;
use serde_json::json;

use super::office::Office;

fn agent(id: &str, tools: &[&str]) -> AgentProfile {
    let profile = AgentProfile::new(id).unwrap().with_model(id).unwrap();
    tools.iter().fold(profile, |profile, tool| profile.with_tool(tool).unwrap())
}

#[tokio::test]
async fn agents_and_plans_within_a_plan_are_runs_of_their_own() {
    let clerk = Arc::new(Scripted::new(vec![Turn::call([("office/echo", r#"{"value":"7"}"#)]), Turn::say("seven")]));
    let office = Office::with(|builder| builder.model("clerk", clerk).agent(agent("clerk", &["office/echo"]))).await;
    let done = office
        .run(
            "plan: outer
nodes:
  - {id: think, agent: clerk, input: 'count to ${input.n}'}
  - id: inner
    plan:
      plan: inner
      nodes: [{id: say, tool: office/echo, arguments: {value: '${input.word}!'}}]
      output: ${say.value}
    input: {word: '${think.answer}'}
output: ${inner.answer}",
            &json!({"n": 7}),
        )
        .await;
    assert_eq!(done.answer, json!("seven!"), "{}", done.text());
    let run = office.last().await;
    assert!(office.view(run).await.nodes.iter().all(|node| node.runs.is_empty()));
    office.sound().await;
}

#[tokio::test]
async fn a_plan_that_an_agent_proposes_calls_only_what_the_agent_may() {
    let proposal = |tool: &str| {
        let arguments = if tool == "office/write" { json!({"name": "x"}) } else { json!({"name": "x", "failures": 0}) };
        let plan = json!({"plan": "mine", "nodes": [{"id": "a", "tool": tool, "arguments": arguments}]});
        json!({"plan": plan}).to_string()
    };
    let (good, bad) = (proposal("office/write"), proposal("office/flaky"));
    let wrong = json!({"plan": {"plan": "mine", "nodes": [{"id": "a", "needs": ["a"]}]}}).to_string();
    let turns = vec![
        Turn::call([("run/plan", bad.as_str()), ("run/plan", good.as_str()), ("run/plan", wrong.as_str())]),
        Turn::say("done"),
    ];
    let office = Office::with(|builder| {
        let profile = agent("boss", &["run/plan", "office/write"]);
        builder.model("boss", Arc::new(Scripted::new(turns))).agent(profile)
    })
    .await;
    let handle = office.runtime.run("boss", "plan it: write x").await.unwrap();
    let run = handle.run();
    let done = office.ended(run).await;
    assert_eq!(done.status, Status::Succeeded, "{}", done.text());
    let (_, state) = office.runtime.engine().show(&office.runtime.principal().tenant, run).await.unwrap();
    let denied = |index| match &state.calls[&CallId::Tool { turn: 1, index }] {
        CallState::Denied { code, reasons, .. } => (code.clone(), reasons.join("; ")),
        other => panic!("{other:?}"),
    };
    let (code, why) = denied(0);
    assert_eq!(code, "forbidden");
    assert!(why.contains("office/flaky"), "{why}");
    assert_eq!(denied(2).0, "invalid_plan");
    assert_eq!(state.output(CallId::Tool { turn: 1, index: 1 }).unwrap()["answer"], json!({"a": {"kept": "x"}}));
    assert_eq!(office.written(), ["x"]);
    office.sound().await;
}
