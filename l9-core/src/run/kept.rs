//! What grows with a run, as its snapshot keeps it: effects in order, without the tags
//! within their objects that would have each of them read twice, and each label once.

use serde::{Deserialize, Serialize};

use super::call_state::CallState;
use super::event::{Action, Outcome};
use super::stored::Stored;
use crate::digest::Digest;
use crate::id::ToolId;
use crate::model::ModelName;

/// What nearly every effect of a long run is: one that ended. The rest is kept as it is.
#[derive(Serialize, Deserialize)]
enum Kept<S> {
    /// A tool's output.
    T(ToolId, S, S),
    /// A tool's failure: code, message, whether it happened.
    F(ToolId, S, String, String, bool),
    /// A model's answer.
    M(ModelName, Digest, S),
    /// Anything else.
    O(Box<CallState>),
}

/// The effects.
pub(super) mod calls {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    use super::{Kept, keep, state};
    use crate::id::CallId;
    use crate::run::call_state::CallState;
    use crate::run::stored::Stored;

    pub(in crate::run) fn serialize<S: Serializer>(
        calls: &BTreeMap<CallId, CallState>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(calls.iter().map(|(call, state)| (call, keep(state))))
    }

    pub(in crate::run) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<CallId, CallState>, D::Error> {
        let calls: Vec<(CallId, Kept<Stored>)> = Vec::deserialize(deserializer)?;
        Ok(calls.into_iter().map(|(call, kept)| (call, state(kept))).collect())
    }
}

/// The labels of what effects gave: few differ.
pub(super) mod labels {
    use std::collections::{BTreeMap, HashMap};
    use std::sync::Arc;
    use std::{fmt, iter};

    use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
    use serde::ser::Serializer;

    use crate::flow::FieldLabels;
    use crate::id::{CallId, NodeCall};

    type Labels = BTreeMap<CallId, Arc<FieldLabels>>;

    /// The tool call that is `count` further in the same turn; from form 8, the same effect of
    /// the plan's node that is.
    fn after(first: CallId, count: u32) -> Option<CallId> {
        match first {
            CallId::Tool { turn, index } => Some(CallId::Tool { turn, index: index.checked_add(count)? }),
            CallId::Node(call) => Some(CallId::Node(NodeCall { node: call.node.checked_add(count)?, ..call })),
            _ => None,
        }
    }

    pub(in crate::run) fn serialize<S: Serializer>(labels: &Labels, serializer: S) -> Result<S::Ok, S::Error> {
        let mut places: HashMap<&FieldLabels, usize> = HashMap::new();
        let mut groups: Vec<(&FieldLabels, Vec<(CallId, u32)>)> = Vec::new();
        let mut last: Option<(&Arc<FieldLabels>, usize)> = None;
        for (call, labels) in labels {
            let place = match last {
                // Most share them with the one before.
                Some((before, place)) if Arc::ptr_eq(before, labels) => place,
                _ => *places.entry(labels).or_insert_with(|| {
                    groups.push((labels, Vec::new()));
                    groups.len() - 1
                }),
            };
            last = Some((labels, place));
            let row = &mut groups[place].1;
            match row.last_mut() {
                Some((first, count)) if after(*first, *count) == Some(*call) => *count += 1,
                _ => row.push((*call, 1)),
            }
        }
        serializer.collect_seq(groups)
    }

    pub(in crate::run) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Labels, D::Error> {
        struct Groups;

        impl<'de> Visitor<'de> for Groups {
            type Value = Labels;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("labels with the effects that have them")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut groups: A) -> Result<Labels, A::Error> {
                let mut labels = Labels::new();
                while let Some((label, calls)) = groups.next_element::<(Arc<FieldLabels>, Vec<(CallId, u32)>)>()? {
                    for (first, count) in calls {
                        let further = (1..count).map_while(|count| after(first, count));
                        labels.extend(iter::once(first).chain(further).map(|call| (call, Arc::clone(&label))));
                    }
                }
                Ok(labels)
            }

            /// Up to form 4: each effect with its label.
            fn visit_map<A: MapAccess<'de>>(self, mut each: A) -> Result<Labels, A::Error> {
                let mut labels = Labels::new();
                while let Some((call, label)) = each.next_entry()? {
                    labels.insert(call, label);
                }
                Ok(labels)
            }
        }

        deserializer.deserialize_any(Groups)
    }
}

fn keep(state: &CallState) -> Kept<&Stored> {
    match state {
        CallState::Ended { action: Action::Tool { tool, arguments }, outcome: Outcome::Ok { value } } => {
            Kept::T(tool.clone(), arguments, value)
        }
        CallState::Ended {
            action: Action::Tool { tool, arguments },
            outcome: Outcome::Failed { code, message, happened },
        } => Kept::F(tool.clone(), arguments, code.clone(), message.clone(), *happened),
        CallState::Ended { action: Action::Model { model, request }, outcome: Outcome::Ok { value } } => {
            Kept::M(model.clone(), *request, value)
        }
        other => Kept::O(Box::new(other.clone())),
    }
}

fn state(kept: Kept<Stored>) -> CallState {
    let ended = |action, outcome| CallState::Ended { action, outcome };
    match kept {
        Kept::T(tool, arguments, value) => ended(Action::Tool { tool, arguments }, Outcome::Ok { value }),
        Kept::F(tool, arguments, code, message, happened) => {
            ended(Action::Tool { tool, arguments }, Outcome::Failed { code, message, happened })
        }
        Kept::M(model, request, value) => ended(Action::Model { model, request }, Outcome::Ok { value }),
        Kept::O(state) => *state,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::flow::FieldLabels;
    use crate::id::{CallId, NodeCall, NodePart};
    use crate::label::Label;
    use crate::run::RunState;

    fn node(node: u32, item: u32, attempt: u32) -> CallId {
        CallId::Node(NodeCall { node, generation: 0, part: NodePart::Work, item, attempt })
    }

    #[test]
    fn labels_stand_in_rows_and_come_back_to_their_effects() {
        let labels = |source: &str| Arc::new(FieldLabels::whole(Label::untrusted(source)));
        let (web, mail, web_again) = (labels("web"), labels("mail"), labels("web"));
        let tool = |index| CallId::Tool { turn: 1, index };
        let mut state = RunState::default();
        // Three in a row; a list of two elements, of which one was tried again; a gap; another
        // label in between; equal labels that are not shared.
        state.labels.extend([0, 1, 2].map(|number| (node(number, 0, 1), Arc::clone(&web))));
        state.labels.extend([node(4, 0, 1), node(4, 1, 2), node(6, 0, 1)].map(|call| (call, Arc::clone(&web))));
        state.labels.extend([(node(5, 0, 1), mail), (node(7, 0, 1), web_again)]);
        state.labels.extend([tool(0), tool(1), tool(3)].map(|call| (call, Arc::clone(&web))));
        let text = serde_json::to_string(&state).unwrap();
        assert!(text.contains(r#"["turn/1/tool/0",2],["turn/1/tool/3",1],["node/0/0/work/0/1",3]"#), "{text}");
        assert_eq!(text.matches("\"web\"").count(), 1, "{text}");
        let read: RunState = serde_json::from_str(&text).unwrap();
        assert_eq!(read.labels, state.labels);
    }
}
