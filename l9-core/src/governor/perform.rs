//! Steps 9 to 11: perform the effect, look at what it gave, write the receipt.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use serde_json::Value;
use tokio::sync::Notify;

use super::budget::Meter;
use super::intend::Launch;
use super::path::{Given, Governor, Work};
use super::permit::Permit;
use super::subjects::CROWDED;
use super::withheld::UNTOLD;
use crate::Result;
use crate::budget::Cost;
use crate::digest::Digest;
use crate::failpoint::{self, Point};
use crate::flow::FieldLabels;
use crate::id::{CallId, ToolId};
use crate::journal::{Along, Write};
use crate::json;
use crate::label::Label;
use crate::model::{ModelClient, ModelRequest, ModelResponse, ToolRequest, Usage};
use crate::redact::redact_value;
use crate::run::{EffectResult, EffectRetry, EffectUnknown, Event, Outcome, RunLog};
use crate::tool::{AuditDetail, ContractHash, EffectClass, LogLine, Runtime, Tool, ToolFault, ToolOutput};

/// The longest wait between two attempts.
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);

/// The longest wait that a far side may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(600);

/// An effect that ended; its receipt is not written yet.
#[derive(Debug)]
pub(crate) struct Performed {
    call: CallId,
    attempt: u32,
    end: End,
    /// What the journal shows of its value, if that is not all.
    shown: Option<Value>,
    spent: Cost,
    labels: (Label, FieldLabels),
    log: Vec<LogLine>,
    writes: Vec<Write>,
}

impl Performed {
    /// Which effect it was, if it gave nothing.
    pub(crate) fn without_value(&self) -> Option<CallId> {
        (!matches!(self.end, End::Value(_))).then_some(self.call)
    }
}

#[derive(Debug)]
enum End {
    Value(Value),
    Fault {
        code: String,
        message: String,
        happened: bool,
    },
    /// It had no effect, or may be repeated; it may succeed later.
    Passing {
        code: String,
        message: String,
        /// Whether it may have taken effect all the same.
        in_doubt: bool,
        after: Duration,
    },
    Unknown(String),
}

impl Governor {
    /// Steps 9 and 10. Always ends: by itself, at its deadline, or a grace after the
    /// run was cancelled.
    pub(crate) async fn perform(self: Arc<Self>, launch: Launch) -> Performed {
        failpoint::pass(Point::EffectStarts);
        let Launch { permit, tries, class, deadline, reserved, mut hold, doubted, work, given } = launch;
        let (call, attempt) = (permit.call(), permit.attempt());
        let cancelled = permit.cancelled().clone();
        let tool = work.tool();
        let asks = matches!(work, Work::Model { .. });
        let (beats, silence, meter) = (permit.beats(), work.silence(), Meter::start(&permit, &*self.clock));
        let not_begun = self.may_not_begin(&permit);
        let held = not_begun.is_some();
        if !held {
            hold.begin();
        }
        let guarded = AssertUnwindSafe(self.run(permit, work)).catch_unwind();
        // The sandbox stops at the deadline by itself and tells more; the margin lets it.
        let late = deadline + deadline / 4 + self.settings.grace;
        let ended = tokio::select! {
            biased;
            // It may be tried again.
            () = std::future::ready(()), if held => not_begun.map(Ended::not_begun),
            ended = guarded => ended.ok(),
            () = self.clock.sleep(late) => Some(Ended::fault("limit.time", format!("still busy after {} ms", late.as_millis()))),
            silent = self.silent(&beats, silence) => {
                Some(Ended::fault("limit.heartbeat", format!("no sign of life for {} ms", silent.as_millis())))
            }
            () = async {
                cancelled.cancelled().await;
                self.clock.sleep(self.settings.grace).await;
            } => Some(Ended::fault("cancelled", "the run was cancelled")),
        };
        let mut ended = ended.unwrap_or_else(|| Ended::fault("internal", "the component that performed it panicked"));
        let known = if held { Cost::default() } else { meter.read(&*self.clock, reserved.time_ms) };
        if let End::Fault { code, message, happened: false } = &ended.end {
            // A provider that is away or refuses for now has begun nothing.
            let begun_nothing = asks && matches!(code.as_str(), "unavailable" | "rate_limited");
            // What an earlier attempt may have done, a later one's failure does not undo.
            let certain = (is_certain(code) && !doubted) || begun_nothing;
            let again = ended.passing && tries < self.settings.attempts && (held || !cancelled.is_cancelled());
            if !certain {
                // Nobody knows how far it came, so only what is known here is refunded.
                let unknown = Cost { time_ms: 0, egress_bytes: 0, ..reserved };
                ended.spent = unknown.with(ended.spent, u64::max);
            }
            if again && (certain || class.may_repeat()) {
                let (code, message, in_doubt) = (code.clone(), message.clone(), !certain);
                tracing::warn!(%call, attempt, code, "an attempt failed for now, and is made again");
                if asks {
                    metrics::counter!("l9_model_retries_total", "code" => code.clone()).increment(1);
                }
                ended.end = End::Passing { code, message, in_doubt, after: ended.after };
            } else if !certain && !class.may_just_repeat() {
                // A write is not said to have failed.
                ended.end = End::Unknown(self.shown(&format!("{code}: {message}")));
            }
        }
        if let End::Value(value) = &ended.end {
            hold.end(value);
        }
        ended.spent = ended.spent.plus(known);
        let labels = labels(tool.as_deref(), &given, &ended);
        let writes = if matches!(ended.end, End::Value(_)) { ended.writes } else { Vec::new() };
        let Ended { end, shown, spent, log, .. } = ended;
        Performed { call, attempt, end, shown, spent, labels, log, writes }
    }

