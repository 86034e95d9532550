//! WebSocket: frames to a served instance, over one connection. Tools are not called alone
//! over it.

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{Door, Http, Stand, wire};
use crate::cases::{Alone, Decision};
use crate::outside::Outside;
use crate::support::{Socket as Frames, dense};

/// A connection.
pub(crate) struct Socket {
    http: Http,
    frames: Frames,
    begun: String,
}

impl Socket {
    pub(crate) async fn open(outside: &Outside) -> Self {
        let http = Http::open(outside).await;
        let frames = http.served.socket().await;
        Self { http, frames, begun: String::new() }
    }

    /// Hears of the run that was begun, and of those that it delegated to, until it has ended or
    /// somebody is asked.
    async fn follow(&mut self) -> Stand {
        loop {
            let frame = self.frames.hear().await;
            let run = frame["run_id"].as_str().unwrap_or_default().to_owned();
            match (frame["type"].as_str().unwrap(), frame["kind"].as_str().unwrap_or_default()) {
                ("run.accepted", _) => self.begun = run,
                ("run.closed", _) if run == self.begun => {
                    let outcome = frame["outcome"].as_str().unwrap().to_owned();
                    return Stand { run, outcome, question: None };
                }
                ("run.event", "child.spawned") => {
                    self.frames.say(&json!({"type": "run.subscribe", "run_id": frame["data"]["run"]})).await;
                }
                ("run.event", "approval.asked") => {
                    let data = &frame["data"];
                    let question = json!({
                        "id": format!("{run}.{}", data["ask"]),
                        "arguments": data["arguments"]["inline"],
                        "reasons": data["reasons"],
                    });
                    return Stand { run: self.begun.clone(), question: Some(question), ..Stand::default() };
                }
                ("error", _) => panic!("{frame}"),
                _ => {}
            }
        }
    }
}

#[async_trait]
impl Door for Socket {
    fn name(&self) -> &'static str {
        "WebSocket,"
    }

    async fn run(&mut self, agent: &str, input: &str) -> Stand {
        self.frames.say(&json!({"type": "agent.execute", "agent_id": agent, "input": input})).await;
        self.follow().await
    }

    fn lets_in(&self, _: Alone) -> bool {
        false
    }

    async fn call(&mut self, tool: &str, _: &Value, _: Alone) -> Stand {
        panic!("no frame calls {tool} alone")
    }

    async fn decide(&mut self, question: &Value, decision: Decision, arguments: Option<Value>) -> Stand {
        let mut frame = wire(decision, arguments);
        (frame["type"], frame["approval_id"]) = (json!("approval.decide"), question["id"].clone());
        self.frames.say(&frame).await;
        self.follow().await
    }

    async fn journal(&mut self, run: &str) -> Vec<Value> {
        self.frames.say(&json!({"type": "run.subscribe", "run_id": run})).await;
        let told = dense(&self.frames.hear_until("run.closed").await, 0);
        assert_eq!(told.len(), self.http.events(run).await.len());
        told
    }

    async fn memory(&mut self, words: &str) -> Vec<Value> {
        self.frames.say(&json!({"type": "memory.search", "q": words})).await;
        let found = self.frames.hear().await;
        found["results"].as_array().unwrap_or_else(|| panic!("{found}")).clone()
    }
}
