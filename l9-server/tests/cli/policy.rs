//! `policy simulate`: a trace in, one decision a call out.

use serde_json::{Value, json};

use crate::support::Cli;

const TRACES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../l9-core/tests/flow/traces");

#[test]
fn a_trace_is_judged_call_by_call_without_a_database() {
    let cli = Cli::cold();
    let trace = format!("{TRACES}/policy-trace.jsonl");
    let ended = cli.run(&["policy", "simulate", &trace, "--json"]).expect(0);
    let expected = std::fs::read_to_string(format!("{TRACES}/policy-trace.expected.jsonl")).unwrap();
    let lines = |text: &str| -> Vec<Value> { text.lines().map(|line| serde_json::from_str(line).unwrap()).collect() };
    let verdicts = lines(&ended.out);
    let bare: Vec<Value> = verdicts
        .iter()
        .map(|verdict| json!({"session": verdict["session"], "call": verdict["call"], "decision": verdict["decision"]}))
        .collect();
    assert_eq!(bare, lines(&expected));
    assert!(verdicts.iter().all(|verdict| !verdict["reasons"].as_array().unwrap().is_empty()));
    let table = cli.run(&["policy", "simulate", &trace]).expect(0);
    for words in ["SESSION", "office/send_mail", "billing@rook.example", "4 calls, 1 asked, 0 denied"] {
        assert!(table.out.contains(words), "{words}: {table:?}");
    }
    assert!(!cli.data().exists(), "nothing is opened or made");
}

#[test]
fn what_is_no_trace_is_named_by_its_line() {
    let cli = Cli::cold();
    let session = json!({"type": "session", "id": "s", "prompt": "", "principal": {"id": "p"}, "tools": []});
    for (lines, words) in [
        (vec!["nonsense".to_owned()], ["line 1", "no line of a trace"]),
        (vec![r#"{"type":"call","id":"c","tool":"a/b","args":{}}"#.to_owned()], ["line 1", "before any session"]),
        (vec![session.to_string(), r#"{"type":"call","id":"c","tool":"a/b"}"#.to_owned()], ["line 2", "a/b"]),
        (vec![session.to_string(), r#"{"type":"result","call":"c9"}"#.to_owned()], ["line 2", "c9"]),
    ] {
        let file = cli.write("trace.jsonl", lines.join("\n"));
        cli.run(&["policy", "simulate", file.to_str().unwrap()]).expect(2).names(&words);
    }
    cli.run(&["policy", "simulate", "missing.jsonl"]).expect(2).names(&["missing.jsonl"]);
}
