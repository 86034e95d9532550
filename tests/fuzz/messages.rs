//! What MCP servers send: messages without fault, and what is done to them.

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use crate::change::{Change, JSON, changed, changes};

/// Stands for the id of the request that is answered.
pub(crate) const ID: &str = "7777";
/// The requests of a handshake in an earlier version, in their order.
pub(crate) const METHODS: [&str; 3] = ["server/discover", "initialize", "tools/list"];

/// Characters that do not show, as they are and as JSON writes them.
pub(crate) const HIDDEN: [&str; 16] = [
    "\u{200b}",
    "\\u200b",
    "\u{202e}",
    "\\u202e",
    "\u{fe0f}",
    "\\ufe0f",
    "\u{e0041}",
    "\\udb40\\udc41",
    "\u{e01ef}",
    "\u{ad}",
    "\u{3164}",
    "\\u115f",
    "\u{2066}",
    "\u{feff}",
    "\\u0000",
    "\\u001b",
];
/// What a server without fault sends for one of the requests, notices of its own among it.
pub(crate) fn sound(method: &str, names: &[String]) -> Vec<Value> {
    let answer = |result: Value| json!({"jsonrpc": "2.0", "id": 7777, "result": result});
    match method {
        "server/discover" => {
            vec![json!({"jsonrpc": "2.0", "id": 7777, "error": {"code": -32601, "message": "no method"}})]
        }
        "initialize" => vec![answer(json!({
            "protocolVersion": "2025-11-25", "capabilities": {"tools": {"listChanged": true}},
            "serverInfo": {"name": "far", "version": "1"},
        }))],
        _ => {
            let tool = |name: &String| {
                json!({
                    "name": name, "title": "A tool", "description": "Does what it does.",
                    "inputSchema": {"type": "object", "properties": {"a": {"type": "string", "description": "words"}}},
                    "outputSchema": {"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}},
                                     "$defs": {"n": {"type": "integer"}}},
                    "annotations": {"readOnlyHint": true, "title": "The tool"},
                })
            };
            let notice = |method: &str, params: Value| json!({"jsonrpc": "2.0", "method": method, "params": params});
            vec![
                notice("notifications/progress", json!({"progressToken": 1, "progress": 0.5, "message": "half"})),
                notice("notifications/message", json!({"level": "info", "data": {"a": [1, "b"]}})),
                json!({"jsonrpc": "2.0", "id": "s-1", "method": "roots/list"}),
                answer(json!({"tools": names.iter().map(tool).collect::<Vec<_>>()})),
            ]
        }
    }
}

/// Names of tools: words, and among them whatever a name may hold.
pub(crate) fn names() -> impl Strategy<Value = Vec<String>> {
    let hidden = proptest::sample::select(vec!['\u{200b}', '\u{202e}', '\u{fe0f}', '\u{e0041}', '\u{3164}', '\u{ad}']);
    let letter = prop_oneof![30 => "[a-zA-Z0-9_./ -]", 1 => any::<char>().prop_map(String::from),
                             1 => hidden.prop_map(String::from)];
    let name = proptest::collection::vec(letter, 1..12).prop_map(|letters| letters.concat());
    proptest::collection::vec(name, 1..5)
}

/// What is done to messages that were sound.
#[derive(Debug, Clone)]
pub(crate) enum Ruin {
    Nothing,
    /// To their bytes.
    Bytes(Vec<Change>),
    /// To the values in them: each place gets a value that is not meant there.
    Values(Vec<(Index, Index)>),
}

pub(crate) fn ruins() -> impl Strategy<Value = Ruin> {
    let values = proptest::collection::vec((any::<Index>(), any::<Index>()), 1..4);
    prop_oneof![1 => Just(Ruin::Nothing), 2 => changes().prop_map(Ruin::Bytes), 3 => values.prop_map(Ruin::Values)]
}

/// The messages as they are sent after that.
pub(crate) fn ruined(mut messages: Vec<Value>, ruin: &Ruin, sent: impl Fn(&[Value]) -> Vec<u8>) -> Vec<u8> {
    match ruin {
        Ruin::Nothing => sent(&messages),
        Ruin::Bytes(changes) => changed(&sent(&messages), changes, &words()),
        Ruin::Values(swaps) => {
            for (place, with) in swaps {
                let mut left = place.index(messages.iter().map(size).sum());
                let found = messages.iter_mut().find_map(|message| node(message, &mut left));
                *found.unwrap() = serde_json::from_str(VALUES[with.index(VALUES.len())]).unwrap();
            }
            sent(&messages)
        }
    }
}

/// Values that are meant in few places.
pub(crate) const VALUES: [&str; 19] = [
    "null",
    "true",
    "-1",
    "9007199254740993",
    "1e300",
    r#""""#,
    "[]",
    "{}",
    r#""se\u200bnd""#,
    r#""\u202e""#,
    r#"[{"type": "text"}]"#,
    r#"{"$ref": "https://far.test/"}"#,
    r#"{"type": "object"}"#,
    r#"{"type": "image", "data": "%", "mimeType": 7}"#,
    r#""2026-07-28""#,
    r#""far/other""#,
    r#""7777""#,
    "7777",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
];

/// How many values there are in one.
pub(crate) fn size(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(size).sum::<usize>(),
        Value::Object(fields) => fields.values().map(size).sum(),
        _ => 0,
    }
}

/// The value within one before which so many stand.
pub(crate) fn node<'a>(value: &'a mut Value, left: &mut usize) -> Option<&'a mut Value> {
    if *left == 0 {
        return Some(value);
    }
    *left -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| node(item, left)),
        Value::Object(fields) => fields.values_mut().find_map(|field| node(field, left)),
        _ => None,
    }
}

/// One conversation: which of its answers is ruined, and how; the names that are listed.
pub(crate) fn conversations() -> impl Strategy<Value = (usize, Ruin, Vec<String>)> {
    (prop_oneof![Just(0), Just(1), Just(2), Just(2)], ruins(), names())
}

pub(crate) fn words() -> Vec<&'static str> {
    JSON.into_iter()
        .chain(HIDDEN)
        .chain(["\n", "\r\n", "data: ", "event: message\n", "id: 7\n", "retry: 0\n", ID])
        .collect()
}

/// What a tool gives, with every kind of part.
pub(crate) fn result() -> Value {
    json!({"jsonrpc": "2.0", "id": 7777, "result": {
        "content": [
            {"type": "text", "text": "words"},
            {"type": "image", "data": "aGVsbG8=", "mimeType": "image/png"},
            {"type": "resource", "resource": {"uri": "note:1", "text": "words", "mimeType": "text/plain"}},
            {"type": "resource", "resource": {"uri": "note:2", "blob": "aGVsbG8="}},
            {"type": "resource_link", "uri": "note:3", "name": "another"},
        ],
        "structuredContent": {"n": 1, "more": [1.5, null, {"a": true}]}, "isError": false, "_meta": {"a": 1},
    }})
}
