//! The frames of `/ws`: what clients may say, and what they are told.
//!
//! Parsing is pure and never panics; what does not parse is answered, not punished.

use l9::budget::Budget;
use l9::id::{AgentId, ApprovalId, RunId};
use l9::json::{self, Bounds};
use l9::principal::Role;
use l9::run::EventView;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::http::{Decision, End, Found, Problem, words};

/// The most bytes of a client's own id of a frame.
const ID_BYTES: usize = 128;

/// What clients may say.
const KINDS: &str = "agent.execute, run.subscribe, run.unsubscribe, run.cancel, run.pause, run.resume, run.signal, \
                     approval.decide, memory.search or ping";

/// What a client said.
#[derive(Debug, PartialEq)]
pub(super) struct Said {
    /// The client's own id of the frame, to be repeated in answers.
    pub(super) id: Option<String>,
    /// What it wants.
    pub(super) wish: Wish,
}

/// What a client wants.
#[derive(Debug, PartialEq)]
pub(super) enum Wish {
    /// Start a run and follow it.
    Execute(Execute),
    /// Follow a run.
    Subscribe(Subscribe),
    /// Follow a run no more.
    Unsubscribe(Unsubscribe),
    /// Ask a run to stop.
    Cancel(Ask),
    /// Ask a run to start nothing new.
    Pause(Ask),
    /// Ask a paused run to go on.
    Resume(Ask),
    /// Send a run what it waits for.
    Signal(Signal),
    /// Decide a question.
    Decide(ApprovalId, Decision),
    /// Search memory.
    Search(Search),
    /// Hear a pong.
    Ping,
}

impl Wish {
    /// The role it needs.
    pub(super) fn needs(&self) -> Role {
        match self {
            Self::Subscribe(_) | Self::Unsubscribe(_) | Self::Search(_) | Self::Ping => Role::Viewer,
            Self::Execute(_) | Self::Cancel(_) | Self::Pause(_) | Self::Resume(_) | Self::Signal(_) => Role::Operator,
            Self::Decide(..) => Role::Approver,
        }
    }
}

/// `agent.execute`.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Execute {
    pub(super) agent_id: AgentId,
    pub(super) input: String,
    #[serde(default)]
    pub(super) session: Option<String>,
    #[serde(default)]
    pub(super) budget: Budget,
}

/// `run.subscribe`.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Subscribe {
    pub(super) run_id: RunId,
    #[serde(default)]
    pub(super) from_seq: u64,
}

/// `run.unsubscribe`.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Unsubscribe {
    pub(super) run_id: RunId,
}

/// `run.cancel`, `run.pause` and `run.resume`.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ask {
    pub(super) run_id: RunId,
    #[serde(default)]
    pub(super) reason: Option<String>,
}

impl Ask {
    /// The run, and why.
    ///
    /// # Errors
    /// For a reason that is empty or too long.
    pub(super) fn parts(self) -> Result<(RunId, String), Problem> {
        let reason = self.reason.unwrap_or_else(|| "asked over a WebSocket".to_owned());
        Ok((self.run_id, words("reason", reason)?))
    }
}

/// `run.signal`.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Signal {
    pub(super) run_id: RunId,
    pub(super) name: String,
    #[serde(default)]
    pub(super) value: Value,
}

/// `memory.search`.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Search {
    pub(super) q: String,
    #[serde(default)]
    pub(super) k: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// A frame that was not understood.
#[derive(Debug)]
pub(super) struct Misunderstood {
    /// The client's own id of the frame, if that could be read.
    pub(super) id: Option<String>,
    /// Why.
    pub(super) problem: Problem,
}