    /// Why an effect that was intended must not begin any more.
    fn may_not_begin(&self, permit: &Permit) -> Option<&'static str> {
        if permit.remaining().is_zero() {
            Some("its time had passed before it began: the database was slow to take the intent")
        } else if self.stops.is_stopped(permit.tenant()) {
            Some("an emergency stop came before it began")
        } else {
            None
        }
    }

    /// Ends when a tool that should give signs of life has given none for that long.
    async fn silent(&self, beats: &Notify, silence: Option<Duration>) -> Duration {
        let Some(silence) = silence else { return std::future::pending().await };
        loop {
            tokio::select! {
                biased;
                () = beats.notified() => {}
                () = self.clock.sleep(silence) => return silence,
            }
        }
    }

    async fn run(&self, permit: Permit, work: Work) -> Ended {
        match work {
            Work::Model { client, request, contracts, .. } => self.ask(permit, &*client, &request, &contracts).await,
            Work::Tool { tool, arguments } => {
                let result = tool.call(permit, &arguments).await;
                let ended = self.inspect(&tool, result);
                let status = if matches!(ended.end, End::Value(_)) { "ok" } else { "failed" };
                let name: Arc<str> = tool.manifest.id.clone().into();
                metrics::counter!("tool_execution_count", "tool" => name, "status" => status).increment(1);
                ended
            }
        }
    }

    async fn ask(
        &self,
        permit: Permit,
        client: &dyn ModelClient,
        request: &ModelRequest,
        contracts: &BTreeMap<ToolId, ContractHash>,
    ) -> Ended {
        let sink = self.deltas.sink(permit.run(), Arc::clone(&self.redactor));
        let tenant = permit.tenant().clone();
        let answer = client.complete(permit, request, &sink).await;
        sink.finish();
        match answer {
            Ok(response) => {
                let mut ended = self.inspect_answer(&response);
                // Whoever a call would be about, the run is about as soon as it is said.
                let named = |tool: &ToolRequest| self.named(&tenant, contracts, tool);
                let subjects: BTreeSet<Digest> = response.tools.iter().flat_map(named).collect();
                ended.labels.insert(String::new(), Label { subjects, ..Label::trusted() });
                if let End::Value(value) = &ended.end {
                    ended.shown = self.shown_of_answer(&tenant, |id| contracts.get(id), &response, value);
                }
                ended
            }
            Err(fault) => {
                let mut ended = Ended::fault(self.shown(&fault.code), self.shown(&fault.message));
                let asked = fault.retry_after.unwrap_or_default();
                ended.spent = charged(fault.usage);
                (ended.passing, ended.after) = (fault.retryable && asked <= LONGEST_ASKED, asked);
                ended
            }
        }
    }

    /// Step 10 for a model's answer.
    fn inspect_answer(&self, response: &ModelResponse) -> Ended {
        let spent = charged(response.usage);
        let mut response = response.clone();
        response.usage = response.usage.journalable();
        let end = match serde_json::to_value(response) {
            Ok(mut value) => {
                redact_value(&*self.redactor, &mut value);
                End::Value(value)
            }
            Err(error) => End::Fault { code: "malformed".into(), message: error.to_string(), happened: true },
        };
        Ended { spent, ..Ended::of(end) }
    }

    /// Step 10 for a tool's output: cap, schema, secrets, label.
    fn inspect(&self, tool: &Tool, result: Result<ToolOutput, ToolFault>) -> Ended {
        let ToolOutput { mut value, fuel, mut log, writes, labels } = match result {
            Ok(output) => output,
            Err(fault) => {
                // What a tool says of its input says it again.
                let quotes = tool.manifest.audit.args != AuditDetail::Full && fault.code == "invalid_input";
                let message = if quotes { UNTOLD } else { fault.message.as_str() };
                let mut ended = Ended::fault(self.shown(&fault.code), self.shown(message));
                (ended.spent.fuel, ended.passing) = (fault.fuel, fault.retryable);
                ended.after = Duration::from_millis(fault.retry_after_ms.unwrap_or_default());
                return ended;
            }
        };
        for line in &mut log {
            line.message = self.shown(&line.message);
        }
        redact_value(&*self.redactor, &mut value);
        let spent = Cost::default().plus(Cost { calls: 1, fuel, ..Cost::default() });
        let alien = !writes.is_empty() && tool.manifest.effect != EffectClass::SameDbWrite;
        let alien = alien.then(|| ("invalid_output", "only a same_db_write may write with its result".to_owned()));
        let happened = tool.manifest.effect != EffectClass::SameDbWrite;
        let end = match alien.or_else(|| faulty_output(tool, &value)) {
            Some((code, message)) => End::Fault { code: code.into(), message: self.shown(&message), happened },
            None => End::Value(value),
        };
        Ended { spent, log, writes, labels, ..Ended::of(end) }
    }

    /// Step 11: adds the receipt to the log; durable with the next commit, and nothing
    /// acts on the result before that.
    ///
    /// # Errors
    /// `Corrupt` when the log does not take it.
    pub(crate) fn receipt(&self, log: &mut RunLog, performed: Performed) -> Result<()> {
        let Performed { call, attempt, end, shown, spent, labels: (mut label, labels), log: lines, mut writes } =
            performed;
        let mut fields = labels.fields;
        let end = match (end, Self::crowded(log, &mut label)) {
            (End::Value(_), Some(message)) => {
                let happened = writes.is_empty();
                (writes, fields) = (Vec::new(), BTreeMap::new());
                End::Fault { code: CROWDED.into(), message, happened }
            }
            (end, _) => end,
        };
        // In the transaction of the result, or not at all.
        writes.into_iter().for_each(|write| log.bring_along(Along::Write(write)));
        let outcome = match end {
            End::Value(value) if shown.is_some() => Outcome::Ok { value: log.withhold(value, shown)? },
            End::Value(value) => Outcome::Ok { value: log.keep(value)? },
            End::Fault { code, message, happened } => Outcome::Failed { code, message, happened },
            End::Unknown(reason) => {
                // The reservation stays charged, which holds what is known.
                return self.unknown(log, EffectUnknown { call, attempt, reason, label, spent: Cost::default() });
            }
            End::Passing { code, message, in_doubt, after } => {
                let wait = self.backoff(log, call, attempt).max(after.min(LONGEST_ASKED));
                let retry_at = log.now().after(wait);
                let retry = EffectRetry { call, attempt, code, message, label, spent, in_doubt, retry_at };
                return log.push(Event::EffectRetry(Box::new(retry)));
            }
        };
        let result = EffectResult { call, attempt, outcome, label, fields, spent, log: lines };
        log.push(Event::EffectResult(Box::new(result)))
    }
}

