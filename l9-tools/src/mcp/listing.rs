//! A tool as its server lists it, bounded and cleaned: what is recorded, shown and compared.

use std::collections::{BTreeMap, BTreeSet};

use l9_core::id::ToolId;
use rmcp::model::Tool;
use serde_json::Value;

use super::name;
use super::settings::Settings;
use crate::schema::{DATA, NAMED, Schema};

/// Characters of a title.
const TITLE: usize = 100;
/// Characters of a description.
const DESCRIPTION: usize = 4_000;
/// Tools of one server.
pub(super) const TOOLS: usize = 500;

/// What a server says of one tool, as far as L9 looks at it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Listing {
    /// Its name there.
    pub(super) name: String,
    /// A few words for people.
    pub(super) title: String,
    /// What it does, for models and people.
    pub(super) description: String,
    /// The JSON Schema of its arguments.
    pub(super) input_schema: Value,
    /// The JSON Schema of its structured output.
    pub(super) output_schema: Option<Value>,
    /// Whether the server itself says that it destroys: a hint that is believed, since it
    /// makes a call need more.
    pub(super) destructive: bool,
}

/// A server's whole list.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// What can be taken.
    pub(super) tools: BTreeMap<ToolId, Listing>,
    /// What is refused, by its name as it can be shown, and why.
    pub(super) refused: BTreeMap<String, String>,
}

impl Listed {
    /// Reads a list: every tool by itself, so that one that is refused costs no other.
    pub(super) fn read(server: &str, settings: &Settings, tools: &[Tool]) -> Self {
        let mut listed = Self::default();
        let (mut looks, mut ids) = (BTreeMap::<String, usize>::new(), BTreeMap::<ToolId, usize>::new());
        for tool in tools {
            *looks.entry(name::look(&tool.name)).or_default() += 1;
            if let Ok(id) = name::id(server, &tool.name) {
                *ids.entry(id).or_default() += 1;
            }
        }
        for tool in tools.iter().filter(|tool| settings.takes(&tool.name)) {
            let alone = looks.get(&name::look(&tool.name)) == Some(&1);
            let read = name::id(server, &tool.name).and_then(|id| match ids.get(&id) {
                Some(1) if alone => Ok(id),
                _ => Err("another tool of the server has a name that looks the same".to_owned()),
            });
            match read.and_then(|id| Listing::of(tool).map(|listing| (id, listing))) {
                Ok((id, listing)) => {
                    listed.tools.insert(id, listing);
                }
                Err(why) => {
                    listed.refused.insert(crate::log::printable(&tool.name, 200), why);
                }
            }
        }
        let names: BTreeSet<&str> = tools.iter().map(|tool| &*tool.name).collect();
        for absent in settings.tools.iter().flatten().filter(|taken| !names.contains(taken.as_str())) {
            listed.refused.insert(absent.clone(), "the server lists no such tool".to_owned());
        }
        listed
    }
}

impl Listing {
    /// What a listed tool comes to, or why it is refused.
    fn of(tool: &Tool) -> Result<Self, String> {
        let hints = tool.annotations.as_ref();
        let said = tool.title.as_deref().or(hints.and_then(|hints| hints.title.as_deref()));
        let schema = |field: &str, schema: &serde_json::Map<String, Value>| {
            let mut schema = Value::Object(schema.clone());
            clean_schema(&mut schema);
            hidden(&schema).map_or(Ok(()), |hidden| {
                Err(format!("{field} holds the invisible character U+{:04X}", u32::from(hidden)))
            })?;
            Schema::compile(&schema).map_err(|error| format!("{field}: {error}"))?;
            Ok::<Value, String>(schema)
        };
        let listing = Self {
            name: tool.name.clone().into_owned(),
            title: or(clean(said.unwrap_or_default(), TITLE, false), &tool.name, TITLE),
            description: or(
                clean(tool.description.as_deref().unwrap_or_default(), DESCRIPTION, true),
                "The server says nothing of what it does.",
                DESCRIPTION,
            ),
            input_schema: schema("inputSchema", &tool.input_schema)?,
            output_schema: tool.output_schema.as_deref().map(|output| schema("outputSchema", output)).transpose()?,
            destructive: hints.is_some_and(|hints| hints.destructive_hint == Some(true)),
        };
        if listing.input_schema.get("type").and_then(Value::as_str) != Some("object") {
            return Err("inputSchema is not that of an object".to_owned());
        }
        Ok(listing)
    }
}

fn or(text: String, instead: &str, most: usize) -> String {
    if text.trim().is_empty() { instead.chars().take(most).collect() } else { text }
}

/// The text without anything invisible, at most so many characters of it.
fn clean(text: &str, most: usize, lines: bool) -> String {
    let shows = |c: &char| crate::log::is_plain(*c) || (lines && matches!(c, '\n' | '\t'));
    text.chars().filter(shows).take(most).collect()
}

