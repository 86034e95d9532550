//! The names of things: tenants, runs, agents, tools, calls.
//!
//! Every constructor validates, so that an id in hand is always well-formed. Cloning one
//! copies no text.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::entropy::Entropy;
use crate::time::Timestamp;
use crate::{Error, Result, text};

/// Declares a validated textual id.
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $valid:expr, $form:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, schemars::JsonSchema)]
        #[serde(try_from = "String")]
        #[schemars(with = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Validates the text as this id.
            ///
            /// # Errors
            /// `Invalid` when the text is not of the id's form.
            pub fn new(text: impl Into<String>) -> Result<Self> {
                let text = text.into();
                let valid: fn(&str) -> bool = $valid;
                if valid(&text) {
                    Ok(Self(text.into()))
                } else {
                    let shown: String = text.chars().take(80).collect();
                    Err(Error::invalid(format!(concat!("{:?} is not a valid ", $what, ": use ", $form), shown)))
                }
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = Error;
            fn from_str(text: &str) -> Result<Self> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;
            fn try_from(text: String) -> Result<Self> {
                Self::new(text)
            }
        }

        impl From<$name> for Arc<str> {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.as_ref().into()
            }
        }
    };
}

fn is_word(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.'))
        && text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
}

text_id!(
    /// Who owns a row; a key column everywhere.
    TenantId, "tenant", is_word, "1 to 64 of a-z 0-9 - _ . and start with a letter or digit"
);
text_id!(
    /// The name of an agent profile.
    AgentId, "agent id", is_word, "1 to 64 of a-z 0-9 - _ . and start with a letter or digit"
);
text_id!(
    /// The name of a schedule, unique within its tenant.
    ScheduleId, "schedule id", is_word, "1 to 64 of a-z 0-9 - _ . and start with a letter or digit"
);
text_id!(
    /// A tool's name, `namespace/name`.
    ToolId, "tool id",
    |text| text.split_once('/').is_some_and(|(space, name)| is_word(space) && is_word(name)),
    "namespace/name, each 1 to 64 of a-z 0-9 - _ ."
);
text_id!(
    /// The sender's own id of a command, unique within its run.
    CommandId, "command id",
    |text| (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()),
    "1 to 128 printable ASCII characters"
);

impl TenantId {
    /// The tenant of a system that has only one.
    #[must_use]
    pub fn default_tenant() -> Self {
        Self("default".into())
    }
}

/// Gives an id that is a UUID of version 7 what all of them have.
macro_rules! uuid_id {
    ($name:ident, $what:literal) => {
        impl $name {
            /// Makes a new one. `label` must be unique under a seeded entropy.
            #[must_use]
            pub fn generate(now: Timestamp, entropy: &dyn Entropy, label: &str) -> Self {
                Self(uuid_v7(now, entropy, label))
            }

            /// The 16 bytes of the UUID.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// Reads the 16 bytes of a stored one.
            ///
            /// # Errors
            /// `Corrupt` when there are not 16 bytes.
            pub fn from_slice(bytes: &[u8]) -> Result<Self> {
                Uuid::from_slice(bytes)
                    .map(Self)
                    .map_err(|_| Error::corrupt(format!(concat!("a ", $what, " has 16 bytes, not {}"), bytes.len())))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

/// A run's id: a UUID of version 7, so that ids sort by their time of creation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
#[schemars(with = "String")]
pub struct RunId(Uuid);

uuid_id!(RunId, "run id");

impl RunId {
    /// Its text, without memory of its own: it is written for every record.
    pub(crate) fn text<'a>(&self, room: &'a mut [u8; 36]) -> &'a str {
        self.0.hyphenated().encode_lower(room)
    }
}

/// One making of a schedule: a schedule that is made again under an id has another.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesId(Uuid);

uuid_id!(SeriesId, "schedule's series");

impl FromStr for RunId {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Uuid::try_parse(text).map(Self).map_err(|_| {
            let shown: String = text.chars().take(80).collect();
            Error::invalid(format!("{shown:?} is not a run id: use the UUID that `runs list` prints"))
        })
    }
}

/// A UUID of version 7 (RFC 9562) from a time and labelled entropy.
#[must_use]
pub fn uuid_v7(now: Timestamp, entropy: &dyn Entropy, label: &str) -> Uuid {
    let mut random = [0; 10];
    entropy.fill(format_args!("{label}"), &mut random);
    uuid::Builder::from_unix_timestamp_millis(now.as_millis().unsigned_abs(), &random).into_uuid()
}

/// A question to a person: the run that asked, and the question's number there.
///
/// Written as text: `01a2075d-1c6b-76b0-b262-270a81ee68f0.1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct ApprovalId {
    /// The run.
    pub run: RunId,
    /// The question's number in the run, from 1.
    pub ask: u32,
}

