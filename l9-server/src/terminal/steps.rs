//! A run's steps as they happen: what is about to be done, under which contract, and
//! what came of it.

use std::collections::BTreeMap;

use l9::id::CallId;
use l9::model::ModelResponse;
use l9::run::{
    Action, Answer, BreakpointHit, EffectIntent, EffectResult, Event, EventView, Moment, Outcome, RunCreated, Stored,
    Subject, Verdict,
};
use l9::time::Timestamp;
use serde_json::Value;

use super::paint::Paint;
use super::quantity::{clip, count, duration};
use super::screen::Screen;

/// How many hex digits of a hash are shown.
const PREFIX: usize = 12;

/// Prints the steps of one run.
#[derive(Debug)]
pub(crate) struct Steps {
    screen: Screen,
    open: BTreeMap<CallId, (String, Timestamp)>,
    /// A seeded clock stands still: durations would all be nothing.
    timed: bool,
}

impl Steps {
    /// The steps of a run on a screen.
    pub(crate) fn new(screen: Screen) -> Self {
        Self { screen, open: BTreeMap::new(), timed: true }
    }

    /// Shows one event.
    pub(crate) fn show(&mut self, view: &EventView, event: &Event) {
        if let Event::RunCreated(created) = event {
            self.timed = created.seed.is_none();
        }
        match event {
            Event::EffectIntent(intent) => {
                self.open.insert(intent.call, (subject(&intent.action), view.at));
            }
            Event::EffectResult(result) => return self.end(view, result),
            _ => {}
        }
        for line in self.lines(view, event) {
            self.screen.line(&line);
        }
    }

    fn end(&mut self, view: &EventView, result: &EffectResult) {
        let paint = self.screen.paint();
        let opened = self.open.remove(&result.call);
        let mut parts = vec![gist(result)];
        if let Some((name, _)) = opened.as_ref().filter(|_| !self.open.is_empty()) {
            // Others are under way: say whose end this is.
            parts[0] = format!("{name}: {}", parts[0]);
        }
        if let Some((_, at)) = opened.filter(|_| self.timed) {
            parts.push(duration(view.at.since(at)));
        }
        if result.spent.fuel > 0 {
            parts.push(format!("{} fuel", count(result.spent.fuel)));
        }
        if result.spent.tokens > 0 {
            parts.push(format!("{} tokens", count(result.spent.tokens)));
        }
        if result.spent.egress_bytes > 0 {
            parts.push(format!("{} bytes sent", count(result.spent.egress_bytes)));
        }
        let (head, rest) = (parts.remove(0), parts.join(", "));
        let mark = if matches!(result.outcome, Outcome::Ok { .. }) { paint.good("✓") } else { paint.bad("✗") };
        let rest = if rest.is_empty() { rest } else { paint.faint(&format!("  {rest}")) };
        self.screen.line(&format!("  {mark} {head}{rest}"));
    }

    fn lines(&self, view: &EventView, event: &Event) -> Vec<String> {
        let paint = self.screen.paint();
        match event {
            Event::RunCreated(created) => vec![began(view, created, paint)],
            Event::EffectIntent(intent) => vec![begins(intent, paint)],
            Event::EffectDenied(denied) => {
                let what = format!("▸ {} {}", denied.target, words(&denied.arguments, 80));
                let why = clip(&denied.reasons.join("; "), 200);
                vec![what, format!("  {} {}: {why}", paint.bad("✗ denied,"), denied.code)]
            }
            Event::EffectUnknown(unknown) => {
                vec![format!("  {} {}", paint.warn("? nobody knows whether it happened:"), clip(&unknown.reason, 200))]
            }
            Event::CommandRejected(rejected) => {
                vec![paint.warn(&format!("▪ a command was not carried out: {}", clip(&rejected.reason, 160)))]
            }
            Event::EffectRetry(retry) => {
                let wait = duration(retry.retry_at.since(view.at));
                let why = format!("{}: {}", retry.code, clip(&retry.message, 120));
                vec![format!("  {} {why}, again in {wait}", paint.warn("↻"))]
            }
            Event::EffectReconciled(decided) => {
                let verdict = match &decided.verdict {
                    Verdict::Happened { .. } => "it happened",
                    Verdict::NotHappened => "it did not happen",
                    _ => "nobody will know",
                };
                vec![format!("▪ {} decided on {}: {verdict}, {}", decided.by, decided.call, clip(&decided.reason, 120))]
            }
            Event::ApprovalAsked(question) => {
                let what = format!("▸ {} {}", paint.name(&question.target), words(&question.arguments, 80));
                let why = clip(&question.reasons.join("; "), 200);
                vec![what, format!("  {} {why}", paint.warn(&format!("? asks a person, question {}:", question.ask)))]
            }
            Event::ApprovalDecided(decided) => {
                let who = decided.by.as_ref().map_or("time", |by| by.subject.as_str());
                let what = match &decided.answer {
                    Answer::Approved { arguments: None, .. } => "approved",
                    Answer::Approved { .. } => "approved with other arguments",
                    Answer::Expired => "ran out for",
                    _ => "rejected",
                };
                vec![format!("▪ {who} {what} question {}: {}", decided.ask, clip(&decided.reason, 120))]
            }
            Event::SignalReceived(signal) => vec![format!("▪ {} sent signal {}", signal.by, signal.name)],
            Event::RunForked(forked) => vec![format!("▪ forked from run {}", forked.parent)],
            Event::RunPaused(request) => {
                vec![paint.warn(&format!("▪ {} paused it: {}", request.by, clip(&request.reason, 120)))]
            }
            Event::RunResumed(request) => vec![format!("▪ {} resumed it: {}", request.by, clip(&request.reason, 120))],
            Event::BreakpointHit(BreakpointHit { hit }) => {
                let (id, moment) = (&hit.id, moment(hit.at));
                vec![
                    paint.warn(&format!(
                        "▪ stands {moment} {id}: `runs resume {} --reason …` lets it go on",
                        view.run_id
                    )),
                ]
            }
            Event::BreakpointReleased(released) => {
                vec![format!("▪ {} let it go on: {}", released.by, clip(&released.reason, 120))]
            }
            Event::BreakpointSet(set) => {
                let (what, at) = (if set.cleared { "cleared" } else { "set" }, moment(set.breakpoint.at));
                vec![format!("▪ {} {what} a breakpoint {at} {}", set.by, set.breakpoint.node)]
            }
            Event::PlanPatched(patched) => {
                vec![format!("▪ {} edited the plan: {}", patched.by, clip(&patched.reason, 120))]
            }
            Event::PlanRolledBack(request) => {
                vec![paint.warn(&format!("▪ {} rolled it back: {}", request.by, clip(&request.reason, 120)))]
            }
            Event::CancelRequested(request) => {
                vec![paint.warn(&format!("▪ {} asked to stop: {}", request.by, clip(&request.reason, 120)))]
            }
            _ => Vec::new(),
        }
    }
}