/// Reads a frame.
///
/// # Errors
/// For text that is no JSON object within bounds, an unknown `type`, or fields that
/// are missing, unknown or of another form.
pub(super) fn parse(text: &[u8], bytes: usize) -> Result<Said, Misunderstood> {
    let nameless = |problem: Problem| Misunderstood { id: None, problem };
    let value = json::parse(text, &Bounds { bytes, values: 10_000, ..Bounds::default() });
    let value = value.map_err(|error| nameless(error.into()))?;
    let Value::Object(mut fields) = value else {
        return Err(nameless(Problem::invalid("a frame is a JSON object with a type")));
    };
    let id = match fields.remove("id") {
        None | Some(Value::Null) => None,
        Some(Value::String(id)) if id.len() <= ID_BYTES => Some(id),
        Some(_) => return Err(nameless(Problem::invalid(format!("id is not a string of at most {ID_BYTES} bytes")))),
    };
    let kind = fields.remove("type");
    let body = Value::Object(fields);
    let wish = match kind.as_ref().and_then(Value::as_str) {
        Some("agent.execute") => form(body).map(Wish::Execute),
        Some("run.subscribe") => form(body).map(Wish::Subscribe),
        Some("run.unsubscribe") => form(body).map(Wish::Unsubscribe),
        Some("run.cancel") => form(body).map(Wish::Cancel),
        Some("run.pause") => form(body).map(Wish::Pause),
        Some("run.resume") => form(body).map(Wish::Resume),
        Some("run.signal") => form(body).map(Wish::Signal),
        Some("approval.decide") => decide(body),
        Some("memory.search") => form(body).map(Wish::Search),
        Some("ping") => form::<Nothing>(body).map(|_| Wish::Ping),
        Some(kind) => {
            let shown: String = kind.chars().take(80).collect();
            Err(Problem::invalid(format!("type {shown:?} is not known: use {KINDS}")))
        }
        None => Err(Problem::invalid(format!("a frame needs a type: use {KINDS}"))),
    };
    match wish {
        Ok(wish) => Ok(Said { id, wish }),
        Err(problem) => Err(Misunderstood { id, problem }),
    }
}

/// `approval.decide`: a decision, and which question it is upon.
fn decide(mut body: Value) -> Result<Wish, Problem> {
    let id = body.as_object_mut().and_then(|fields| fields.remove("approval_id")).unwrap_or_default();
    let id =
        form(id).map_err(|_| Problem::invalid("approval_id is not the id of a question, as GET /approvals lists"))?;
    Ok(Wish::Decide(id, form(body)?))
}

fn form<T: DeserializeOwned>(body: Value) -> Result<T, Problem> {
    serde_json::from_value(body).map_err(|error| Problem::invalid(format!("the frame does not fit: {error}")))
}

/// What a client is told.
#[derive(Debug, Serialize)]
#[serde(tag = "type")]
pub(super) enum Told {
    /// A run is durable and will be carried out.
    #[serde(rename = "run.accepted")]
    Accepted {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        run_id: RunId,
    },
    /// Something happened to a run.
    #[serde(rename = "run.event")]
    Event(Box<EventView>),
    /// Words as a model writes them.
    #[serde(rename = "run.delta")]
    Delta { run_id: RunId, text: String },
    /// A run ended, and so does its subscription.
    #[serde(rename = "run.closed")]
    Closed {
        run_id: RunId,
        #[serde(flatten)]
        end: End,
    },
    /// What memory has.
    #[serde(rename = "memory.results")]
    Results {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        results: Vec<Found>,
    },
    /// An answer to `ping`.
    #[serde(rename = "pong")]
    Pong {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
    },
    /// A frame could not be carried out, or a subscription broke off.
    #[serde(rename = "error")]
    Error {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        run_id: Option<RunId>,
        /// The problem's stable URN; `type` is taken by the frame's own.
        problem: String,
        title: &'static str,
        detail: String,
    },
}

impl Told {
    /// An error about a frame.
    pub(super) fn error(id: Option<String>, problem: &Problem) -> Self {
        Self::Error {
            id,
            run_id: None,
            problem: problem.kind().to_owned(),
            title: problem.title(),
            detail: problem.detail().to_owned(),
        }
    }

