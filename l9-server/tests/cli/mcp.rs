//! Tools of MCP servers from the command line.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::Cli;

/// A folder whose configuration names two servers, one of which does not exist.
fn configured() -> Cli {
    let rude = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/mcp/rude.py");
    let cli = Cli::new().with("PATH", &std::env::var("PATH").unwrap());
    let configuration = format!(
        "mcp:\n  servers:\n    notes:\n      command: python3\n      args: [{rude:?}]\n      tools: [echo, fail, parent]\n      \
         secrets: {{ TOKEN: notes-key }}\n    gone:\n      command: no-such-program-anywhere\n"
    );
    cli.write("config.yaml", configuration);
    cli.with("L9_SECRET_NOTES_KEY", "hunter2-hunter2")
}

#[test]
fn they_are_listed_called_recorded_and_verified_like_any_other() {
    let cli = configured();
    let listed = cli.run(&["tools", "list", "--json"]).expect(0);
    assert!(listed.err.contains("there is no program no-such-program-anywhere"), "{}", listed.err);
    let ids: Vec<String> =
        listed.json().as_array().unwrap().iter().map(|tool| tool["id"].as_str().unwrap().to_owned()).collect();
    assert!(ids.iter().any(|id| id == "notes/echo") && !ids.iter().any(|id| id == "notes/die"), "{ids:?}");
    let called = cli.json(&["tools", "call", "notes/echo", r#"{"a": 1}"#]);
    assert_eq!(called["answer"]["text"], "{\"a\": 1}", "{called}");
    let events = cli.events(called["run_id"].as_str().unwrap());
    for kind in ["effect.intent", "effect.result"] {
        let one: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(one.iter().filter(|event| event["kind"] == kind).count(), 1, "{events}");
    }
    cli.run(&["audit", "verify"]).expect(0);
    cli.export(&called, "bundle.json", &[]);
    cli.verify(&["bundle.json", "--vkey", &cli.vkey()]).expect(0);
}

#[test]
fn doctor_says_whose_program_is_missing_and_starts_none() {
    let cli = configured();
    let checked = cli.run(&["doctor", "--json"]);
    assert!(checked.out.contains("gone: there is no program no-such-program-anywhere"), "{checked:?}");
    assert!(!cli.data().join("mcp").exists(), "a server was started");
    let shown = cli.run(&["config", "show", "--json"]).expect(0);
    assert!(!shown.out.contains("hunter2") && shown.out.contains("notes-key"), "{shown:?}");
}

/// A server is a process of the same user, and sees the processes of that user.
#[cfg(target_os = "linux")]
#[test]
fn a_server_cannot_read_the_environment_of_the_process_that_started_it() {
    use std::os::unix::fs::MetadataExt as _;
    let cli = configured();
    let mut command = cli.command(&["tools", "call", "notes/parent", "{}", "--json"]);
    if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
        // Root without the rights that let it trace any process.
        let mut bare = Command::new("setpriv");
        bare.args(["--bounding-set", "-all", "--inh-caps", "-all"]).arg(command.get_program()).args(command.get_args());
        bare.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?)))).current_dir(cli.folder());
        command = bare;
    }
    let output = command.output().expect("setpriv is needed: install util-linux");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains(r#""text":"refused""#), "{told} {}", String::from_utf8_lossy(&output.stderr));
}