fn began(view: &EventView, created: &RunCreated, paint: Paint) -> String {
    let what = match &created.subject {
        Subject::Agent { profile, .. } => format!("agent {}, model {}", profile.id, profile.model),
        Subject::Tool { tool, .. } => format!("tool {tool}"),
        Subject::Plan { name, .. } => format!("plan {name}"),
        _ => String::new(),
    };
    let seed = created.seed.as_ref().map(|seed| format!(", seed {seed}")).unwrap_or_default();
    format!("{} {}", paint.strong(&format!("run {}", view.run_id)), paint.faint(&format!(" {what}{seed}")))
}

/// When a breakpoint stops, in words.
fn moment(at: Moment) -> &'static str {
    match at {
        Moment::Before => "before",
        Moment::After => "after",
        Moment::OnError => "on an error of",
        Moment::RolledBack => "after the rollback to",
    }
}

fn begins(intent: &EffectIntent, paint: Paint) -> String {
    let arguments = match &intent.action {
        Action::Tool { arguments, .. } => words(arguments, 80),
        _ => String::new(),
    };
    let attempt = if intent.attempt > 1 { format!(", attempt {}", intent.attempt) } else { String::new() };
    let contract: String = intent.contract.to_string().chars().take(PREFIX).collect();
    let tail = paint.faint(&format!("contract {contract}{attempt}"));
    let name = paint.name(&subject(&intent.action));
    if arguments.is_empty() { format!("▸ {name}  {tail}") } else { format!("▸ {name} {arguments}  {tail}") }
}

/// The beginning of a value that is kept inline, the size of one that is not.
fn words(stored: &Stored, width: usize) -> String {
    match stored {
        Stored::Inline(Value::String(text)) => clip(text, width),
        Stored::Inline(value) | Stored::Withheld { shape: Some(value), .. } => clip(&value.to_string(), width),
        Stored::Artifact { bytes, .. } | Stored::Withheld { bytes, .. } => format!("({} bytes)", count(*bytes)),
    }
}

/// What an action is called.
fn subject(action: &Action) -> String {
    match action {
        Action::Model { model, .. } => format!("model {model}"),
        Action::Tool { tool, .. } => tool.to_string(),
        _ => "effect".to_owned(),
    }
}

/// What came of an effect, in a few words.
fn gist(result: &EffectResult) -> String {
    let value = match &result.outcome {
        Outcome::Failed { code, message, .. } => return format!("{code}: {}", clip(message, 160)),
        Outcome::Ok { value: Stored::Inline(value) | Stored::Withheld { shape: Some(value), .. } } => value,
        Outcome::Ok { value: Stored::Artifact { bytes, .. } | Stored::Withheld { bytes, .. } } => {
            return format!("{} bytes", count(*bytes));
        }
    };
    if matches!(result.call, CallId::Turn(_))
        && let Ok(response) = serde_json::from_value::<ModelResponse>(value.clone())
    {
        let names: Vec<&str> = response.tools.iter().map(|tool| tool.name.as_str()).collect();
        return if names.is_empty() {
            "answers".to_owned()
        } else {
            format!("asks for {}", clip(&names.join(", "), 120))
        };
    }
    let many = |field: &str| value.get(field).and_then(Value::as_array).map(Vec::len);
    let plural = |number: usize, one: &str| if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") };
    match (many("passages"), many("quotes"), value.get("result").and_then(Value::as_str)) {
        (Some(number), ..) => plural(number, "passage"),
        (_, Some(number), _) => plural(number, "quote"),
        (_, _, Some(result)) => clip(result, 100),
        _ => clip(&value.to_string(), 100),
    }
}
