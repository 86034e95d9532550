//! `schedules` at the terminal: what is made is shown, and what is wrong is named with its mend.

use crate::support::Cli;

const REPORT: [&str; 11] = [
    "schedules",
    "add",
    "report",
    "--cron",
    "0 8 * * MON-FRI",
    "--zone",
    "Europe/Berlin",
    "--agent",
    "researcher",
    "--input",
    "What is new?",
];

#[test]
fn a_schedule_is_made_shown_held_and_removed() {
    let cli = Cli::cold();
    let made = cli.json(&[&REPORT[..], &["--overlap", "queue"]].concat());
    assert_eq!(made["id"], "report", "{made}");
    assert_eq!(made["definition"]["when"]["cron"]["zone"], "Europe/Berlin");
    assert_eq!((&made["definition"]["overlap"], &made["definition"]["catch_up"]), (&"queue".into(), &"one".into()));
    assert_eq!(made["by"]["subject"], "person:local");
    cli.run(&REPORT).expect(1).names(&["there is a schedule report already"]);
    let sums = ["--tool", "calc/evaluate", "--arguments", r#"{"expression":"2 + 2"}"#, "--jitter", "5m"];
    cli.run(&[&["schedules", "add", "sums", "--every", "1h"], &sums[..]].concat()).expect(0);
    let listed = cli.run(&["schedules", "list"]).expect(0).out;
    for words in ["report", "0 8 * * MON-FRI (Europe/Berlin)", "researcher", "sums", "every 3600s", "calc/evaluate"] {
        assert!(listed.contains(words), "{words:?} is not in {listed}");
    }
    assert_eq!(cli.json(&["schedules", "list"]).as_array().unwrap().len(), 2);
    let shown = cli.run(&["schedules", "show", "report"]).expect(0).out;
    assert!(shown.contains("What is new?") && shown.contains("by person:local"), "{shown}");
    let ticks = cli.json(&["schedules", "preview", "sums", "-n", "3"])["ticks"].clone();
    assert_eq!(ticks.as_array().unwrap().len(), 3);
    assert!(
        ticks[0]["at"].as_str() >= ticks[0]["tick"].as_str() && ticks[0]["at"].as_str() < ticks[1]["tick"].as_str()
    );
    cli.run(&["schedules", "pause", "report"]).expect(0);
    assert!(cli.run(&["schedules", "list"]).expect(0).out.contains("paused"));
    let paused = cli.json(&["schedules", "show", "report"]);
    assert_eq!((&paused["paused"]["by"], &paused["next"]), (&"person:local".into(), &serde_json::Value::Null));
    assert!(cli.run(&["schedules", "resume", "report"]).expect(0).out.contains("goes on; it is due at"));
    cli.run(&["schedules", "remove", "report"]).expect(0);
    for gone in ["show", "pause", "resume", "preview", "remove"] {
        cli.run(&["schedules", gone, "report"]).expect(2).names(&["there is no schedule report"]);
    }
    let other = cli.run(&["--tenant", "acme", "schedules", "list"]).expect(0).out;
    assert!(other.contains("no schedules"), "{other}");
}

#[test]
fn what_is_wrong_with_a_schedule_is_named_with_its_mend() {
    let cli = Cli::cold();
    let agent = ["--agent", "researcher", "--input", "x"];
    let add = |when: &[&str], starts: &[&str]| cli.run(&[&["schedules", "add", "a"], when, starts].concat()).expect(2);
    add(&["--cron", "0 25 * * *"], &agent).names(&["field 2 of the cron line, the hour, is \"25\": use 0 to 23"]);
    add(&["--cron", "0 0 * *"], &agent).names(&["has 4 fields: use 5"]);
    add(&["--cron", "0 0 30 2 *"], &agent).names(&["0 0 30 2 * (UTC) never comes after"]);
    add(&["--cron", "@daily", "--zone", "Europe/Berlim"], &agent).names(&["did you mean Europe/Berlin"]);
    add(&["--at", "2001-01-01T00:00:00Z"], &agent).names(&["never comes after"]);
    add(&["--every", "1h"], &["--agent", "nobody", "--input", "x"]).names(&["nobody"]);
    add(&["--every", "1h"], &["--tool", "calc/evaluat"]).names(&["calc/evaluat"]);
    let about = ["--tool", "memory/remember", "--arguments", r#"{"text":"likes tea","subject":"person:bob"}"#];
    add(&["--every", "1h"], &about).names(&["the arguments name a data subject"]);
    assert!(add(&["--every", "1h", "--overlap", "wait"], &agent).err.contains("`skip`, `queue`, `replace`"));
    assert!(add(&[], &agent).err.contains("--cron"));
    assert!(add(&["--every", "1h"], &[]).err.contains("--agent"));
    assert!(
        add(&["--every", "1h"], &["--tool", "calc/evaluate", "--arguments", "2"]).err.contains("no object in JSON")
    );
    cli.run(&["schedules", "add", "No Name", "--every", "1h", "--agent", "researcher", "--input", "x"]).expect(2);
}
