//! One request over the wire, whatever the wire, and the reading of its stream.
//!
//! It asks once: an attempt that failed is told as such, and the governor, which journals
//! every attempt, decides whether there is another. Words that were shown never stand in
//! for the answer: the viewer of a stream that was cut off is told that they are void.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use l9_core::egress::{Egress, EgressRequest, Injection};
use l9_core::governor::Permit;
use l9_core::model::{DeltaSink, Estimate, ModelFault, Usage};
use l9_core::redact::{KnownSecrets, Redactor as _};
use l9_core::time::Clock;
use l9_core::{Error, ErrorKind};
use secrecy::SecretString;

use super::answer::{Answer, tokens_of};
use super::limits::Limits;
use super::price::{Price, bounded};
use super::refusal::{self, Provider, clean};
use super::sse::{self, Event};
use crate::egress::{Idle, USER_AGENT, wire_bytes};

/// What viewers read after words that were cut off.
const VOID: &str = "\n\n[the stream was cut off; what stands above is void]\n\n";

/// Puts an answer together from one wire's pieces.
pub(super) trait Assembler: Send {
    /// Takes an event of a stream; gives the words it adds.
    fn event(&mut self, event: &Event) -> Result<String, ModelFault>;
    /// Takes a whole answer that was not streamed; gives its words.
    fn whole(&mut self, body: &[u8]) -> Result<String, ModelFault>;
    /// Whether the answer is complete, even if the connection breaks now.
    fn is_complete(&self) -> bool;
    /// Whether nothing more will come.
    fn is_over(&self) -> bool;
    /// What has come so far.
    fn answer(&self) -> &Answer;
    /// The answer.
    fn into_answer(self) -> Answer;
}

/// A request that is ready to leave.
pub(super) struct Outgoing<'a> {
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Bytes,
    pub(super) model: &'a str,
    /// The most tokens of answer that it asks for.
    pub(super) output_tokens: u32,
    pub(super) price: Option<Price>,
}

/// What a client needs for its calls.
pub(super) struct Exchange {
    pub(super) egress: Arc<dyn Egress>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) limits: Limits,
    pub(super) provider: Provider,
    injected: Vec<Injection>,
    secrets: KnownSecrets,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("base_url", &self.provider.base_url)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Exchange {
    pub(super) fn new(
        (egress, clock): (Arc<dyn Egress>, Arc<dyn Clock>),
        limits: Limits,
        provider: Provider,
        key: Option<&SecretString>,
        injected: Vec<Injection>,
    ) -> Self {
        Self { egress, clock, limits, provider, injected, secrets: KnownSecrets::new(key) }
    }

    /// The most that it may use.
    pub(super) fn estimate(&self, outgoing: &Outgoing<'_>) -> Estimate {
        let sent = wire_bytes(&self.request(outgoing));
        bounded(outgoing.price, outgoing.body.len(), sent, outgoing.output_tokens)
    }

    /// Asks once; gives the answer and what it used.
    ///
    /// # Errors
    /// A fault that says what was used all the same, and whether asking again may help.
    pub(super) async fn ask<A: Assembler>(
        &self,
        permit: &Permit,
        outgoing: &Outgoing<'_>,
        mut assembler: A,
        deltas: &DeltaSink,
    ) -> Result<(Answer, Usage), ModelFault> {
        let asked = self.attempt(permit, outgoing, &mut assembler, deltas).await;
        let mut usage = assembler.answer().usage(tokens_of(outgoing.body.len()));
        usage.micro_usd = outgoing.price.map_or(0, |price| price.cost(&usage));
        if asked.is_err() && assembler.answer().has_words() {
            deltas.push(VOID);
        }
        deltas.finish();
        match asked {
            Ok(()) => Ok((assembler.into_answer(), usage)),
            Err(fault) => Err(self.fit(ModelFault { usage, ..fault })),
        }
    }

    /// A fault without the key, should the provider have repeated it.
    fn fit(&self, mut fault: ModelFault) -> ModelFault {
        fault.message = self.secrets.redact(&fault.message).into_owned();
        fault
    }

    async fn attempt<A: Assembler>(
        &self,
        permit: &Permit,
        outgoing: &Outgoing<'_>,
        assembler: &mut A,
        deltas: &DeltaSink,
    ) -> Result<(), ModelFault> {
        let sent = self.egress.send(permit, self.request(outgoing)).await;
        let response = sent.map_err(|error| broken(permit, &error, "unavailable"))?;
        if response.status != 200 {
            return Err(refusal::read(response, self.clock.now(), &self.provider, outgoing.model).await);
        }
        let kind = response.header("content-type").unwrap_or("text/event-stream").to_ascii_lowercase();
        match kind.split(';').next().unwrap_or_default().trim() {
            "text/event-stream" => self.stream(permit, response.body, assembler, deltas).await,
            media if media == "application/json" || media.ends_with("+json") => {
                self.whole(permit, response.body, assembler, deltas).await
            }
            media => Err(ModelFault::new(
                "malformed",
                format!(
                    "{} answered with {}, not with a model's answer: check the base URL",
                    self.provider.base_url,
                    clean(media)
                ),
            )),
        }
    }

    fn request(&self, outgoing: &Outgoing<'_>) -> EgressRequest {
        let plain = [("content-type", "application/json"), ("accept", "text/event-stream, application/json")];
        let mut headers: Vec<(String, String)> =
            plain.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        headers.push(("user-agent".to_owned(), USER_AGENT.to_owned()));
        headers.extend(outgoing.headers.iter().cloned());
        EgressRequest {
            method: "POST".to_owned(),
            url: outgoing.url.clone(),
            headers,
            secrets: self.injected.clone(),
            body: outgoing.body.clone(),
            idle: self.limits.idle(),
            max_response_bytes: self.limits.max_response_bytes,
        }
    }

    async fn stream<A: Assembler>(
        &self,
        permit: &Permit,
        mut body: BoxStream<'static, l9_core::Result<Bytes>>,
        assembler: &mut A,
        deltas: &DeltaSink,
    ) -> Result<(), ModelFault> {
        let mut parser = sse::Parser::new(self.limits.max_event_bytes);
        while !assembler.is_over()
            && let Some(piece) = body.next().await
        {
            let piece = match piece {
                Ok(piece) => piece,
                Err(_) if assembler.is_complete() => return Ok(()),
                Err(error) => return Err(broken(permit, &error, "cut_off")),
            };
            let mut words = String::new();
            let read = take(&mut parser, assembler, &piece, &mut words);
            if !words.is_empty() {
                deltas.push(&words);
            }
            read?;
        }
        if assembler.is_complete() {
            return Ok(());
        }
        Err(ModelFault::passing(
            "cut_off",
            format!("{} ended the stream before the answer was complete", self.provider.base_url),
        ))
    }

    async fn whole<A: Assembler>(
        &self,
        permit: &Permit,
        mut body: BoxStream<'static, l9_core::Result<Bytes>>,
        assembler: &mut A,
        deltas: &DeltaSink,
    ) -> Result<(), ModelFault> {
        let mut whole = Vec::new();
        while let Some(piece) = body.next().await {
            whole.extend_from_slice(&piece.map_err(|error| broken(permit, &error, "cut_off"))?);
        }
        let words = assembler.whole(&whole)?;
        if !words.is_empty() {
            deltas.push(&words);
        }
        Ok(())
    }
}

