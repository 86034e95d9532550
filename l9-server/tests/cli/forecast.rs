//! `plans validate` tells what policy says of every call and what they cost, and nothing runs.

use serde_json::{Value, json};

use crate::support::Cli;

/// Denies the clock and asks about calculations; everything else is allowed.
const POLICY: &str = r#"
@id("all") permit (principal, action, resource);
@id("no-clock") @reason("nobody needs the time")
forbid (principal, action == L9::Action::"InvokeTool", resource == L9::Tool::"time/now");
@id("ask") @reason("somebody looks at sums")
forbid (principal, action == L9::Action::"InvokeTool", resource == L9::Tool::"calc/evaluate")
unless { context.approved };
"#;

const SUMS: &str = r#"
plan: sums
budget: {calls: 20}
nodes:
  - {id: sum, tool: calc/evaluate, arguments: {expression: "1 + 1"}}
  - {id: keep, tool: memory/remember, arguments: {text: "It is ${sum.result}."}, retry: {attempts: 2}}
  - {id: each, map: {over: "${input.list}"}, tool: calc/evaluate, arguments: {expression: "${item} + 1"}}
"#;

fn governed() -> Cli {
    let cli = Cli::new();
    cli.write("policies/own.cedar", POLICY);
    cli.write("sums.yaml", SUMS);
    cli.with("L9__POLICY__DIR", "policies")
}

fn call<'a>(forecast: &'a Value, node: &str) -> &'a Value {
    forecast["calls"].as_array().unwrap().iter().find(|call| call["node"] == node).unwrap()
}

#[test]
fn a_question_is_no_error_and_what_is_not_known_is_said() {
    let cli = governed();
    let told = cli.json(&["plans", "validate", "sums.yaml"]);
    let sum = call(&told, "sum");
    assert_eq!((&sum["verdict"], &sum["effect"], &sum["repeats"]), (&json!("ask"), &json!("pure"), &json!(true)));
    assert!(sum["reasons"].to_string().contains("somebody looks at sums"), "{sum}");
    assert_eq!((&sum["least"], &sum["most"], &sum["depends"]), (&json!(1), &json!(3), &json!([])));
    let keep = call(&told, "keep");
    assert_eq!(keep["verdict"], "allow");
    assert_eq!(keep["depends"], json!([{"at": "/text", "reference": "${sum.result}"}]), "{keep}");
    assert_eq!((&call(&told, "each")["least"], &call(&told, "each")["most"]), (&json!(0), &json!(null)));
    assert_eq!((&told["cost"]["least"], &told["cost"]["most"]["calls"]), (&json!({"calls": 2}), &json!(null)));
    assert_eq!(told["remarks"][0]["level"], "warning");
    assert_eq!((&told["valid"], &told["nodes"], &told["plan"]), (&json!(true), &json!(3), &json!("sums")));

    let shown = cli.run(&["plans", "validate", "sums.yaml"]).expect(0).out;
    for words in ["plan sums can run: 3 nodes", "ask", "not known yet: ${sum.result} at /text", "2 or more", "warning:"]
    {
        assert!(shown.contains(words), "{words} is missing in {shown}");
    }
    assert_eq!(cli.json(&["runs", "list"]), json!([]), "nothing ran");
}

#[test]
fn a_denied_call_ends_with_four_and_everything_is_told_all_the_same() {
    let cli = governed();
    cli.write(
        "inner.yaml",
        "plan: outer\nnodes:\n  - id: deep\n    plan: {plan: inner, nodes: [{id: clock, tool: time/now}]}\n",
    );
    let told = cli.run(&["plans", "validate", "inner.yaml", "--json"]).expect(4).json();
    let clock = call(&told, "deep/clock");
    assert_eq!(clock["verdict"], "deny", "{told}");
    assert!(clock["reasons"].to_string().contains("nobody needs the time"), "{clock}");
    assert_eq!(call(&told, "deep")["verdict"], "allow");
    let shown = cli.run(&["plans", "validate", "inner.yaml"]).expect(4).out;
    assert!(shown.contains("would be refused") && shown.contains("deep/clock"), "{shown}");
    // The governed path says the same.
    let ran = cli.run(&["plans", "run", "inner.yaml"]).expect(1).out;
    assert!(ran.contains("denied.forbidden") && ran.contains("nobody needs the time"), "{ran}");
}

#[test]
fn a_budget_that_cannot_suffice_is_an_error_with_both_numbers() {
    let cli = Cli::new();
    let nodes: Vec<Value> = (0..12).map(|at| json!({"id": format!("n{at}"), "tool": "time/now"})).collect();
    let mut plan = json!({"plan": "many", "budget": {"calls": 10}, "nodes": nodes});
    cli.write("many.json", plan.to_string());
    let told = cli.run(&["plans", "validate", "many.json", "--json"]).expect(4).json();
    let error = json!({"level": "error", "message": "calls: at least 12, and the budget allows 10"});
    assert_eq!(told["remarks"], json!([error]), "{told}");
    assert!(cli.run(&["plans", "run", "many.json"]).expect(1).out.contains("budget"));
    plan["budget"] = json!({"calls": 12, "fuel": 1});
    plan["nodes"] = json!([{"id": "sum", "tool": "calc/evaluate", "arguments": {"expression": "1"}}]);
    cli.write("fuel.json", plan.to_string());
    let told = cli.run(&["plans", "validate", "fuel.json", "--json"]).expect(4).json();
    assert!(told["remarks"][0]["message"].as_str().unwrap().contains("fuel of 1 in the budget"), "{told}");
    assert!(cli.run(&["plans", "run", "fuel.json"]).expect(1).out.contains("budget"));
}
