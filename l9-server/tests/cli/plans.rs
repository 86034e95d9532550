//! `plans` at the terminal, with the plans of `examples/plans`: each is carried out, stops where it
//! says, goes on in another process, and is taken back.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Cli, Ended};

fn example(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/plans").join(name);
    path.to_str().unwrap().to_owned()
}

fn start(cli: &Cli, name: &str, input: &Value) -> Ended {
    cli.run(&["plans", "run", &example(name), "--input", &input.to_string(), "--json"])
}

fn run_of(ended: &Value) -> String {
    ended["run_id"].as_str().unwrap().to_owned()
}

/// The ids of a plan's nodes that stand so.
fn standing(cli: &Cli, run: &str, state: &str) -> Vec<String> {
    let plan = cli.json(&["plans", "show", run]);
    let nodes = plan["nodes"].as_array().unwrap().iter().filter(|node| node["state"] == state);
    nodes.map(|node| node["id"].as_str().unwrap().to_owned()).collect()
}

fn remembered(cli: &Cli, words: &str) -> String {
    cli.json(&["memory", "search", words]).to_string()
}

#[test]
fn a_release_stops_at_its_breakpoint_goes_on_and_is_rolled_back() {
    let cli = Cli::new();
    let waiting = start(&cli, "release.yaml", &json!(null)).expect(3).json();
    let run = run_of(&waiting);
    assert_eq!(waiting["waiting"]["breakpoints"][0]["id"], "publish", "{waiting}");
    assert_eq!(standing(&cli, &run, "waiting"), ["publish"]);
    assert!(!remembered(&cli, "release published").contains("was published"));
    let ended = cli.run(&["runs", "resume", &run, "--reason", "good", "--json"]).expect(0).json();
    assert_eq!(ended["answer"]["coverage"], "85.8333333333", "{ended}");
    let shown = cli.json(&["plans", "show", &run]);
    assert_eq!(shown["state"], "succeeded");
    assert!(shown["nodes"].as_array().unwrap().iter().all(|node| node["state"] == "succeeded"), "{shown}");
    assert!(remembered(&cli, "release published").contains("was published"));

    let back = cli.run(&["plans", "rollback", &run, "--reason", "withdrawn", "--json"]).expect(0).json();
    assert_eq!(back["answer"]["compensated"], json!(["announce", "publish", "before"]), "{back}");
    assert!(!remembered(&cli, "release published").contains("was published"), "memory went back");
    assert_eq!(standing(&cli, &run_of(&back), "compensated"), ["before", "publish", "announce"]);
    cli.run(&["plans", "rollback", &run, "--to", "size", "--reason", "again"]).expect(1).names(&["another request"]);
    assert!(cli.run(&["runs", "replay", &run]).expect(0).out.contains("no divergence"));
    assert_eq!(cli.json(&["audit", "verify"])["ok"], true);
}

#[test]
fn a_pipeline_takes_back_what_it_loaded() {
    let cli = Cli::new();
    let good = start(&cli, "pipeline.yaml", &json!({"most": 1000})).expect(0).json();
    assert_eq!(good["answer"], json!({"orders": 434}));
    let bad = start(&cli, "pipeline.yaml", &json!({"most": 10})).expect(1).json();
    assert_eq!(bad["code"], "plan.failed");
    assert_eq!(standing(&cli, &run_of(&bad), "compensated"), ["load"]);
    assert!(remembered(&cli, "figures taken back").contains("The figures of region south were taken back"));
}

#[test]
fn research_waits_for_a_person_and_keeps_what_was_approved() {
    let cli = Cli::new();
    cli.write("notes.md", "# Permits\n\nA permit is made by the governor after a durable intent.\n");
    cli.run(&["ingest", "notes.md"]).expect(0);
    let waiting = start(&cli, "research.yaml", &json!(null)).expect(3).json();
    let run = run_of(&waiting);
    assert_eq!(standing(&cli, &run, "waiting"), ["approve"]);
    let question = waiting["waiting"]["approvals"][0]["id"].as_str().unwrap().to_owned();
    let done = cli.run(&["approvals", "approve", &question, "--reason", "fine", "--json"]).expect(0).json();
    assert_eq!(done["answer"]["kept"].as_array().map(Vec::len), Some(3), "{done}");
    assert!(remembered(&cli, "answer approved permit").contains("approved:"));
}

