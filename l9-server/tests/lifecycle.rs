//! The life of a run through the binary: waits, pauses, signals, forks, replays, expiry.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const WAIT: &str = r#"{"signal":"go","seconds":3600}"#;

fn l9(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_l9-server"))
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .args(["--data-dir", "data", "--json"])
        .args(arguments)
        .output()
        .unwrap()
}

/// The JSON that a command printed, and its exit code.
fn said(folder: &Path, arguments: &[&str]) -> (i32, Value) {
    let output = l9(folder, arguments);
    let code = output.status.code().unwrap();
    let text = if output.stdout.is_empty() { &output.stderr } else { &output.stdout };
    let value = serde_json::from_slice(text);
    (code, value.unwrap_or_else(|_| Value::String(String::from_utf8_lossy(text).into_owned())))
}

fn run_of(value: &Value) -> String {
    value["run_id"].as_str().unwrap().to_owned()
}

#[test]
fn a_run_waits_over_restarts_until_its_signal_comes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (code, waiting) = said(folder, &["tools", "call", "run/wait", WAIT]);
    assert_eq!((code, waiting["outcome"].as_str()), (3, Some("waiting")), "{waiting}");
    assert_eq!(waiting["waiting"]["waits"][0]["signal"], "go");
    let run = run_of(&waiting);
    let head = |folder| said(folder, &["runs", "show", &run]).1["head_hash"].clone();
    let before = head(folder);
    let (code, error) = said(folder, &["runs", "signal", &run, "stop"]);
    assert_eq!(code, 1, "{error}");
    assert!(error.to_string().contains("waits for go"), "{error}");
    assert_eq!(head(folder), before, "nothing was written");

    let (code, paused) = said(folder, &["runs", "pause", &run, "--reason", "look"]);
    assert_eq!((code, paused["paused"].as_bool()), (0, Some(true)), "{paused}");
    let (code, error) = said(folder, &["runs", "pause", &run, "--reason", "again"]);
    assert_eq!(code, 1, "{error}");
    let (code, resumed) = said(folder, &["runs", "resume", &run, "--reason", "fine"]);
    assert_eq!((code, resumed["outcome"].as_str()), (3, Some("waiting")), "it still waits: {resumed}");

    let (code, ended) = said(folder, &["runs", "signal", &run, "go", "--value", r#"{"n":1}"#]);
    assert_eq!((code, ended["outcome"].as_str()), (0, Some("succeeded")), "{ended}");
    assert_eq!(ended["answer"]["value"]["n"], 1);
    let (code, replayed) = said(folder, &["runs", "replay", &run]);
    assert_eq!((code, &replayed["divergence"]), (0, &Value::Null), "{replayed}");
    let (code, diverged) = said(folder, &["runs", "replay", &run, "--result", r#"call={"other":1}"#]);
    assert_eq!(code, 1);
    assert!(diverged["divergence"]["seq"].as_u64().is_some(), "{diverged}");
}

#[test]
fn a_fork_shares_its_parents_past_and_leaves_it_alone() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (code, ended) = said(folder, &["run", "researcher", "What is 17.5% of 2,340?"]);
    assert_eq!(code, 0, "{ended}");
    let parent = run_of(&ended);
    let before = said(folder, &["runs", "show", &parent]).1;
    let changed = r#"turn/1/tool/0={"expression":"17.5% of 2,340","result":"7","unit":null,"value":7}"#;
    let (code, forked) = said(folder, &["runs", "fork", &parent, "--at", "8", "--result", changed]);
    assert_eq!(code, 0, "{forked}");
    assert!(forked["answer"].as_str().unwrap().contains('7'), "{forked}");
    let fork = run_of(&forked);
    assert_eq!(said(folder, &["runs", "show", &parent]).1, before, "the parent is as it was");
    let (_, diff) = said(folder, &["runs", "diff", &parent, &fork]);
    assert_eq!(diff["shared"], 8, "{diff}");
    assert_eq!(diff["differences"][0]["what"], "turn/1/tool/0");
    let (code, error) = said(folder, &["runs", "fork", &parent, "--at", "99"]);
    assert_eq!(code, 2, "{error}");
    assert!(error.to_string().contains("no seq 99"), "{error}");

    // The fork expires; its parent is shared, and stays.
    let (code, expired) = said(folder, &["retention", "run", "--older-than", "0s"]);
    assert_eq!((code, expired["expired"]["runs"].as_u64()), (0, Some(1)), "{expired}");
    let shown = said(folder, &["runs", "show", &fork]).1;
    assert_eq!(shown["answer"], forked["answer"], "its last state stays");
    let (code, error) = said(folder, &["runs", "replay", &fork]);
    assert_ne!(code, 0);
    assert!(error.to_string().contains("expired"), "{error}");
    assert_eq!(said(folder, &["audit", "verify"]).0, 0);
}
