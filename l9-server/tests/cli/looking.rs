//! `runs`, `tools`, `memory`, `audit` and `doctor`: looking at what is there.

use serde_json::{Value, json};

use crate::support::{Cli, documents, facts};

#[test]
fn runs_are_listed_and_filtered() {
    let cli = Cli::new();
    let first = cli.ask("What is 1 + 1?", &[]);
    let second = cli.json(&["tools", "call", "calc/evaluate", r#"{"expression": "2"}"#]);
    let ids = |further: &[&str]| -> Vec<Value> {
        let runs = cli.json(&[&["runs", "list"], further].concat());
        runs.as_array().unwrap().iter().map(|run| run["run_id"].clone()).collect()
    };
    assert_eq!(ids(&[]), [second["run_id"].clone(), first["run_id"].clone()]);
    assert_eq!(ids(&["--limit", "1"]), [second["run_id"].clone()]);
    assert_eq!(ids(&["--agent", "researcher"]), [first["run_id"].clone()]);
    assert!(ids(&["--status", "failed"]).is_empty());
    let table = cli.run(&["runs", "list"]).expect(0).out;
    assert!(table.contains(first["run_id"].as_str().unwrap()) && table.contains("succeeded"), "{table}");
}

#[test]
fn a_run_is_shown_whole() {
    let cli = Cli::new();
    let run = cli.ask("What is 3 * 4?", &["--session", "s1"]);
    let shown = cli.json(&["runs", "show", run["run_id"].as_str().unwrap()]);
    for field in [
        "run_id",
        "head_hash",
        "state",
        "kind",
        "agent",
        "created_at",
        "updated_at",
        "events",
        "epoch",
        "input",
        "answer",
        "citations",
        "budget",
    ] {
        assert!(!shown[field].is_null(), "{field} of {shown}");
    }
    assert_eq!(
        (&shown["state"], &shown["input"], &shown["session"]),
        (&json!("succeeded"), &json!("What is 3 * 4?"), &json!("s1"))
    );
    let text = cli.run(&["runs", "show", run["run_id"].as_str().unwrap()]).expect(0).out;
    assert!(text.contains("12") && text.contains("verified"), "{text}");
}

#[test]
fn events_are_read_from_any_seq_on_and_followed_to_the_end() {
    let cli = Cli::new();
    let run = cli.ask("What is 3 * 4?", &[]);
    let id = run["run_id"].as_str().unwrap();
    let all: Vec<String> = cli.events(id).lines().map(str::to_owned).collect();
    let followed = cli.run(&["runs", "events", id, "--follow", "--from-seq", "3", "--json"]).expect(0).out;
    assert_eq!(followed.lines().map(str::to_owned).collect::<Vec<_>>(), all[3..]);
    cli.run(&["runs", "events", id, "--from-seq", "1000"]).expect(2).names(&["1000", "seq"]);
}

#[test]
fn tools_are_listed_and_their_contracts_shown() {
    let cli = Cli::cold();
    let tools = cli.json(&["tools", "list"]);
    let ids: Vec<&str> = tools.as_array().unwrap().iter().map(|tool| tool["id"].as_str().unwrap()).collect();
    for expected in ["calc/evaluate", "memory/search", "text/extract"] {
        assert!(ids.contains(&expected), "{ids:?}");
    }
    let schema = cli.run(&["tools", "inspect", "--schema"]).expect(0).json();
    assert!(schema["properties"]["input_schema"].is_object(), "{schema}");
    assert!(!cli.data().exists(), "looking at tools made a data folder");
    cli.run(&["tools", "inspect", "calc/evaluat"]).expect(2).names(&["calc/evaluat", "did you mean calc/evaluate"]);
}

#[test]
fn memory_is_searched() {
    let cli = Cli::new();
    let facts = facts(31, 6);
    documents(&cli, &facts);
    let report = cli.json(&["ingest", "papers"]);
    assert_eq!(report["ingested"][0]["report"]["files"], 2, "{report}");
    let found = cli.json(&["memory", "search", &facts[2].question, "-k", "2"]);
    let first = &found["results"][0];
    assert!(first["text"].as_str().unwrap().contains(&facts[2].figure), "{found}");
    for field in ["id", "score", "source", "position", "at", "labels"] {
        assert!(!first[field].is_null(), "{field} of {first}");
    }
    // What belongs to one agent is not another's.
    let cli = Cli::new();
    documents(&cli, &facts);
    cli.run(&["ingest", "papers", "--agent", "clerk"]).expect(0);
    let found = |agent: &str| {
        cli.json(&["memory", "search", &facts[0].question, "--agent", agent])["results"].as_array().unwrap().len()
    };
    assert!(found("clerk") > 0);
    assert_eq!(found("other"), 0);
}

#[test]
fn an_untouched_journal_verifies() {
    let cli = Cli::new();
    cli.ask("What is 3 * 4?", &[]);
    let report = cli.json(&["audit", "verify"]);
    assert_eq!((&report["ok"], &report["runs"], &report["faults"]), (&json!(true), &json!(1), &json!([])));
    assert!(report["records"].as_u64().unwrap() > 5);
}

#[test]
fn the_doctor_finds_a_sound_installation_sound() {
    let cli = Cli::new();
    let ended = cli.run(&["doctor"]);
    for expected in ["data folder", "root key", "flush", "disk space", "clock", "database", "sandbox", "models"] {
        assert!(ended.out.contains(expected), "{expected} is not in {ended:?}");
    }
    let ended = ended.expect(0);
    assert!(!ended.out.contains('✗'), "{ended:?}");
    assert!(!cli.data().join("l9.db").exists(), "looking made a database");
}