impl Governor {
    /// How long to wait before the attempt after this one: doubling, and up to half more at
    /// random, so that many that failed together do not come back together.
    fn backoff(&self, log: &RunLog, call: CallId, attempt: u32) -> Duration {
        let doubled = self.settings.backoff.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(LONGEST_BACKOFF);
        let jitter = log.jitter(&format!("{call}/{attempt}"));
        doubled + doubled.mul_f64(f64::from(jitter) / f64::from(u16::MAX) / 2.0)
    }
}

struct Ended {
    end: End,
    /// What the journal shows of its value, if that is not all.
    shown: Option<Value>,
    spent: Cost,
    /// Whether the same again may succeed.
    passing: bool,
    /// How long the far side asked to be left alone.
    after: Duration,
    log: Vec<LogLine>,
    writes: Vec<Write>,
    /// What the tool itself says of its fields.
    labels: BTreeMap<String, Label>,
}

impl Ended {
    /// What must not begin any more.
    fn not_begun(why: &str) -> Self {
        Self { passing: true, spent: Cost::default(), ..Self::fault("not_sent", why) }
    }

    fn fault(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::of(End::Fault { code: code.into(), message: message.into(), happened: false })
    }

    fn of(end: End) -> Self {
        Self {
            end,
            shown: None,
            spent: Cost { calls: 1, ..Cost::default() },
            passing: false,
            after: Duration::ZERO,
            log: Vec::new(),
            writes: Vec::new(),
            labels: BTreeMap::new(),
        }
    }
}

