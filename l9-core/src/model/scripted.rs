//! A model that answers from a script: for tests and reproducible experiments.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::client::{Estimate, ModelClient, ModelFault};
use super::deltas::DeltaSink;
use super::message::{Message, ModelRequest, ModelResponse, StopReason, ToolRequest, Usage};
use crate::governor::Permit;

/// Answers turn by turn. The turn is read off the conversation, not counted, so a
/// resumed run gets the answer it would have got.
#[derive(Debug, Default)]
pub struct Scripted {
    turns: Vec<Turn>,
    asked: Mutex<HashMap<String, u64>>,
}

/// One scripted turn.
#[derive(Debug, Clone)]
pub struct Turn {
    response: Result<ModelResponse, ModelFault>,
    takes: Duration,
}

impl Turn {
    /// Says something and ends.
    #[must_use]
    pub fn say(text: impl Into<String>) -> Self {
        let response = ModelResponse { text: text.into(), ..Self::blank() };
        Self { response: Ok(response), takes: Duration::ZERO }
    }

    /// Calls tools: `(name, arguments as JSON text)`.
    #[must_use]
    pub fn call<'a>(calls: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let tools = calls
            .into_iter()
            .enumerate()
            .map(|(n, (name, arguments))| ToolRequest {
                id: format!("call_{n}"),
                name: name.to_owned(),
                arguments: arguments.to_owned(),
            })
            .collect();
        let response = ModelResponse { tools, stop: StopReason::Tools, ..Self::blank() };
        Self { response: Ok(response), takes: Duration::ZERO }
    }

    /// Fails.
    #[must_use]
    pub fn fail(fault: ModelFault) -> Self {
        Self { response: Err(fault), takes: Duration::ZERO }
    }

    /// Takes a while.
    #[must_use]
    pub fn after(mut self, takes: Duration) -> Self {
        self.takes = takes;
        self
    }

    fn blank() -> ModelResponse {
        let usage = Usage { input_tokens: 1, output_tokens: 1, ..Usage::default() };
        ModelResponse { usage, model: "scripted".into(), ..ModelResponse::default() }
    }
}

impl Scripted {
    /// A model that answers these turns, the last one again and again.
    #[must_use]
    pub fn new(turns: Vec<Turn>) -> Self {
        Self { turns, asked: Mutex::default() }
    }

    /// How often a run asked, every attempt counted.
    #[must_use]
    pub fn asked(&self) -> u64 {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }
}

#[async_trait]
impl ModelClient for Scripted {
    fn default_model(&self) -> &str {
        "script"
    }

    fn estimate(&self, _request: &ModelRequest) -> Estimate {
        Estimate::local(2)
    }

    async fn complete(
        &self,
        permit: Permit,
        request: &ModelRequest,
        deltas: &DeltaSink,
    ) -> Result<ModelResponse, ModelFault> {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner).entry(permit.run().to_string()).or_default() += 1;
        let said = request.messages.iter().filter(|message| matches!(message, Message::Assistant { .. })).count();
        let turn = self.turns.get(said).or(self.turns.last());
        let turn = turn.ok_or_else(|| ModelFault::new("bad_request", "the script is empty"))?;
        if !turn.takes.is_zero() {
            tokio::select! {
                biased;
                () = permit.cancelled().cancelled() => return Err(ModelFault::new("cancelled", "the run was cancelled")),
                () = permit.wait(turn.takes) => {}
            }
        }
        if let Ok(response) = &turn.response {
            deltas.push(&response.text);
        }
        turn.response.clone()
    }
}
