//! `keys`: a rotation through the front door, of all that a data folder keeps.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::Value;

use crate::support::Cli;

fn keys(cli: &Cli) -> Vec<Value> {
    cli.json(&["keys", "show"])["keys"].as_array().unwrap().clone()
}

#[test]
fn a_rotation_keeps_everything_and_destroys_the_old_key() {
    let cli = Cli::new();
    let called = cli.json(&["tools", "call", "calc/evaluate", r#"{"expression": "6 * 7"}"#]);
    cli.write("docs/a.md", "# Harbour\n\nThe harbour master of Lisbon is called Amelia.\n");
    cli.run(&["ingest", "docs"]).expect(0);
    cli.run(&["stop", "--tenant", "other", "--reason", "a drill"]).expect(0);
    let mut set = cli.command(&["secrets", "set", "notes-key"]);
    let mut set = set.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    set.stdin.take().unwrap().write_all(b"nk-0123456789-abcdef").unwrap();
    assert!(set.wait().unwrap().success());

    let before = keys(&cli);
    assert_eq!((before.len(), &before[0]["use"]), (1, &Value::from("seals")), "{before:?}");
    for table in ["records", "entries", "stops", "secrets"] {
        assert!(before[0]["tables"][table].as_u64() > Some(0), "{table}: {before:?}");
    }
    let text = std::fs::read_to_string(cli.data().join("root.key")).unwrap();
    let old = text.lines().find_map(|line| line.strip_prefix("key ")).unwrap()[..64].to_owned();

    // By date and by count, as a timer asks every day.
    let sealed = before[0]["sealed"].as_u64().unwrap();
    let at_most = (sealed + 1_000).to_string();
    let not_due = cli.json(&["keys", "rotate", "--older-than", "1d", "--more-than", &at_most]);
    assert_eq!(not_due, serde_json::json!({"due": false}));
    assert_eq!(keys(&cli)[0]["id"], before[0]["id"]);

    let prepared = cli.json(&["keys", "rotate", "--prepare"]);
    let rotated = cli.json(&["keys", "rotate"]);
    assert_eq!(rotated["key"], prepared["next"]);
    assert_eq!(rotated["destroyed"], serde_json::json!([before[0]["id"]]));
    let after = keys(&cli);
    assert_eq!((after.len(), &after[0]["id"]), (1, &rotated["key"]), "{after:?}");
    let by_count = cli.json(&["keys", "rotate", "--older-than", "1d", "--more-than", "3"]);
    assert_eq!(by_count["destroyed"], serde_json::json!([rotated["key"]]));
    let by_date = cli.json(&["keys", "rotate", "--older-than", "0s", "--more-than", &at_most]);
    assert_eq!(by_date["destroyed"], serde_json::json!([by_count["key"]]));
    let after = keys(&cli);
    assert!(after[0]["sealed"].as_u64() >= before[0]["sealed"].as_u64(), "{before:?} {after:?}");
    for file in std::fs::read_dir(cli.data()).unwrap().map(|file| file.unwrap().path()).filter(|file| file.is_file()) {
        let bytes = std::fs::read(&file).unwrap();
        assert!(!bytes.windows(64).any(|window| window == old.as_bytes()), "{} has the old key", file.display());
    }

    cli.run(&["audit", "verify"]).expect(0);
    let run = called["run_id"].as_str().unwrap();
    assert!(cli.run(&["runs", "events", run]).expect(0).out.contains("calc/evaluate"));
    let found = cli.json(&["memory", "search", "who is the harbour master?"]);
    assert!(found["results"][0]["text"].as_str().unwrap().contains("Amelia"), "{found}");
    // What was taken in is known by its token.
    cli.run(&["ingest", "docs"]).expect(0);
    let found = found["results"].as_array().unwrap().len();
    assert_eq!(cli.json(&["memory", "search", "harbour master"])["results"].as_array().unwrap().len(), found);
    let secrets = cli.json(&["secrets", "list"]);
    assert_eq!(secrets[0]["value"], "sealed", "{secrets}");
    cli.run(&["unstop", "--tenant", "other", "--reason", "it is over"]).expect(0);
    let doctor = cli.run(&["doctor", "--json"]).json();
    let root = doctor["checks"].as_array().unwrap().iter().find(|check| check["name"] == "root key").unwrap();
    assert_eq!(root["ok"], true, "{root}");
}
