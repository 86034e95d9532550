//! What a person writes at the terminal that happens to hold a secret.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::Cli;

const SECRET: &str = "nk-5ecret-0123456789-abcdef";

/// A command line that knows the secret, or does not.
fn knowing(known: bool) -> Cli {
    let cli = Cli::new().with("LOG_LEVEL", "trace").with("LOG_FORMAT", "json");
    cli.write("config.yaml", "tools:\n  secrets:\n    notes-key: { hosts: [notes.example.com] }\n");
    if known { cli.with("L9_SECRET_NOTES_KEY", SECRET) } else { cli }
}

/// Whether a text stands in any file of the data folder.
fn kept(cli: &Cli, text: &str) -> bool {
    fn within(folder: &std::path::Path, text: &[u8]) -> bool {
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).any(|path| {
            if path.is_dir() {
                return within(&path, text);
            }
            std::fs::read(path).unwrap().windows(text.len()).any(|window| window == text)
        })
    }
    within(&cli.data(), text.as_bytes())
}

#[test]
fn a_secret_in_somebodys_own_words_is_refused_before_any_of_them_is_kept() {
    let escaped: String = SECRET.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
    let (first, _) = SECRET.split_at(SECRET.len() / 2);
    let cli = knowing(true);
    for written in [SECRET, escaped.as_str(), first] {
        let arguments = format!(r#"{{"expression": "1 + {written}"}}"#);
        let ended = cli.run(&["tools", "call", "calc/evaluate", &arguments, "--json"]).expect(2);
        assert!(ended.out.contains("the call's arguments hold a known secret"), "{ended:?}");
        for told in [&ended.out, &ended.err] {
            assert!(!told.contains(written) && !told.contains(SECRET), "{ended:?}");
        }
        let ended = cli.run(&["run", "researcher", &format!("What is {SECRET}?"), "--json"]).expect(2);
        assert!(ended.out.contains("the input holds a known secret"), "{ended:?}");
        assert!(!ended.out.contains(SECRET) && !ended.err.contains(SECRET), "{ended:?}");
        assert_eq!(cli.json(&["runs", "list"]), json!([]));
        assert!(!kept(&cli, written));
    }

    // Control: where nobody knows that it is secret, the same words are a run that shows them.
    let open = knowing(false);
    let arguments = format!(r#"{{"expression": "1 + {SECRET}"}}"#);
    let ended = open.run(&["tools", "call", "calc/evaluate", &arguments, "--json"]);
    let called: Value = serde_json::from_str(ended.out.lines().last().unwrap()).unwrap();
    assert!(open.events(called["run_id"].as_str().unwrap()).contains(SECRET), "{ended:?}");
    open.write(".l9/seen.txt", SECRET);
    assert!(kept(&open, SECRET), "the search finds what is there");
}

#[test]
fn the_doctor_knows_a_sealed_secret_that_a_tool_names() {
    let cli = knowing(false);
    cli.run(&["tools", "call", "calc/evaluate", r#"{"expression": "6 * 7"}"#]).expect(0);
    let manifest = json!({
        "schema_version": 1, "id": "notes/list", "version": "1.0.0", "title": "Notes", "description": "Lists notes.",
        "runtime": {"kind": "http", "method": "GET", "url": "https://notes.example.com/v1/notes"},
        "input_schema": {"type": "object"}, "effect": "read",
        "net": [{"scheme": "https", "host": "notes.example.com", "methods": ["GET"], "path_prefix": "/v1"}],
        "secrets": [{"handle": "notes-key", "inject": {"header": "x-api-key"}, "audience": "notes.example.com"}]
    });
    cli.write(".l9/tools/notes.json", manifest.to_string());
    let tools = || {
        let doctor = cli.run(&["doctor", "--json"]).json();
        doctor["checks"].as_array().unwrap().iter().find(|check| check["name"] == "tools").unwrap().clone()
    };
    let without = tools();
    assert!(!without["ok"].as_bool().unwrap() && without["found"].to_string().contains("notes-key"), "{without}");
    let mut set = cli.command(&["secrets", "set", "notes-key"]);
    let mut set = set.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    set.stdin.take().unwrap().write_all(SECRET.as_bytes()).unwrap();
    assert!(set.wait().unwrap().success());
    let with = tools();
    assert!(with["ok"].as_bool().unwrap() && with["found"].to_string().contains("1 from manifests"), "{with}");
    assert!(!with.to_string().contains(SECRET));
}
