//! Traces by hand.

use l9_core::Result;
use l9_core::flow::{TraceReader, TraceVerdict};
use l9_core::governor::{Baseline, Decision};
use serde_json::{Value, json};

/// Judges a whole trace under the default policy.
pub(crate) fn judge_text(text: &str) -> Result<Vec<TraceVerdict>> {
    let mut reader = TraceReader::new(&Baseline);
    let mut verdicts = Vec::new();
    for line in text.lines() {
        verdicts.extend(reader.line(line.as_bytes())?);
    }
    Ok(verdicts)
}

/// One session, written call by call.
pub(crate) struct Trace {
    lines: Vec<Value>,
    calls: usize,
}

impl Trace {
    pub(crate) fn new(prompt: &str) -> Self {
        let principal = json!({"id": "person:ada", "identities": ["ada@orchard.example", "orchard.example"]});
        let line = json!({"type": "session", "id": "s", "agent": "a", "prompt": prompt, "principal": principal, "tools": tools()});
        Self { lines: vec![line], calls: 0 }
    }

    /// A call that has a result.
    pub(crate) fn did(mut self, tool: &str, args: Value, content: Value) -> Self {
        self = self.wants(tool, args);
        let call = format!("c{}", self.calls);
        self.lines.push(json!({"type": "result", "call": call, "content": content}));
        self
    }

    /// A call that is only asked for.
    pub(crate) fn wants(mut self, tool: &str, args: Value) -> Self {
        self.calls += 1;
        let call = format!("c{}", self.calls);
        self.lines.push(json!({"type": "call", "id": call, "tool": tool, "args": args}));
        self
    }

    pub(crate) fn text(&self) -> String {
        self.lines.iter().map(Value::to_string).collect::<Vec<_>>().join("\n")
    }

    /// The verdict on the last call.
    pub(crate) fn last(&self) -> TraceVerdict {
        judge_text(&self.text()).unwrap().pop().unwrap()
    }

    pub(crate) fn is_asked(&self) -> bool {
        let verdict = self.last();
        assert_ne!(verdict.decision, Decision::Deny, "{verdict:?}");
        verdict.decision == Decision::Ask
    }
}

/// An office's tools, as their author would declare them.
fn tools() -> Value {
    let trusted = json!({"integrity": "trusted"});
    let by = |field: &str| json!({"integrity": "trusted", "trusted_when": {"field": field, "is": "principal"}});
    json!([
        {"id": "cal/find", "effect": "read", "labels": {"output_integrity": "mixed", "output": {
            "/*/id": trusted, "/*/organizer": trusted, "/*/start": by("/*/organizer"), "/*/title": by("/*/organizer"), "/*/guests": by("/*/organizer")}}},
        {"id": "cal/list", "effect": "read", "labels": {"output_integrity": "mixed", "output": {
            "/*/id": trusted, "/*/title": trusted, "/*/start": trusted, "/*/guests": trusted}}},
        {"id": "cal/move", "effect": "opaque_write", "args": {"/id": {"role": "target"}, "/start": {"role": "time"}}},
        {"id": "cal/delete", "effect": "opaque_write", "destructive": true, "args": {"/id": {"role": "target"}}},
        {"id": "mail/read", "effect": "read", "labels": {"output_integrity": "mixed", "output": {"/*/id": trusted, "/*/sender": trusted}}},
        {"id": "mail/send", "effect": "opaque_write", "args": {"/to": {"role": "recipient"}, "/body": {"role": "body"}},
            "labels": {"output_integrity": "trusted"}},
        {"id": "far/do", "effect": "opaque_write", "args": {"": {"role": "target"}, "/note": {"role": "body"}}},
        {"id": "bank/payees", "effect": "read", "labels": {"output_integrity": "mixed", "output": {"": trusted}}},
        {"id": "bank/history", "effect": "read", "labels": {"output_integrity": "mixed", "output": {
            "": trusted, "/*/subject": by("/*/sender")}}},
        {"id": "bank/pay", "effect": "opaque_write", "args": {"/to": {"role": "recipient"}, "/amount": {"role": "amount"},
            "/date": {"role": "time"}}, "labels": {"output_integrity": "trusted"}},
        {"id": "web/get", "effect": "read", "args": {"/url": {"role": "url"}}, "labels": {"output_integrity": "untrusted"}},
        {"id": "web/post", "effect": "opaque_write", "args": {"/url": {"role": "url"}, "/content": {"role": "body"}}},
        {"id": "chat/rooms", "effect": "read", "labels": {"output_integrity": "mixed", "output": {"/*": trusted}}},
        {"id": "math/sum", "effect": "pure", "labels": {"output_integrity": "trusted"}},
        {"id": "note/read", "effect": "read", "labels": {"output_integrity": "trusted"}},
    ])
}
