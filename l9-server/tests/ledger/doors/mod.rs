//! The doors: each lets agents run and people decide, and most let tools be called.

mod http;
mod library;
mod socket;
mod terminal;

use async_trait::async_trait;
use serde_json::{Value, json};

pub(crate) use http::Http;
pub(crate) use library::Library;
pub(crate) use socket::Socket;
pub(crate) use terminal::Terminal;

use crate::cases::{Alone, Decision};

/// How far a run has come: to its end, or to a question.
#[derive(Debug, Default)]
pub(crate) struct Stand {
    pub(crate) run: String,
    /// `succeeded` or `failed`; empty while it waits.
    pub(crate) outcome: String,
    /// What somebody is asked: at least `id`, `arguments` and `reasons`.
    pub(crate) question: Option<Value>,
}

/// A decision as HTTP and WebSocket are told it.
fn wire(decision: Decision, arguments: Option<Value>) -> Value {
    let mut body = json!({"decision": "reject", "reason": "for the test"});
    if decision.approves {
        body["decision"] = json!(if arguments.is_some() { "edit" } else { "approve" });
        body["remember"] = json!(decision.remember);
    }
    if let Some(arguments) = arguments {
        body["args"] = arguments;
    }
    body
}

/// A way into L9.
#[async_trait]
pub(crate) trait Door: Send {
    fn name(&self) -> &'static str;

    /// Whether tools of Rust code can be there.
    fn has_native(&self) -> bool {
        false
    }

    /// Runs an agent to its end or to a question.
    async fn run(&mut self, agent: &str, input: &str) -> Stand;

    /// Whether tools are called alone here, on such terms.
    fn lets_in(&self, terms: Alone) -> bool {
        terms != Alone::Never
    }

    /// Calls a tool alone.
    async fn call(&mut self, tool: &str, arguments: &Value, terms: Alone) -> Stand;

    /// Decides a question, with other arguments if they are given, and goes on to the run's end
    /// or to its next question.
    async fn decide(&mut self, question: &Value, decision: Decision, arguments: Option<Value>) -> Stand;

    /// The events of a run that has ended.
    async fn journal(&mut self, run: &str) -> Vec<Value>;

    /// What memory has for some words.
    async fn memory(&mut self, words: &str) -> Vec<Value>;
}