#[test]
fn a_digest_is_gathered_and_a_report_is_sorted() {
    let cli = Cli::new();
    start(&cli, "digest.yaml", &json!({"topic": "tides"})).expect(0);
    assert!(remembered(&cli, "digest tides").contains("nothing was kept"));
    start(&cli, "triage.yaml", &json!({"report": "a squeaking hinge", "urgent": false})).expect(0);
    assert!(remembered(&cli, "filed hinge").contains("Filed: a squeaking hinge"));
    let urgent = start(&cli, "triage.yaml", &json!({"report": "the door burns", "urgent": true})).expect(3).json();
    let (run, question) = (run_of(&urgent), urgent["waiting"]["approvals"][0]["id"].as_str().unwrap().to_owned());
    let reply = json!({"question": "Is this the right reply?", "data": "Help is near."}).to_string();
    cli.run(&["approvals", "approve", &question, "--args", &reply, "--reason", "shorter"]).expect(3);
    cli.run(&["runs", "signal", &run, "closed", "--value", "\"put out\""]).expect(0);
    assert!(remembered(&cli, "replied help").contains("Help is near. It ended so: put out"));
}

#[test]
fn a_plan_is_edited_broken_into_and_drawn() {
    let cli = Cli::new();
    let run = run_of(&start(&cli, "release.yaml", &json!(null)).expect(3).json());
    cli.write("edit.yaml", "put:\n  - {id: extra, needs: [announce], tool: time/now, arguments: {}}\n");
    cli.run(&["plans", "patch", &run, "edit.yaml", "--expect", "2", "--reason", "x"])
        .expect(1)
        .names(&["version 1 by now"]);
    cli.run(&["plans", "patch", &run, "edit.yaml", "--expect", "1", "--reason", "one more"]).expect(0);
    cli.run(&["plans", "break", &run, "extra", "--at", "before"]).expect(0);
    cli.run(&["plans", "break", &run, "nobody"]).expect(1).names(&["no node \"nobody\""]);
    cli.run(&["runs", "resume", &run, "--reason", "go"]).expect(3);
    assert_eq!(standing(&cli, &run, "waiting"), ["extra"]);
    cli.run(&["runs", "resume", &run, "--reason", "go"]).expect(0);
    assert_eq!(cli.json(&["plans", "show", &run])["version"], 2);
    let drawn = cli.run(&["plans", "draw", &example("release.yaml")]).expect(0).out;
    assert!(drawn.starts_with("flowchart TD\n") && drawn.contains("n4[\"publish: memory/remember\"]"), "{drawn}");
    let drawn = cli.run(&["plans", "draw", &example("triage.yaml"), "--format", "dot"]).expect(0).out;
    assert!(drawn.contains("shape=diamond") && drawn.contains("[style=dashed]"), "{drawn}");
    assert_eq!(cli.json(&["plans", "schema"])["title"], "Plan");
}

#[test]
fn what_cannot_run_is_refused_with_its_line_or_its_node() {
    let cli = Cli::new();
    cli.write("typo.yaml", "plan: p\nnodes:\n  - id: a\n    toool: time/now\n");
    cli.run(&["plans", "run", "typo.yaml"]).expect(2).names(&["toool", "line 4"]);
    cli.write(
        "circle.yaml",
        "plan: p\nnodes:\n  - {id: a, tool: time/now, needs: [b]}\n  - {id: b, tool: time/now, needs: [a]}\n",
    );
    cli.run(&["plans", "validate", "circle.yaml"]).expect(2).names(&["in a circle: a, b"]);
    cli.run(&["plans", "validate", "nowhere.yaml"]).expect(2).names(&["nowhere.yaml cannot be read"]);
    let run = run_of(&cli.run(&["tools", "call", "time/now", "{}", "--json"]).expect(0).json());
    cli.run(&["plans", "show", &run]).expect(2).names(&["no plan's"]);
}

#[test]
fn plans_can_be_turned_off() {
    let cli = Cli::new().with("L9_ENABLE_LONG_PLANS", "false");
    cli.run(&["plans", "run", &example("digest.yaml")]).expect(2).names(&["L9_ENABLE_LONG_PLANS=true"]);
}