/// Cleans the texts of a schema that only a reader sees.
fn clean_schema(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            for (keyword, value) in fields {
                match value {
                    Value::String(text) if matches!(keyword.as_str(), "title" | "description" | "$comment") => {
                        *text = clean(text, DESCRIPTION, true);
                    }
                    _ if DATA.contains(&keyword.as_str()) => {}
                    Value::Object(schemas) if NAMED.contains(&keyword.as_str()) => {
                        schemas.values_mut().for_each(clean_schema);
                    }
                    _ => clean_schema(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(clean_schema),
        _ => {}
    }
}

/// The first character of any text or key that does not show.
fn hidden(value: &Value) -> Option<char> {
    let of = |text: &str| text.chars().find(|c| !crate::log::is_plain(*c) && !matches!(c, '\n' | '\t' | '\r'));
    match value {
        Value::String(text) => of(text),
        Value::Array(items) => items.iter().find_map(hidden),
        Value::Object(fields) => fields.iter().find_map(|(key, value)| of(key).or_else(|| hidden(value))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn tool(name: &str, schema: &Value) -> Tool {
        serde_json::from_value(json!({"name": name, "description": "d", "inputSchema": schema})).unwrap()
    }

    fn read(tools: &[Tool]) -> Listed {
        Listed::read("notes", &Settings::default(), tools)
    }

    #[test]
    fn names_that_look_alike_are_refused_together() {
        let object = json!({"type": "object"});
        let names = ["pay", "Pay", "send\u{200b}", "send", "add"];
        let listed = read(&names.map(|name| tool(name, &object)));
        let taken: Vec<String> = listed.tools.keys().map(ToString::to_string).collect();
        assert_eq!(taken, ["notes/add", "notes/send"]);
        assert_eq!(listed.refused.len(), 3, "{:?}", listed.refused);
        assert!(listed.refused["Pay"].contains("looks the same"));
        assert!(listed.refused["send\\u{200b}"].contains("U+200B"), "{:?}", listed.refused);
        // One that has the id of another that is spelt.
        let spelt = name::id("notes", "a/b").unwrap().as_str().split_once('/').unwrap().1.to_owned();
        let listed = read(&["a/b", spelt.as_str()].map(|name| tool(name, &object)));
        assert!(listed.tools.is_empty() && listed.refused.len() == 2, "{:?}", listed.refused);
    }

    #[test]
    fn texts_are_bounded_and_show_all_they_hold() {
        let mut shown = tool("add", &json!({"type": "object", "properties": {"a": {"description": "x\u{202e}y"}}}));
        shown.description = Some(format!("one\u{200b}\u{1b}[31m{}", "z".repeat(9_000)).into());
        let listing = &read(&[shown]).tools[&ToolId::new("notes/add").unwrap()];
        assert!(listing.description.starts_with("one[31mz") && listing.description.chars().count() == 4_000);
        assert_eq!(listing.input_schema["properties"]["a"]["description"], "xy");
        assert_eq!(listing.title, "add");
    }

    #[test]
    fn schemas_are_held_to_bounds_before_anything_else_looks_at_them() {
        let mut deep = json!({"type": "string"});
        for _ in 0..100 {
            deep = json!({"items": deep});
        }
        let large = json!({"type": "object", "properties": {"a": {"enum": vec!["x".repeat(100); 5_000]}}});
        for (schema, why) in [
            (json!({"type": "object", "properties": {"a": {"$ref": "https://a.example/s.json"}}}), "leaves the schema"),
            (json!({"type": "object", "properties": {"a": {"$ref": "#"}}}), "leads back"),
            (json!({"type": "object", "properties": {"a": deep}}), "too large"),
            (large, "too large"),
            (json!({"type": "object", "properties": {"a\u{200b}": {}}}), "U+200B"),
            (json!({"type": "string"}), "not that of an object"),
        ] {
            let listed = read(&[tool("add", &schema), tool("good", &json!({"type": "object"}))]);
            assert!(listed.refused["add"].contains(why), "{:?}", listed.refused);
            assert_eq!(listed.tools.len(), 1);
        }
    }

    #[test]
    fn an_allow_list_takes_no_other_and_tells_what_is_not_there() {
        let settings = Settings { tools: Some(vec!["add".into(), "gone".into()]), ..Settings::default() };
        let tools = ["add", "drop"].map(|name| tool(name, &json!({"type": "object"})));
        let listed = Listed::read("notes", &settings, &tools);
        assert_eq!(listed.tools.len(), 1);
        assert_eq!(listed.refused.keys().collect::<Vec<_>>(), ["gone"]);
    }
}
