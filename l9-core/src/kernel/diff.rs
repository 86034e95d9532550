//! Diff: what two runs did alike and where they differ, effect by effect.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Value, json};

use super::engine::Engine;
use crate::Result;
use crate::id::{CallId, RunId, TenantId};
use crate::journal::{RunRow, RunStore};
use crate::run::{Action, CallState, Outcome, RunOutcome, RunState, Subject, read_records};

/// How many records are compared at a time.
const PAGE: u64 = 512;

/// What two runs have in common and where they differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diff {
    /// One.
    pub one: RunId,
    /// The other.
    pub other: RunId,
    /// How many records they share: the very same, by hash.
    pub shared: u64,
    /// Where they differ, in the order of their effects.
    pub differences: Vec<Difference>,
}

/// One difference; what one of them has not is `null`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// `model`, `instructions`, `tools`, `input`, an effect's id, `outcome` or `spent`.
    pub what: String,
    /// In the one.
    pub one: Value,
    /// In the other.
    pub other: Value,
}

impl Engine {
    /// Compares two runs of a tenant. Times, epochs and hashes are left out.
    ///
    /// # Errors
    /// `NotFound` for an unknown run, `Corrupt` for one that does not verify.
    pub async fn diff(&self, tenant: &TenantId, one: RunId, other: RunId) -> Result<Diff> {
        let ((first, left), (second, right)) = (self.show(tenant, one).await?, self.show(tenant, other).await?);
        let shared = shared(&*self.inner.parts.store, &first, &second).await?;
        let mut differences = Vec::new();
        let mut compare = |what: &str, one: Value, other: Value| {
            if one != other {
                differences.push(Difference { what: what.to_owned(), one, other });
            }
        };
        for (what, of) in [
            ("input", input as fn(&RunState) -> Value),
            ("model", model),
            ("instructions", instructions),
            ("tools", tools),
        ] {
            compare(what, of(&left), of(&right));
        }
        let calls: BTreeSet<CallId> = left.calls.keys().chain(right.calls.keys()).copied().collect();
        let mut calls: Vec<CallId> = calls.into_iter().collect();
        calls.sort_by_key(|call| place(*call));
        for call in calls {
            compare(&call.to_string(), effect(&left, call), effect(&right, call));
        }
        compare("outcome", outcome(&left), outcome(&right));
        compare("spent", json!(left.spent), json!(right.spent));
        Ok(Diff { one, other, shared, differences })
    }
}

/// How many of the first records are the same.
async fn shared(store: &dyn RunStore, one: &RunRow, other: &RunRow) -> Result<u64> {
    let mut from = 0;
    loop {
        let page = usize::try_from(PAGE).unwrap_or(usize::MAX);
        let left = read_records(store, &one.tenant, (one.run, one.fork), from, page).await?;
        let right = read_records(store, &other.tenant, (other.run, other.fork), from, page).await?;
        let same = left.iter().zip(&right).take_while(|(left, right)| left.hash == right.hash).count();
        from += same as u64;
        if same == 0 || same < left.len().min(right.len()) {
            return Ok(from);
        }
    }
}

/// Where an effect stands in the order of a run: a turn, then what it asked for.
fn place(call: CallId) -> (u32, Option<u32>) {
    match call {
        CallId::Single | CallId::Context => (0, None),
        CallId::Turn(turn) => (turn, None),
        CallId::Tool { turn, index } => (turn, Some(index)),
        CallId::Node(call) => (call.node, Some(call.item)),
    }
}

fn subject(state: &RunState) -> Option<&Subject> {
    state.created.as_ref().map(|created| &created.subject)
}

fn input(state: &RunState) -> Value {
    subject(state).map_or(Value::Null, |subject| state.shown(subject.input()))
}

fn model(state: &RunState) -> Value {
    match subject(state) {
        Some(Subject::Agent { profile, .. }) => json!(profile.model),
        _ => Value::Null,
    }
}

fn instructions(state: &RunState) -> Value {
    match subject(state) {
        Some(Subject::Agent { profile, .. }) => json!(profile.instructions),
        _ => Value::Null,
    }
}

fn tools(state: &RunState) -> Value {
    match subject(state) {
        Some(Subject::Agent { contracts, .. } | Subject::Plan { contracts, .. }) => json!(contracts),
        Some(Subject::Tool { tool, contract, .. }) => json!({ tool.as_str(): contract }),
        None => Value::Null,
    }
}

fn effect(state: &RunState, call: CallId) -> Value {
    let asked = |action: &Action| match action {
        Action::Model { model, .. } => json!({"model": model}),
        Action::Tool { tool, arguments } => json!({"tool": tool, "arguments": state.shown(arguments)}),
    };
    let (mut shown, end) = match state.calls.get(&call) {
        None => return Value::Null,
        Some(CallState::Intended(intent)) => (asked(&intent.action), json!("open")),
        Some(CallState::Asked(question)) => {
            (json!({"tool": question.target, "arguments": state.shown(&question.arguments)}), json!("asked"))
        }
        Some(CallState::Retrying { intent, .. }) => (asked(&intent.action), json!("retrying")),
        Some(CallState::Ended { action, outcome: Outcome::Ok { value } }) => {
            (asked(action), json!({"ok": state.shown(value)}))
        }
        Some(CallState::Ended { action, outcome: Outcome::Failed { code, message, .. } }) => {
            (asked(action), json!({"failed": code, "message": message}))
        }
        Some(CallState::Denied { code, reasons, .. }) => (json!({}), json!({"denied": code, "reasons": reasons})),
        Some(CallState::Unknown { action, reason, .. }) => (asked(action), json!({"unknown": reason})),
    };
    shown["end"] = end;
    shown
}

fn outcome(state: &RunState) -> Value {
    match &state.closed {
        None => Value::Null,
        Some(RunOutcome::Succeeded { answer, citations }) => {
            json!({"answer": state.value(answer), "citations": citations})
        }
        Some(other) => json!(other),
    }
}
