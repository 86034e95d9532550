//! Where a run stands between its steps: what it waits for, and what would mend that.

use l9::Principal;
use l9::RunId;
use l9::id::CallId;
use l9::journal::RunRow;
use l9::kernel::OpenQuestion;
use l9::run::{Hit, Moment, RunState};
use l9::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

/// What a run waits for. Nothing of it says that the run waits now: an effect may be under
/// way beside a wait.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Standing {
    /// Who paused it and why, until somebody resumes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) paused: Option<Paused>,
    /// The breakpoints that the plan stands at, until somebody lets it go on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) breakpoints: Vec<Hit>,
    /// Its open waits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) waits: Vec<Waits>,
    /// Writes whose end nobody knows, until somebody decides.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) undecided: Vec<Undecided>,
    /// Questions that somebody must decide.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) approvals: Vec<OpenQuestion>,
    /// The runs it delegated to that have not ended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) children: Vec<Child>,
    /// Effects that are tried again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) retries: Vec<Retry>,
    /// The run it was forked from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parent: Option<RunId>,
}

/// A pause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Paused {
    /// Who asked.
    by: String,
    /// Why.
    reason: String,
}

/// An open wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Waits {
    /// The effect.
    #[schemars(with = "String")]
    call: CallId,
    /// The signal it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<String>,
    /// Until when.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

/// A write whose end nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Undecided {
    /// The effect.
    #[schemars(with = "String")]
    call: CallId,
    /// Why nobody knows.
    reason: String,
}

/// A run that was delegated to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Child {
    /// The effect.
    #[schemars(with = "String")]
    call: CallId,
    /// The run.
    run_id: RunId,
}

/// An effect that is tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Retry {
    /// The effect.
    #[schemars(with = "String")]
    call: CallId,
    /// When.
    at: Timestamp,
}

/// A word for a shell, whatever a model put into it.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/');
    if !word.is_empty() && !word.starts_with('-') && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

impl Standing {
    /// Where a run in this state stands.
    pub(crate) fn of(row: &RunRow, state: &RunState) -> Self {
        if state.closed.is_some() {
            return Self { parent: state.parent, ..Self::default() };
        }
        let waits = state.waits.iter();
        let undecided = state.undecided();
        Self {
            paused: state.paused.as_ref().map(|paused| Paused { by: paused.by.clone(), reason: paused.reason.clone() }),
            breakpoints: state.plan.hits.iter().cloned().collect(),
            waits: waits
                .map(|(call, wait)| Waits { call: *call, signal: wait.signal.clone(), until: wait.until })
                .collect(),
            undecided: undecided.map(|(call, reason)| Undecided { call, reason: reason.to_owned() }).collect(),
            approvals: OpenQuestion::all(row, state),
            children: state.open_children().map(|(call, run_id)| Child { call, run_id }).collect(),
            retries: state.retries().map(|(call, at)| Retry { call, at }).collect(),
            parent: state.parent,
        }
    }

    /// As somebody is shown it.
    pub(crate) fn seen_by(mut self, reader: &Principal) -> Self {
        self.approvals = self.approvals.into_iter().map(|question| question.seen_by(reader)).collect();
        self
    }

    /// Whether somebody must do something before it goes on, rather than time pass.
    pub(crate) fn wants_somebody(&self) -> bool {
        self.paused.is_some()
            || !self.breakpoints.is_empty()
            || !self.undecided.is_empty()
            || !self.approvals.is_empty()
            || self.waits.iter().any(|wait| wait.signal.is_some())
    }

    /// What it waits for in words, each with the command that would mend it.
    pub(crate) fn lines(&self, run: RunId) -> Vec<(String, String)> {
        let mut lines = Vec::new();
        if let Some(Paused { by, reason }) = &self.paused {
            let mend = format!("l9-server runs resume {run} --reason \"…\"");
            lines.push((format!("paused by {by}: {reason}"), mend));
        }
        for Hit { id, at, .. } in &self.breakpoints {
            let mend = format!("l9-server runs resume {run} --reason \"…\"");
            let what = match at {
                Moment::Before => format!("stands at the breakpoint before {id}"),
                Moment::After => format!("stands at the breakpoint after {id}"),
                Moment::OnError => format!("stands at the breakpoint on an error of {id}"),
                Moment::RolledBack => format!("was rolled back to {id}, and goes on from there"),
            };
            lines.push((what, mend));
        }
        for Undecided { call, reason } in &self.undecided {
            let mend = format!("l9-server runs resolve {run} {call} --as happened|not-happened|unknown --reason \"…\"");
            lines.push((format!("nobody knows whether {call} took effect: {reason}"), mend));
        }
        for question in &self.approvals {
            let mend = format!("l9-server approvals approve {} --reason \"…\"", question.id);
            let why = question.reasons.join("; ");
            lines.push((format!("{} asks for {}: {why}", question.call, question.target), mend));
        }
        for Child { call, run_id } in &self.children {
            lines.push((format!("{call} is run {run_id}"), format!("l9-server runs show {run_id}")));
        }
        for Waits { call, signal, until } in &self.waits {
            let until = until.map(|until| format!(" until {until}")).unwrap_or_default();
            match signal {
                Some(signal) => {
                    let mend = format!("l9-server runs signal {run} {} --value '…'", quoted(signal));
                    lines.push((format!("{call} waits for signal {signal}{until}"), mend));
                }
                None => lines.push((format!("{call} waits{until}"), String::new())),
            }
        }
        for Retry { call, at } in &self.retries {
            lines.push((format!("{call} is tried again at {at}"), String::new()));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_model_names_cannot_become_a_command() {
        assert_eq!(quoted("paid"), "paid");
        assert_eq!(quoted("x; rm -rf ~"), "'x; rm -rf ~'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted("--help"), "'--help'");
    }
}
