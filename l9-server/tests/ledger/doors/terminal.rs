//! The command line: a process for each command, over one data folder.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use super::{Door, Stand};
use crate::cases::{Alone, Decision};
use crate::command_line::{Cli, Ended};
use crate::outside::{Outside, write_letters};

/// A terminal.
pub(crate) struct Terminal {
    cli: Arc<Cli>,
}

impl Terminal {
    pub(crate) async fn open(outside: &Outside) -> Self {
        let cli = tokio::task::spawn_blocking(Cli::new).await.unwrap();
        let cli = outside.environment().into_iter().fold(cli, |cli, (name, value)| cli.with(name, value));
        outside.prepare(&cli.data());
        write_letters(cli.folder());
        let terminal = Self { cli: Arc::new(cli) };
        terminal.say(&["ingest", "letters"]).await.expect(0);
        terminal
    }

    /// Runs a command to its end, while the outside answers.
    async fn say(&self, arguments: &[&str]) -> Ended {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let cli = Arc::clone(&self.cli);
        let run = move || {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(["--json"]).collect();
            cli.run(&arguments)
        };
        tokio::task::spawn_blocking(run).await.unwrap()
    }

    /// How far a run came, whose exit code must say the same.
    async fn follow(&self, arguments: &[&str]) -> Stand {
        let ended = self.say(arguments).await;
        let shown = ended.json();
        let outcome = shown["outcome"].as_str().unwrap_or_else(|| panic!("{ended:?}"));
        let code = match (outcome, shown["code"].as_str().unwrap_or_default()) {
            ("succeeded", _) => 0,
            ("waiting", _) => 3,
            (_, "denied.invalid_arguments") => 2,
            (_, code) if code.starts_with("denied.") => 4,
            _ => 1,
        };
        let question = (code == 3).then(|| shown["waiting"]["approvals"][0].clone());
        let run = shown["run_id"].as_str().unwrap().to_owned();
        ended.expect(code);
        Stand { run, outcome: if code == 3 { String::new() } else { outcome.to_owned() }, question }
    }
}

#[async_trait]
impl Door for Terminal {
    fn name(&self) -> &'static str {
        "command line,"
    }

    async fn run(&mut self, agent: &str, input: &str) -> Stand {
        self.follow(&["run", agent, input]).await
    }

    /// Whoever sits there says all of it, and has no flag for a budget.
    fn lets_in(&self, terms: Alone) -> bool {
        terms == Alone::Plainly
    }

    async fn call(&mut self, tool: &str, arguments: &Value, _: Alone) -> Stand {
        self.follow(&["tools", "call", tool, &arguments.to_string()]).await
    }

    async fn decide(&mut self, question: &Value, decision: Decision, arguments: Option<Value>) -> Stand {
        let id = question["id"].as_str().unwrap();
        let listed = self.say(&["approvals", "list"]).await.expect(0).json();
        assert_eq!(listed["approvals"][0]["id"], id, "{listed}");
        if !decision.approves {
            return self.follow(&["approvals", "reject", id, "--reason", "for the test"]).await;
        }
        let arguments = arguments.map(|arguments| arguments.to_string());
        let approve = ["approvals", "approve", id, "--reason", "for the test", "--remember", decision.remember];
        let edited = arguments.as_deref().into_iter().flat_map(|arguments| ["--args", arguments]);
        self.follow(&approve.into_iter().chain(edited).collect::<Vec<_>>()).await
    }

    async fn journal(&mut self, run: &str) -> Vec<Value> {
        let printed = self.say(&["runs", "events", run]).await.expect(0).out;
        printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    async fn memory(&mut self, words: &str) -> Vec<Value> {
        self.say(&["memory", "search", words]).await.expect(0).json()["results"].as_array().unwrap().clone()
    }
}
