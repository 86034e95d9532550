//! The doors: each lets agents run and people decide, and most let tools be called.

mod http;
mod library;
mod socket;
mod terminal;

use async_trait::async_trait;
use serde_json::Value;

pub(crate) use http::Http;
pub(crate) use library::Library;
pub(crate) use socket::Socket;
pub(crate) use terminal::Terminal;

use crate::cases::Alone;

/// How far a run has come: to its end, or to a question.
#[derive(Debug, Default)]
pub(crate) struct Stand {
    pub(crate) run: String,
    /// `succeeded` or `failed`; empty while it waits.
    pub(crate) outcome: String,
    /// What somebody is asked: at least `id`, `arguments` and `reasons`.
    pub(crate) question: Option<Value>,
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

    /// Decides a question, and goes on to the run's end or to its next question.
    async fn decide(&mut self, question: &Value, decision: &str) -> Stand;

    /// The events of a run that has ended.
    async fn journal(&mut self, run: &str) -> Vec<Value>;

    /// What memory has for some words.
    async fn memory(&mut self, words: &str) -> Vec<Value>;
}
