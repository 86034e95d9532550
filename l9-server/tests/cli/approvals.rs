//! `approvals list|approve|reject` at the terminal: exit codes, what is refused, and that it
//! is recorded. What an approval does is tested with everything else that leaves, in `ledger`.

use serde_json::{Value, json};

use crate::support::{Cli, Ended};

const ADA: &str = r#"{"to":"ada","amount":5}"#;

/// Over a tool that asks a person every time, and that nothing stands behind.
fn bank() -> Cli {
    let cli = Cli::new();
    let manifest = json!({
        "schema_version": 1, "id": "bank/pay", "version": "1.0.0", "title": "Pay", "description": "Pays somebody.",
        "effect": "keyed_write", "approval": "always",
        "runtime": {"kind": "http", "method": "POST", "url": "http://127.0.0.1:9/keyed"},
        "input_schema": {
            "type": "object", "required": ["to", "amount"], "additionalProperties": false,
            "properties": {"to": {"type": "string"}, "amount": {"type": "integer", "minimum": 1}},
        },
        "net": [{"scheme": "http", "host": "127.0.0.1", "port": 9, "methods": ["POST"], "allow_private": true}],
    });
    cli.write(".l9/tools/pay.json", manifest.to_string());
    cli
}

/// The run that asks, and its question.
fn asked(cli: &Cli, further: &[&str]) -> (String, String) {
    let waiting = cli.run(&[&["tools", "call", "bank/pay", ADA, "--json"], further].concat()).expect(3).json();
    assert_eq!(waiting["outcome"], "waiting", "{waiting}");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&waiting["run_id"]), text(&waiting["waiting"]["approvals"][0]["id"]))
}

/// The kinds of a run's events, and the reasons of those that refuse a command.
fn journal(cli: &Cli, run: &str) -> (Vec<String>, Vec<String>) {
    let events: Vec<Value> = cli.events(run).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let refused = events.iter().filter(|event| event["kind"] == "command.rejected");
    let refused = refused.inspect(|event| assert_eq!(event["data"]["by"], "person:local"));
    let reasons = refused.map(|event| event["data"]["reason"].as_str().unwrap().to_owned()).collect();
    (events.iter().map(|event| event["kind"].as_str().unwrap().to_owned()).collect(), reasons)
}

fn approve(cli: &Cli, id: &str, further: &[&str]) -> Ended {
    cli.run(&[&["approvals", "approve", id, "--reason", "fine"], further].concat())
}

#[test]
fn a_question_is_listed_and_a_wrong_decision_is_refused_and_recorded() {
    let cli = bank();
    let (run, id) = asked(&cli, &[]);
    let listed = cli.run(&["approvals", "list"]).expect(0);
    for words in [&id, "bank/pay", r#""to":"ada""#, "because", "for person:local, until"] {
        assert!(listed.out.contains(words), "{words:?}: {listed:?}");
    }
    assert_eq!(cli.json(&["approvals", "list"])["approvals"][0]["reasons"].as_array().unwrap().len(), 1);
    approve(&cli, &id.replace(".1", ".2"), &[]).expect(1).names(&["question 2 is not open: open are 1"]);
    approve(&cli, &id, &["--args", "ada"]).expect(2).names(&["--args is not JSON"]);
    approve(&cli, &id, &["--args", r#"{"to":"ada"}"#]).expect(2).names(&["do not fit", "amount"]);
    approve(&cli, "01890000-0000-7000-8000-000000000000.1", &[]).expect(2).names(&["does not exist"]);
    let (kinds, refused) = journal(&cli, &run);
    assert!(refused.len() == 2 && refused[0].contains("not open") && refused[1].contains("do not fit"), "{refused:?}");
    assert!(!kinds.iter().any(|kind| kind == "effect.intent"), "{kinds:?}");

    let rejected = cli.run(&["approvals", "reject", &id, "--reason", "not this month", "--json"]).expect(4).json();
    assert_eq!((&rejected["code"], &rejected["run_id"]), (&json!("denied.rejected"), &json!(run)));
    assert_eq!(cli.json(&["approvals", "list"])["approvals"], json!([]));
    approve(&cli, &id, &[]).expect(1).names(&["the run has ended"]);
    assert_eq!(cli.json(&["audit", "verify"])["ok"], true);
}

#[test]
fn a_decision_may_be_left_to_whoever_works_next() {
    let cli = bank();
    let (run, id) = asked(&cli, &[]);
    let left = cli.json(&["approvals", "reject", &id, "--reason", "no", "--detach"]);
    assert_eq!(left["run_id"], run.as_str());
    assert_eq!(cli.json(&["runs", "show", &run])["state"], "waiting");
    // Whoever works next works on that as well, as far as there is time.
    let ended = (0..20).any(|_| {
        asked(&cli, &[]);
        cli.json(&["runs", "show", &run])["state"] == "failed"
    });
    assert!(ended, "{}", cli.events(&run));
    assert!(cli.events(&run).contains("person:local rejected it: no"), "{}", cli.events(&run));
}

#[test]
fn a_question_whose_time_has_passed_is_nobodys_to_approve() {
    let cli = bank();
    // The clock of a seed stands still, long ago.
    let (run, id) = asked(&cli, &["--seed", "7"]);
    approve(&cli, &id, &[]).expect(1).names(&["was open until 2000-01-08", "--seed 7"]);
    let (kinds, refused) = journal(&cli, &run);
    assert!(refused.len() == 1 && refused[0].contains("was open until"), "{refused:?}");
    assert!(kinds.contains(&"effect.denied".to_owned()), "{kinds:?}");
    assert_eq!(cli.json(&["runs", "show", &run])["state"], "failed");
}
