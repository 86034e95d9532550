//! A neutral trace, judged: sessions of calls and results in JSON lines, without a run.
//!
//! The same engine as on the governed path: nothing is decided here that is not decided
//! there. A later call is judged with the labels that earlier results brought, whether or not
//! the earlier call would have been allowed.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::fields::{FieldLabels, Taint};
use super::identities::Identities;
use super::session::{Flow, Reading};
use crate::budget::{Budget, Cost};
use crate::governor::{Decision, Facts, Policy, PolicyAction, PolicyRequest};
use crate::id::ToolId;
use crate::label::Label;
use crate::principal::Principal;
use crate::time::Timestamp;
use crate::tool::Manifest;
use crate::{Error, Result};

/// What a trace's manifests may leave out, because it does not bear on policy.
const IGNORED: &[&str] = &["runtime", "limits", "net", "fs", "secrets", "rate", "determinism", "audit"];

/// One call, judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TraceVerdict {
    /// The session's id, which means nothing.
    pub session: String,
    /// The call's id.
    pub call: String,
    /// The tool.
    #[serde(skip)]
    pub tool: ToolId,
    /// The decision.
    pub decision: Decision,
    /// The rules that decided, for people.
    pub reasons: Vec<String>,
    /// What the decision was made from.
    #[serde(skip)]
    pub facts: Facts,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line {
    Session(Box<SessionLine>),
    Call(CallLine),
    Result(ResultLine),
}

#[derive(Deserialize)]
struct SessionLine {
    id: String,
    #[serde(default)]
    prompt: String,
    principal: PrincipalLine,
    tools: Vec<Value>,
}

#[derive(Deserialize)]
struct PrincipalLine {
    id: String,
    #[serde(default)]
    identities: Vec<String>,
}

#[derive(Deserialize)]
struct CallLine {
    id: String,
    tool: String,
    #[serde(default)]
    args: Value,
}

#[derive(Deserialize)]
struct ResultLine {
    call: String,
    #[serde(default)]
    content: Value,
}

/// Reads a trace line by line and judges its calls.
#[derive(Debug)]
pub struct TraceReader<'p> {
    policy: &'p dyn Policy,
    session: Option<Session>,
    lines: u64,
}

#[derive(Debug)]
struct Session {
    id: String,
    principal: Principal,
    own: Identities,
    tools: HashMap<ToolId, Manifest>,
    flow: Flow,
    calls: HashMap<String, Made>,
    steps: u32,
}

/// A call that was made; its result may still come.
#[derive(Debug)]
struct Made {
    tool: ToolId,
    step: u32,
    arguments: Value,
    taints: Vec<Taint>,
    answered: bool,
}

impl<'p> TraceReader<'p> {
    /// A reader whose calls a policy judges.
    #[must_use]
    pub fn new(policy: &'p dyn Policy) -> Self {
        Self { policy, session: None, lines: 0 }
    }

    /// Takes the next line; gives the verdict if it is a call. Empty lines are passed over.
    ///
    /// # Errors
    /// `Invalid` with the line's number: no JSON, no line of a trace, an unknown tool, a
    /// manifest that is none, a call or result before its session, a result of no call.
    pub fn line(&mut self, line: &[u8]) -> Result<Option<TraceVerdict>> {
        self.lines += 1;
        if line.trim_ascii().is_empty() {
            return Ok(None);
        }
        self.take(line).map_err(|why| Error::invalid(format!("line {}: {why}", self.lines)))
    }

    fn take(&mut self, line: &[u8]) -> Result<Option<TraceVerdict>, String> {
        let line: Line = serde_json::from_slice(line).map_err(|error| format!("is no line of a trace: {error}"))?;
        match line {
            Line::Session(session) => {
                self.session = Some(Session::new(*session)?);
                Ok(None)
            }
            Line::Call(call) => {
                let policy = self.policy;
                let session = self.session.as_mut().ok_or("a call stands before any session")?;
                session.call(policy, call).map(Some)
            }
            Line::Result(result) => {
                let session = self.session.as_mut().ok_or("a result stands before any session")?;
                session.result(&result).map(|()| None)
            }
        }
    }
}