    /// An error about a run that was followed.
    pub(super) fn broken(run: RunId, problem: &Problem) -> Self {
        Self::Error {
            id: None,
            run_id: Some(run),
            problem: problem.kind().to_owned(),
            title: problem.title(),
            detail: problem.detail().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const RUN: &str = "01890000-0000-7000-8000-000000000001";

    fn read(text: &str) -> Result<Said, Misunderstood> {
        parse(text.as_bytes(), 1 << 20)
    }

    fn refused(text: &str) -> String {
        read(text).unwrap_err().problem.detail().to_owned()
    }

    #[test]
    fn every_frame_of_the_contract_is_understood() {
        let said = read(r#"{"type":"agent.execute","agent_id":"researcher","input":"What is AI?","id":"c1"}"#).unwrap();
        assert_eq!(said.id.as_deref(), Some("c1"));
        let Wish::Execute(execute) = said.wish else { panic!("not an execute: {:?}", said.wish) };
        assert_eq!((execute.agent_id.as_str(), execute.input.as_str()), ("researcher", "What is AI?"));
        let run: RunId = RUN.parse().unwrap();
        let wish = |text: String| read(&text).unwrap().wish;
        assert_eq!(
            wish(format!(r#"{{"type":"run.subscribe","run_id":"{RUN}","from_seq":7}}"#)),
            Wish::Subscribe(Subscribe { run_id: run, from_seq: 7 })
        );
        assert_eq!(
            wish(format!(r#"{{"type":"run.unsubscribe","run_id":"{RUN}"}}"#)),
            Wish::Unsubscribe(Unsubscribe { run_id: run })
        );
        assert_eq!(
            wish(format!(r#"{{"type":"run.cancel","run_id":"{RUN}","reason":"enough"}}"#)),
            Wish::Cancel(Ask { run_id: run, reason: Some("enough".into()) })
        );
        assert_eq!(
            wish(r#"{"type":"memory.search","q":"words","k":3}"#.into()),
            Wish::Search(Search { q: "words".into(), k: Some(3) })
        );
        assert_eq!(wish(r#"{"type":"ping"}"#.into()), Wish::Ping);
    }

    #[test]
    fn what_is_not_understood_is_named() {
        assert!(refused("").contains("malformed JSON"));
        assert!(refused("[1]").contains("a JSON object"));
        assert!(refused(r#"{"type":"ping","type":"ping"}"#).contains("duplicate key"));
        assert!(refused(r#"{"type":"run.freeze"}"#).contains("is not known"));
        assert!(refused(r#"{"input":"x"}"#).contains("needs a type"));
        assert!(refused(r#"{"type":7}"#).contains("needs a type"));
        assert!(refused(r#"{"type":"agent.execute","agent_id":"a"}"#).contains("missing field `input`"));
        assert!(refused(r#"{"type":"ping","x":1}"#).contains("unknown field"));
        for (budget, why) in [
            (r#"{"usd":5}"#, "unknown field `usd` with the value 5: a budget counts micro_usd in millionths"),
            (r#"{"time_ms":"5s"}"#, "time_ms is \"5s\": write a whole number of milliseconds"),
            (r#"{"egress_bytes":-1}"#, "egress_bytes is -1: write a whole number of bytes"),
        ] {
            let frame = format!(r#"{{"type":"agent.execute","agent_id":"a","input":"b","budget":{budget}}}"#);
            assert!(refused(&frame).contains(why), "{}", refused(&frame));
        }
        assert!(refused(r#"{"type":"ping","id":7}"#).contains("id is not a string"));
        assert!(
            refused(&format!(r#"{{"type":"ping","id":{}1{}}}"#, "[".repeat(40), "]".repeat(40))).contains("deeper")
        );
        assert!(refused(r#"{"type":"run.subscribe","run_id":"x"}"#).contains("does not fit"));
        let named = read(r#"{"type":"run.subscribe","id":"s1"}"#).unwrap_err();
        assert_eq!(named.id.as_deref(), Some("s1"));
    }

    #[test]
    fn frames_to_clients_keep_their_form() {
        let run: RunId = RUN.parse().unwrap();
        let of = |told: &Told| serde_json::to_value(told).unwrap();
        assert_eq!(
            of(&Told::Accepted { id: Some("c1".into()), run_id: run }),
            json!({"type": "run.accepted", "id": "c1", "run_id": RUN})
        );
        assert_eq!(of(&Told::Pong { id: None }), json!({"type": "pong"}));
        assert_eq!(
            of(&Told::error(Some("c2".into()), &Problem::invalid("what is wrong"))),
            json!({"type": "error", "id": "c2", "problem": "urn:l9:error:invalid",
                   "title": "the request is not valid", "detail": "what is wrong"})
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes, 256);
        }

        #[test]
        fn no_object_makes_the_parser_panic(
            kind in "(agent.execute|run.subscribe|run.unsubscribe|run.cancel|memory.search|ping|.{0,8})",
            key in "(id|run_id|from_seq|agent_id|input|reason|q|k|.{0,4})",
            value in "(null|true|-1|1e99|\"\"|\"x\"|\\[\\]|\\{\\}|.{0,6})",
        ) {
            let kind = serde_json::to_string(&kind).unwrap();
            let key = serde_json::to_string(&key).unwrap();
            let _ = parse(format!("{{\"type\":{kind},{key}:{value}}}").as_bytes(), 1 << 20);
        }
    }
}
