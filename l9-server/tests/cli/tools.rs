//! `tools sign|accept|disable|revoke` at the terminal, and what a deployment demands.

use serde_json::{Value, json};

use crate::support::Cli;

fn notes(version: &str) -> Value {
    json!({
        "schema_version": 1, "id": "notes/list", "version": version, "title": "Notes", "description": "Lists notes.",
        "runtime": {"kind": "http", "method": "GET", "url": "https://notes.example.com/v1/notes"},
        "input_schema": {"type": "object"}, "effect": "read",
        "net": [{"scheme": "https", "host": "notes.example.com", "methods": ["GET"], "path_prefix": "/v1"}]
    })
}

fn version<'a>(tools: &'a Value, id: &str, version: &str) -> &'a Value {
    let found = tools.as_array().unwrap().iter().find(|tool| tool["id"] == id && tool["version"] == version);
    found.unwrap_or_else(|| panic!("no {id} {version} in {tools}"))
}

#[test]
fn a_manifest_is_signed_and_taken_where_its_key_is_listed() {
    let cli = Cli::new();
    cli.write(".l9/tools/notes.json", notes("1.0.0").to_string());
    let cli = cli.with("L9__TOOLS__REQUIRE_SIGNATURE", "true");
    let refused = cli.run(&["tools", "list"]).expect(2);
    refused.names(&["notes.json", "signature: notes/list 1.0.0 is not signed", "tools.trusted_keys"]);
    let doctor = cli.run(&["doctor", "--json"]).expect(1).json();
    let tools = doctor["checks"].as_array().unwrap().iter().find(|check| check["name"] == "tools").unwrap();
    assert!(!tools["ok"].as_bool().unwrap() && tools["found"].as_str().unwrap().contains("notes.json"), "{tools}");

    let sign = ["tools", "sign", ".l9/tools/notes.json", "--key", "release.key"];
    cli.run(&sign).expect(2).names(&["there is no key release.key", "--create"]);
    let signed = cli.json(&[&sign[..], &["--create"]].concat());
    assert_eq!((&signed["id"], &signed["version"]), (&json!("notes/list"), &json!("1.0.0")));
    let key = signed["key"].as_str().unwrap();
    cli.run(&["tools", "list"]).expect(2).names(&["which tools.trusted_keys does not list"]);
    cli.write("config.yaml", format!("tools:\n  trusted_keys:\n    release: {key}\n"));
    let listed = cli.json(&["tools", "list"]);
    let notes = version(&listed, "notes/list", "1.0.0");
    assert_eq!(notes["contract_hash"], signed["contract_hash"]);
    assert_eq!((&notes["signer"], &notes["state"]), (&json!("release"), &json!("accepted")));
    assert_eq!((&notes["in_use"], &notes["source"]), (&json!(true), &json!("operator")));
}

#[test]
fn a_tool_is_disabled_accepted_and_revoked_with_a_statement_for_each() {
    let cli = Cli::new();
    let sum = ["tools", "call", "calc/evaluate", r#"{"expression": "6 * 7"}"#];
    let disable = ["tools", "disable", "calc/evaluate", "--reason", "it is checked first"];
    cli.run(&disable).expect(2).names(&["there is no database"]);
    cli.run(&sum).expect(0);
    cli.run(&["tools", "disable", "calc/evaluate", "--reason", " "]).expect(2).names(&["reason"]);
    let disabled = cli.json(&disable);
    let [one] = disabled["decided"].as_array().unwrap().as_slice() else { panic!("{disabled}") };
    assert_eq!((&one["tool"], &one["state"]), (&json!("calc/evaluate@1.0.2"), &json!("disabled")));
    assert!(one["statement"].as_str().unwrap().contains("/tool\ncalc/evaluate\n1.0.2\n"), "{one}");
    assert_eq!(cli.json(&disable)["decided"], json!([]), "it is so already");
    cli.run(&sum).expect(4).names(&["calc/evaluate 1.0.2 was disabled by", "it is checked first"]);
    assert_eq!(version(&cli.json(&["tools", "list"]), "calc/evaluate", "1.0.2")["state"], "disabled");
    cli.run(&["tools", "accept", "calc/evaluate", "--reason", "it is sound"]).expect(0);
    cli.run(&sum).expect(0);
    let contract = one["contract_hash"].as_str().unwrap();
    let revoke = ["tools", "revoke", "calc/evaluate", "--contract", &contract[..12], "--reason", "breached"];
    // What is wrong in the folder of tools does not stand in the way.
    cli.write(".l9/tools/bad.json", "{");
    cli.run(&revoke).expect(0);
    std::fs::remove_file(cli.data().join("tools/bad.json")).unwrap();
    cli.run(&["tools", "accept", "calc/evaluate", "--reason", "please"]).expect(1).names(&["nothing of calc/evaluate"]);
    cli.run(&["tools", "accept", "calc/evaluate@1.0.2", "--reason", "please"]).expect(1).names(&["was revoked by"]);
    let shown = cli.json(&["tools", "inspect", "calc/evaluate"]);
    let history = shown["versions"][0]["history"].as_array().unwrap();
    let states: Vec<&str> = history.iter().map(|change| change["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["accepted", "disabled", "accepted", "revoked"]);
    assert_eq!((&history[3]["reason"], &history[3]["cause"]), (&json!("breached"), &json!("decision")));
    assert!(shown["grants"].as_array().unwrap().contains(&json!("touches nothing outside")), "{shown}");
    cli.run(&["audit", "verify"]).expect(0);
}

#[test]
fn versions_are_called_by_name_and_an_older_one_waits() {
    let cli = Cli::new();
    cli.write(".l9/tools/notes.json", notes("2.0.0").to_string());
    cli.run(&["run", "researcher", "What is 2 + 3?"]).expect(0);
    cli.write(".l9/tools/notes.json", notes("1.0.0").to_string());
    let listed = cli.json(&["tools", "list"]);
    assert_eq!(version(&listed, "notes/list", "1.0.0")["state"], "offered");
    let newer = version(&listed, "notes/list", "2.0.0");
    assert_eq!((&newer["state"], &newer["manifest"]), (&json!("accepted"), &json!(null)));
    cli.run(&["tools", "call", "notes/list", "{}"])
        .expect(4)
        .names(&["2.0.0 is in use and not here", "older than 2.0.0"]);
    cli.run(&["tools", "call", "notes/list@3.0.0", "{}"]).expect(2).names(&["tools inspect notes/list"]);
    cli.run(&["tools", "accept", "notes/list", "--reason", "back"]).expect(0);
    let listed = cli.json(&["tools", "list"]);
    assert_eq!(version(&listed, "notes/list", "1.0.0")["in_use"], true);
    let people = cli.run(&["tools", "list"]).expect(0).out;
    assert!(people.contains("accepted, in use"), "{people}");
}