/// Takes one piece of a stream; gives the words it adds, also those before a failure.
fn take<A: Assembler>(
    parser: &mut sse::Parser,
    assembler: &mut A,
    piece: &[u8],
    words: &mut String,
) -> Result<(), ModelFault> {
    let mut events = Vec::new();
    let read = parser.feed(piece, &mut events);
    for event in &events {
        if assembler.is_over() {
            return Ok(());
        }
        words.push_str(&assembler.event(event)?);
    }
    read.map_err(|sse::TooLong| {
        ModelFault::new("malformed", "an event of the stream is longer than limits.max_event_bytes")
    })
}

/// What an egress error means; `otherwise` is the code of a connection that broke.
fn broken(permit: &Permit, error: &Error, otherwise: &str) -> ModelFault {
    let idle = std::error::Error::source(error).is_some_and(|cause| cause.is::<Idle>());
    match error.kind() {
        _ if permit.cancelled().is_cancelled() => cancelled(),
        _ if permit.remaining().is_zero() => {
            ModelFault::new("timeout", "the model did not answer before the call's deadline")
        }
        ErrorKind::Unavailable if idle => ModelFault::passing("timeout", error.message()),
        ErrorKind::Unavailable => ModelFault::passing(otherwise, clean(&error.to_string())),
        ErrorKind::Exhausted | ErrorKind::Corrupt => ModelFault::new("malformed", error.message()),
        ErrorKind::Denied => ModelFault::new("refused", error.message()),
        _ => ModelFault::new("bad_request", error.message()),
    }
}

fn cancelled() -> ModelFault {
    ModelFault::new("cancelled", "the run was cancelled")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Reads a whole stream cut at `ends`; gives the assembler, the words as they were
    /// shown, and how it ended.
    pub(in crate::models) fn read<A: Assembler>(
        mut assembler: A,
        stream: &[u8],
        ends: &[usize],
    ) -> (A, String, Result<(), ModelFault>) {
        let mut parser = sse::Parser::new(10_000);
        let (mut words, mut start) = (String::new(), 0);
        for end in ends.iter().copied().chain([stream.len()]) {
            if let Err(failure) = take(&mut parser, &mut assembler, &stream[start..end], &mut words) {
                return (assembler, words, Err(failure));
            }
            start = end;
        }
        (assembler, words, Ok(()))
    }

    /// Positions in increasing order at which to cut a stream of `length` bytes.
    pub(in crate::models) fn ends(cuts: &[proptest::sample::Index], length: usize) -> Vec<usize> {
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(length + 1)).collect();
        ends.sort_unstable();
        ends
    }
}
