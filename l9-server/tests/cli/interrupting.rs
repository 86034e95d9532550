//! Ctrl-C and cancellation from another process, while a model takes its time.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::Cli;

/// A provider that takes connections and never answers.
fn silent_provider() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    (listener, url)
}

/// The command line, a run of it that waits for the provider, and the run's id.
fn waiting(url: &str) -> (Cli, Child, String) {
    let cli = Cli::new().with("OPENAI_API_KEY", "sk-test").with("OPENAI_BASE_URL", url);
    let mut command = cli.command(&["run", "researcher", "What is the question?", "--json"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Killed, if it comes to that, before the folder goes away.
    let mut child = Waited(Some(child));
    // A machine that is busy with other tests compiles the tools for a while first.
    for _ in 0..800 {
        let listed = cli.run(&["runs", "list", "--json"]);
        if listed.code == 0
            && let Some(run) = listed.json().as_array().and_then(|runs| runs.first().cloned())
            && cli.events(run["run_id"].as_str().unwrap()).contains("\"kind\":\"model\"")
        {
            let child = child.0.take().unwrap();
            return (cli, child, run["run_id"].as_str().unwrap().to_owned());
        }
    }
    panic!("the run did not reach its model");
}

/// A child that does not outlive a test that failed.
struct Waited(Option<Child>);

impl Drop for Waited {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // It may have ended by itself.
            let _ = child.kill().and_then(|()| child.wait());
        }
    }
}

fn ended(child: Child) -> (Option<i32>, Value, String) {
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    let run = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {err}"));
    (output.status.code(), run, err)
}

#[cfg(unix)]
#[test]
fn ctrl_c_stops_the_run_through_its_inbox() {
    let (_provider, url) = silent_provider();
    let (cli, child, id) = waiting(&url);
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let (code, run, err) = ended(child);
    assert_eq!((code, &run["outcome"]), (Some(130), &json!("cancelled")), "{run} {err}");
    assert!(err.contains("asked the run to stop"), "{err}");
    assert_eq!(cli.json(&["runs", "show", &id])["state"], "cancelled");
    assert!(cli.events(&id).contains("cancel.requested"));
}

#[test]
fn another_process_cancels_a_run() {
    let (_provider, url) = silent_provider();
    let (cli, child, id) = waiting(&url);
    let stopped = cli.json(&["runs", "cancel", &id, "--reason", "enough"]);
    assert_eq!(stopped["state"], "cancelled", "{stopped}");
    let (code, run, err) = ended(child);
    assert_eq!(
        (code, &run["outcome"], &run["message"]),
        (Some(1), &json!("cancelled"), &json!("enough")),
        "{run} {err}"
    );
    cli.run(&["runs", "cancel", &id, "--reason", "again"]).expect(1).names(&["cancelled already"]);
}

#[test]
fn a_run_that_nobody_has_is_cancelled_by_the_one_who_asks() {
    let (_provider, url) = silent_provider();
    let (cli, mut child, id) = waiting(&url);
    child.kill().unwrap();
    child.wait().unwrap();
    let stopped = cli.json(&["runs", "cancel", &id, "--reason", "its process died"]);
    assert_eq!(stopped["state"], "cancelled", "{stopped}");
    assert_eq!(cli.json(&["audit", "verify"])["ok"], true);
}