impl fmt::Display for ApprovalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.run, self.ask)
    }
}

impl FromStr for ApprovalId {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let parts = text.rsplit_once('.').and_then(|(run, ask)| Some((run.parse().ok()?, ask.parse().ok()?)));
        parts.map(|(run, ask)| Self { run, ask }).ok_or_else(|| {
            let shown: String = text.chars().take(80).collect();
            Error::invalid(format!("{shown:?} is not an approval's id: use one that `approvals list` prints"))
        })
    }
}

impl TryFrom<String> for ApprovalId {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<ApprovalId> for String {
    fn from(id: ApprovalId) -> Self {
        id.to_string()
    }
}

/// Which effect of a run: stable over crashes, attempts and forks.
///
/// Written as text: `call` · `context` · `turn/3` · `turn/3/tool/0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CallId {
    /// The one effect of a run that is a single call.
    Single,
    /// An agent's recall before its first turn.
    Context,
    /// An agent's model call.
    Turn(u32),
    /// A tool call that a model turn asked for.
    Tool {
        /// The model turn that asked.
        turn: u32,
        /// Its place among that turn's tool calls.
        index: u32,
    },
    /// An effect of a plan's node.
    Node(NodeCall),
}

impl CallId {
    fn kind(self) -> u8 {
        match self {
            Self::Single => 0,
            Self::Context => 1,
            Self::Turn(_) => 2,
            Self::Tool { .. } => 3,
            Self::Node(_) => 4,
        }
    }
}

/// By kind in the order above, then by each number. Maps of effects are searched by it, so that it
/// looks first at what most ids of a run differ in.
impl Ord for CallId {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Node(call), Self::Node(other)) if call.node != other.node => call.node.cmp(&other.node),
            (Self::Node(call), Self::Node(other)) => call.cmp(other),
            (Self::Tool { turn, index }, Self::Tool { turn: other, index: place }) => {
                (turn, index).cmp(&(other, place))
            }
            (Self::Turn(turn), Self::Turn(other)) => turn.cmp(other),
            _ => self.kind().cmp(&other.kind()),
        }
    }
}

impl PartialOrd for CallId {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Which effect of which node of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeCall {
    /// The node's number: its place among all that the plan ever had.
    pub node: u32,
    /// How often the node was reset before.
    pub generation: u32,
    /// What of the node it is.
    pub part: NodePart,
    /// Its place in the list that the node goes through; 0 for one that goes through none.
    pub item: u32,
    /// Which try at it, from 1: each is an effect of its own, begun once the last has ended
    /// without effect, or its run without success.
    pub attempt: u32,
}

impl CallId {
    /// What of a plan's node it is, if it is of one.
    #[must_use]
    pub fn node(self) -> Option<NodeCall> {
        match self {
            Self::Node(call) => Some(call),
            _ => None,
        }
    }

    /// Whether it is a compensation: nothing that only stops a run stops that.
    #[must_use]
    pub fn is_undo(self) -> bool {
        self.node().is_some_and(|call| call.part == NodePart::Undo)
    }
}

/// What of a plan's node an effect is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NodePart {
    /// The work itself.
    Work,
    /// The wait before the try that the number names.
    Delay,
    /// The compensation of its work.
    Undo,
}

impl NodePart {
    const ALL: [(Self, &str); 3] = [(Self::Work, "work"), (Self::Delay, "delay"), (Self::Undo, "undo")];
}

impl fmt::Display for NodeCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        CallId::Node(*self).fmt(f)
    }
}

impl NodeCall {
    fn parse(rest: &str) -> Option<Self> {
        let mut parts = rest.split('/');
        let node = parts.next()?.parse().ok()?;
        let generation = parts.next()?.parse().ok()?;
        let name = parts.next()?;
        let (part, _) = *NodePart::ALL.iter().find(|(_, known)| *known == name)?;
        let item = parts.next()?.parse().ok()?;
        let attempt = parts.next()?.parse().ok()?;
        parts.next().is_none().then_some(Self { node, generation, part, item, attempt })
    }
}

/// A call's id as text. It is written for every record, so it is made without memory of its own.
struct CallText {
    bytes: [u8; Self::LONGEST],
    length: usize,
}

impl CallText {
    /// `node/`, four numbers of 32 bits and a part, each with a `/`.
    const LONGEST: usize = 5 + 4 * 11 + 6;

