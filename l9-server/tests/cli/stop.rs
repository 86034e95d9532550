//! `stop` and `unstop` at the terminal.

use serde_json::{Value, json};

use crate::support::{Cli, documents, facts};

#[test]
fn what_is_stopped_stays_stopped_until_somebody_says_why_it_goes_on() {
    let cli = Cli::new();
    let folder = documents(&cli, &facts(7, 4));
    cli.run(&["ingest", folder.to_str().unwrap()]).expect(0);
    cli.run(&["unstop", "--reason", "mended"]).expect(2).names(&["no stop of * stands"]);
    cli.run(&["stop", "--reason", ""]).expect(2).names(&["reason"]);
    let stopped = cli.json(&["stop", "--reason", "it \u{1b}[2J mails everybody", "--within", "60"]);
    assert_eq!(stopped["stop"]["scope"], "*");
    assert_eq!(stopped["held"], 0);
    cli.run(&["run", "researcher", "What is what?"]).expect(1).names(&["tenant default is stopped", "unstop"]);
    let again = cli.json(&["stop", "--reason", "another"]);
    assert_eq!(again["stop"]["reason"], stopped["stop"]["reason"], "the first stands");
    let verified = cli.run(&["audit", "verify"]).expect(0);
    assert!(!verified.out.contains("began while"), "{verified:?}");
    let lifted = cli.json(&["unstop", "--reason", "mended"]);
    assert!(lifted["statement"].as_str().unwrap().contains("/lifted\n*\n"), "{lifted}");
    cli.run(&["run", "researcher", "What is what?"]).expect(0);
    cli.run(&["audit", "verify"]).expect(0);
    tells_what_was_stated(&cli, &stopped, &lifted);

    // What was stated cannot be changed unnoticed.
    let database = cli.data().join("l9.db");
    let mut bytes = std::fs::read(&database).unwrap();
    let stated = b"/quiet\n*\n";
    let at = bytes.windows(stated.len()).position(|window| window == stated).expect("it is in the database");
    bytes[at + stated.len() - 2] = b'x';
    std::fs::write(&database, bytes).unwrap();
    let verified = cli.run(&["audit", "verify"]).expect(1);
    assert!(verified.out.contains("does not verify"), "{verified:?}");
}

#[test]
fn policies_that_cannot_be_used_stand_in_the_way_of_no_stop() {
    let cli = Cli::new();
    let folder = documents(&cli, &facts(7, 4));
    cli.run(&["ingest", folder.to_str().unwrap()]).expect(0);
    std::fs::create_dir(cli.data().join("policies")).unwrap();
    std::fs::create_dir(cli.data().join("tools")).unwrap();
    let policies = cli.data().join("policies/own.cedar");
    std::fs::write(&policies, "forbid (principal, action, resource").unwrap();
    std::fs::write(cli.data().join("tools/broken.yaml"), "id: [").unwrap();
    cli.run(&["runs", "list"]).expect(2);
    let stopped = cli.run(&["stop", "--reason", "it mails everybody"]).expect(0);
    assert!(stopped.err.contains("the policies are left out"), "{stopped:?}");
    std::fs::remove_file(cli.data().join("tools/broken.yaml")).unwrap();
    cli.run(&["unstop", "--reason", "mended"]).expect(2).names(&["own.cedar"]);

    // Nothing else is done against them.
    std::fs::write(&policies, "forbid (principal, action, resource);").unwrap();
    cli.run(&["stop", "--reason", "again"]).expect(0);
    cli.run(&["unstop", "--reason", "mended"]).expect(4).names(&["person:local", "unstop"]);
    cli.run(&["retention", "run", "--older-than", "1d"]).expect(4).names(&["retention"]);
    cli.run(&["retention", "run", "--older-than", "1d", "--dry-run"]).expect(0);
    std::fs::remove_file(&policies).unwrap();
    std::fs::remove_dir(cli.data().join("policies")).unwrap();
    cli.run(&["unstop", "--reason", "mended"]).expect(0);
}

/// `l9-verify` over the statements, as whoever was given them and the key uses it.
fn tells_what_was_stated(cli: &Cli, stopped: &Value, lifted: &Value) {
    let vkey = cli.vkey();
    let statement = stopped["statement"].as_str().unwrap();
    cli.write("stop.statement", statement);
    let told = cli.verify(&["stop.statement", "--vkey", &vkey]).expect(0).out;
    for words in [
        "stopped all tenants at ",
        stopped["stop"]["by"].as_str().unwrap(),
        stopped["stop"]["at"].as_str().unwrap(),
        r#"why: "it \u{1b}[2J mails everybody""#,
        &format!("all was quiet at {}", stopped["quiet_at"].as_str().unwrap()),
        "within the 60000 ms",
    ] {
        assert!(told.contains(words), "{words:?} is not in {told}");
    }
    let verdict = cli.verify(&["stop.statement", "--vkey", &vkey, "--json"]).expect(0).json();
    assert_eq!((&verdict["ok"], &verdict["in_time"]), (&json!(true), &json!(true)), "{verdict}");
    assert_eq!(
        (&verdict["order"]["reason"], &verdict["standstill"]["turn"]),
        (&stopped["stop"]["reason"], &json!("quiet"))
    );
    cli.write("lift.statement", lifted["statement"].as_str().unwrap());
    let told = cli.verify(&["lift.statement", "--vkey", &vkey]).expect(0).out;
    assert!(told.contains("let all tenants go on") && told.contains("\"mended\""), "{told}");
    cli.write("forged.statement", statement.replacen("mails", "tells", 1));
    let rejected = cli.verify(&["forged.statement", "--vkey", &vkey]).expect(1);
    assert!(rejected.out.contains("✗ order: ") && rejected.out.ends_with("rejected\n"), "{rejected:?}");
    assert!(!rejected.out.contains("stopped"), "nothing is said of what does not hold: {rejected:?}");
    let (_, note) = statement.split_once('\n').unwrap();
    cli.write("note", note);
    let told = cli.verify(&["note", "--vkey", &vkey]).expect(0).out;
    assert!(told.contains("somebody stopped all tenants") && told.contains("not in the file"), "{told}");
    cli.write("head.note", "a checkpoint");
    let wrong = cli.verify(&["note", "--vkey", &vkey, "--trusted-head", "head.note"]).expect(2);
    assert!(wrong.err.contains("--trusted-head"), "{wrong:?}");
}

#[test]
fn neither_a_stop_nor_a_revocation_waits_for_secrets_policies_or_a_witness() {
    use std::os::unix::fs::PermissionsExt as _;
    let cli = Cli::new();
    cli.run(&["tools", "call", "calc/evaluate", r#"{"expression": "1"}"#]).expect(0);
    cli.write("config.yaml", "tools:\n  secrets:\n    notes-key: { hosts: [notes.example.com] }\n");
    cli.write(".l9/secrets/notes-key", "hunter2-hunter2");
    let file = cli.data().join("secrets/notes-key");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    cli.write("policies/broken.cedar", "permit (");
    let cli = cli.with("L9__POLICY__DIR", "policies").with("L9__AUDIT__WITNESS", "https://witness.invalid/l9");
    // Control: whatever else opens the runtime is stopped by them.
    assert_ne!(cli.run(&["tools", "call", "calc/evaluate", r#"{"expression": "1"}"#]).code, 0);

    let stopped = cli.json(&["stop", "--reason", "it mails everybody"]);
    assert_eq!(stopped["stop"]["scope"], "*");
    let decided = cli.json(&["tools", "revoke", "calc/evaluate", "--reason", "it errs"]);
    assert_eq!(decided["decided"][0]["state"], "revoked");
}