/// What a model call is charged.
fn charged(usage: Usage) -> Cost {
    let tokens = usage.input_tokens.saturating_add(usage.output_tokens);
    Cost::default().plus(Cost { calls: 1, tokens, micro_usd: usage.micro_usd, ..Cost::default() })
}

/// Whether an effect that failed so is known not to have happened. Everything else
/// leaves doubt: it is the sandbox's or the tool's word that it did not.
fn is_certain(code: &str) -> bool {
    matches!(
        code,
        "failed" | "invalid_input" | "not_sent" | "stale_contract" | "refused" | "bad_request" | "unauthenticated"
    )
}

impl Work {
    /// The longest it may be without a sign of life.
    fn silence(&self) -> Option<Duration> {
        match self {
            Self::Model { .. } => None,
            Self::Tool { tool, .. } => tool.manifest.limits.heartbeat_ms.map(Duration::from_millis),
        }
    }

    fn tool(&self) -> Option<Arc<Tool>> {
        match self {
            Self::Model { .. } => None,
            Self::Tool { tool, .. } => Some(Arc::clone(tool)),
        }
    }
}

/// Step 10: the labels of whatever comes back, and their join. A model's words carry the
/// labels of what they repeat, which is looked up where they are used.
fn labels(tool: Option<&Tool>, given: &Given, ended: &Ended) -> (Label, FieldLabels) {
    let Some(tool) = tool else {
        return (ended.labels.get("").cloned().unwrap_or_default(), FieldLabels::default());
    };
    let labels = match &ended.end {
        End::Value(value) => {
            let mut labels = FieldLabels::resolve(&tool.manifest, &given.own, &given.taints, value);
            // Compiled-in code may know better than its manifest where a field is from.
            if tool.manifest.runtime == Runtime::Native {
                labels.refine(&ended.labels);
            }
            return (labels.joined(value), labels);
        }
        _ => FieldLabels::of_fault(&tool.manifest, &given.taints),
    };
    (labels.rest.clone(), labels)
}

fn faulty_output(tool: &Tool, value: &Value) -> Option<(&'static str, String)> {
    if let Some(why) = json::unjournalable(value) {
        return Some(("invalid_output", why));
    }
    let limits = &tool.manifest.limits;
    if !json::fits(value, usize::try_from(limits.output_bytes).unwrap_or(usize::MAX)) {
        let bytes = json::canonical(value).map_or(usize::MAX, |text| text.len());
        return Some((
            "limit.output",
            format!("{bytes} bytes of output are over the limit of {}", limits.output_bytes),
        ));
    }
    let depth = json::depth(value);
    if depth > limits.depth as usize {
        return Some((
            "limit.output",
            format!("the output is nested {depth} deep, over the limit of {}", limits.depth),
        ));
    }
    let violations = tool.output.as_ref().map(|schema| schema.violations(value)).unwrap_or_default();
    (!violations.is_empty()).then(|| ("invalid_output", violations.join("; ")))
}