    fn of(call: CallId) -> Self {
        let mut text = Self { bytes: [0; Self::LONGEST], length: 0 };
        match call {
            CallId::Single => text.push("call"),
            CallId::Context => text.push("context"),
            CallId::Turn(turn) => text.number("turn/", turn),
            CallId::Tool { turn, index } => {
                text.number("turn/", turn);
                text.number("/tool/", index);
            }
            // Number, generation, part, item, attempt.
            CallId::Node(NodeCall { node, generation, part, item, attempt }) => {
                text.number("node/", node);
                text.number("/", generation);
                text.push("/");
                text.push(NodePart::ALL.iter().find(|(known, _)| *known == part).map_or("work", |(_, name)| name));
                text.number("/", item);
                text.number("/", attempt);
            }
        }
        text
    }

    fn number(&mut self, before: &str, number: u32) {
        self.push(before);
        self.push(itoa::Buffer::new().format(number));
    }

    fn push(&mut self, part: &str) {
        self.bytes[self.length..self.length + part.len()].copy_from_slice(part.as_bytes());
        self.length += part.len();
    }

    fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(CallText::of(*self).as_str())
    }
}

impl FromStr for CallId {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let number = |part: &str| part.parse::<u32>().ok();
        let id = match text.strip_prefix("turn/") {
            Some(rest) => match rest.split_once('/') {
                Some((turn, index)) => number(turn)
                    .zip(index.strip_prefix("tool/").and_then(number))
                    .map(|(turn, index)| Self::Tool { turn, index }),
                None => number(rest).map(Self::Turn),
            },
            None if text == "call" => Some(Self::Single),
            None if text == "context" => Some(Self::Context),
            None => text.strip_prefix("node/").and_then(NodeCall::parse).map(Self::Node),
        };
        id.ok_or_else(|| Error::new(crate::ErrorKind::Newer, format!("call id {text:?} is not known to this version")))
    }
}

impl Serialize for CallId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(CallText::of(*self).as_str())
    }
}

impl<'de> Deserialize<'de> for CallId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::read(deserializer, "the id of a call")
    }
}

impl ToolId {
    /// What stands before the `/`.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.0.split_once('/').map_or(&*self.0, |(namespace, _)| namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_ids_round_trip_through_their_text() {
        let node = NodeCall { node: 3, generation: 1, part: NodePart::Undo, item: 7, attempt: 2 };
        let longest =
            NodeCall { node: u32::MAX, generation: u32::MAX, part: NodePart::Delay, item: u32::MAX, attempt: u32::MAX };
        let tool = CallId::Tool { turn: 2, index: 11 };
        let ids = [CallId::Single, CallId::Context, CallId::Turn(7), tool, CallId::Node(node), CallId::Node(longest)];
        for id in ids {
            assert_eq!(id.to_string().parse::<CallId>().unwrap(), id);
        }
        assert_eq!(ids.map(|id| id.to_string())[3..5], ["turn/2/tool/11", "node/3/1/undo/7/2"]);
        for bad in ["turn/x", "node/3/1/undo/7", "node/3/1/rest/7/2", "node/3/1/undo/7/2/1"] {
            assert!(bad.parse::<CallId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn call_ids_are_ordered_by_kind_then_by_each_number() {
        let node = |node, generation, part, item, attempt| NodeCall { node, generation, part, item, attempt };
        let tool = |turn, index| CallId::Tool { turn, index };
        let mut nodes = vec![CallId::Single, CallId::Context, CallId::Turn(1), CallId::Turn(7)];
        nodes.extend([tool(0, 9), tool(1, 0), tool(1, 1)]);
        nodes.extend(
            [
                node(0, 9, NodePart::Undo, 9, 9),
                node(1, 0, NodePart::Work, 0, 1),
                node(1, 0, NodePart::Work, 0, 2),
                node(1, 0, NodePart::Work, 1, 0),
                node(1, 0, NodePart::Delay, 0, 0),
                node(1, 0, NodePart::Undo, 0, 0),
                node(1, 1, NodePart::Work, 0, 0),
            ]
            .map(CallId::Node),
        );
        for (at, one) in nodes.iter().enumerate() {
            for (other_at, other) in nodes.iter().enumerate() {
                assert_eq!(one.cmp(other), at.cmp(&other_at), "{one} beside {other}");
            }
        }
    }

    #[test]
    fn a_tool_id_needs_its_namespace_and_ascii() {
        assert!(ToolId::new("calc/evaluate").is_ok());
        for bad in ["calc", "calc/", "/x", "calc/Evaluate", "calc/ev\u{430}luate", "a/b/c", "../etc"] {
            assert!(ToolId::new(bad).is_err(), "{bad}");
        }
    }
}
