//! A model client that personal data does not reach: tokens go out in its place, and what
//! the model says of them comes back with the data they stand for.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use super::client::{Estimate, ModelClient, ModelFault};
use super::deltas::DeltaSink;
use super::message::{Message, ModelRequest, ModelResponse};
use crate::governor::Permit;
use crate::redact::tokens::{Originals, Tokens, placeholders, put_back};

/// Lets no personal data out to a model that is not in this process. Instructions, passages,
/// messages, tool calls and outputs are gone over; names of files and tools are not. Words
/// that are streamed show tokens; the answer has the data.
#[derive(Debug)]
pub struct Discreet {
    client: Arc<dyn ModelClient>,
    tokens: Tokens,
}

impl Discreet {
    /// Stands before another client.
    #[must_use]
    pub fn new(client: Arc<dyn ModelClient>, tokens: Tokens) -> Self {
        Self { client, tokens }
    }
}

#[async_trait]
impl ModelClient for Discreet {
    fn default_model(&self) -> &str {
        self.client.default_model()
    }

    fn estimate(&self, request: &ModelRequest) -> Estimate {
        let as_is = self.client.estimate(request);
        if as_is.egress_bytes == 0 {
            return as_is;
        }
        self.client.estimate(&rewritten(request, &mut |text| placeholders(text).into_owned()))
    }

    async fn complete(
        &self,
        permit: Permit,
        request: &ModelRequest,
        deltas: &DeltaSink,
    ) -> Result<ModelResponse, ModelFault> {
        if self.client.estimate(request).egress_bytes == 0 {
            return self.client.complete(permit, request, deltas).await;
        }
        let mut originals = Originals::new();
        let tenant = permit.tenant().clone();
        let discreet = rewritten(request, &mut |text| {
            let noted = |_: usize, token: &str, original: &str| {
                originals.entry(token.to_owned()).or_insert_with(|| original.to_owned());
            };
            self.tokens.stand_in(&tenant, text, noted).into_owned()
        });
        let mut response = self.client.complete(permit, &discreet, deltas).await?;
        response.text = put_back(&response.text, &originals).into_owned();
        for call in &mut response.tools {
            // No character of personal data has a meaning within a text of JSON.
            call.arguments = put_back(&call.arguments, &originals).into_owned();
        }
        Ok(response)
    }
}

/// The request with every text that people, tools or models wrote put another way.
fn rewritten(request: &ModelRequest, by: &mut dyn FnMut(&str) -> String) -> ModelRequest {
    let mut request = request.clone();
    request.system = by(&request.system);
    for passage in &mut request.context {
        passage.text = by(&passage.text);
    }
    for message in &mut request.messages {
        match message {
            Message::User { text } => *text = by(text),
            Message::Assistant { text, tools } => {
                *text = by(text);
                for call in tools {
                    call.arguments = argued(&call.arguments, by);
                }
            }
            Message::Tool { content, .. } => rewrite(content, by),
        }
    }
    request
}

/// The arguments of a call, still JSON if they were.
fn argued(arguments: &str, by: &mut dyn FnMut(&str) -> String) -> String {
    match serde_json::from_str::<Value>(arguments) {
        Ok(mut value) => {
            let before = value.clone();
            rewrite(&mut value, by);
            if value == before { arguments.to_owned() } else { value.to_string() }
        }
        Err(_) => by(arguments),
    }
}

/// Every text within a value, and a number that is personal data.
fn rewrite(value: &mut Value, by: &mut dyn FnMut(&str) -> String) {
    match value {
        Value::String(text) => *text = by(text),
        Value::Array(items) => items.iter_mut().for_each(|item| rewrite(item, by)),
        Value::Object(fields) => {
            *fields = std::mem::take(fields)
                .into_iter()
                .map(|(name, mut field)| {
                    rewrite(&mut field, by);
                    (by(&name), field)
                })
                .collect();
        }
        Value::Number(number) => {
            let written = number.to_string();
            let put = by(&written);
            if put != written {
                *value = Value::String(put);
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}