impl Session {
    fn new(line: SessionLine) -> Result<Self, String> {
        let SessionLine { id, prompt, principal, tools } = line;
        let mut known = HashMap::new();
        for (at, tool) in tools.into_iter().enumerate() {
            let tool = manifest(tool).map_err(|why| format!("tools[{at}] of session {id:?} is no manifest: {why}"))?;
            let tool_id = tool.id.clone();
            if known.insert(tool_id.clone(), tool).is_some() {
                return Err(format!("session {id:?} has tool {tool_id} twice"));
            }
        }
        let bare = principal.id.split_once(':').map(|(_, name)| name);
        let names = principal.identities.iter().map(String::as_str).chain([principal.id.as_str()]).chain(bare);
        let own = Identities::new(names);
        let flow = Flow::new(&prompt, &Label::trusted(), own.clone());
        let principal = Principal { subject: principal.id, ..Principal::local() };
        Ok(Self { id, principal, own, tools: known, flow, calls: HashMap::new(), steps: 0 })
    }

    fn call(&mut self, policy: &dyn Policy, line: CallLine) -> Result<TraceVerdict, String> {
        let CallLine { id, tool, args } = line;
        let tool = ToolId::new(tool.as_str()).map_err(|error| error.to_string())?;
        let manifest = self
            .tools
            .get(&tool)
            .ok_or_else(|| format!("call {id:?} is of tool {tool}, which its session does not have"))?;
        if self.calls.contains_key(&id) {
            return Err(format!("session {:?} has call {id:?} twice", self.id));
        }
        let arguments = if args.is_null() { json!({}) } else { args };
        let judged = self.flow.judge(manifest, &arguments);
        let verdict = policy.decide(&PolicyRequest {
            principal: &self.principal,
            agent: None,
            action: PolicyAction::InvokeTool { manifest, arguments: &arguments },
            label: self.flow.label(),
            facts: &judged.facts,
            budget: &Budget::default(),
            used: Cost::default(),
            now: Timestamp::EPOCH,
            approved: false,
            timed_out: false,
        });
        self.steps += 1;
        let made = Made { tool: tool.clone(), step: self.steps, arguments, taints: judged.taints, answered: false };
        self.calls.insert(id.clone(), made);
        let (decision, reasons) = (verdict.decision, verdict.reasons);
        Ok(TraceVerdict { session: self.id.clone(), call: id, tool, decision, reasons, facts: judged.facts })
    }

    fn result(&mut self, line: &ResultLine) -> Result<(), String> {
        let ResultLine { call, content } = line;
        let made =
            self.calls.get_mut(call).ok_or_else(|| format!("the result is of call {call:?}, which was not made"))?;
        if std::mem::replace(&mut made.answered, true) {
            return Err(format!("call {call:?} has two results"));
        }
        let Some(manifest) = self.tools.get(&made.tool) else { return Ok(()) };
        let labels = FieldLabels::resolve(manifest, &self.own, &made.taints, content);
        let Made { tool, step, arguments, .. } = &*made;
        self.flow.read(&Reading { step: *step, tool, arguments, labels: &labels, value: content });
        Ok(())
    }
}

/// A manifest of a trace, with what does not bear on policy filled in.
fn manifest(tool: Value) -> Result<Manifest, String> {
    let Value::Object(mut fields) = tool else { return Err("it is no object".to_owned()) };
    for ignored in IGNORED {
        fields.remove(*ignored);
    }
    let id = fields.get("id").cloned().ok_or("it has no id")?;
    let mut fill = |name: &str, value: Value| {
        fields.entry(name.to_owned()).or_insert(value);
    };
    fill("schema_version", json!(1));
    fill("version", json!("0.0.0"));
    fill("title", id.clone());
    fill("description", id);
    fill("input_schema", json!({"type": "object"}));
    fill("runtime", json!({"kind": "native"}));
    serde_json::from_value(Value::Object(Map::from_iter(fields))).map_err(|error| error.to_string())
}
