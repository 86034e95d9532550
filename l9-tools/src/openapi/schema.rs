//! Schemas of what is sent, with their references written out, in JSON Schema 2020-12.

use std::collections::BTreeSet;

use l9_core::pointer::segment;
use serde_json::{Map, Value, json};

use super::document::{Document, Warning, warning};

/// Keywords whose value is data, not a schema.
const DATA: [&str; 4] = ["const", "enum", "default", "examples"];
/// Keywords that describe the document and hold for nothing.
const DROPPED: [&str; 5] = ["xml", "externalDocs", "discriminator", "example", "nullable"];
/// Values of one schema with everything written out.
const VALUES: usize = 5_000;

/// Writes one schema out.
pub(super) struct Inline<'a> {
    document: Document<'a>,
    /// The references that are being followed.
    open: Vec<String>,
    left: usize,
}

impl<'a> Inline<'a> {
    pub(super) fn of(document: Document<'a>, schema: &'a Value, place: &str) -> Result<Value, Warning> {
        let mut whole = Self { document, open: Vec::new(), left: VALUES }.schema(schema, place)?;
        writable(&mut whole, &BTreeSet::new());
        Ok(whole)
    }

    fn schema(&mut self, schema: &'a Value, place: &str) -> Result<Value, Warning> {
        self.left = self.left.checked_sub(1).ok_or_else(|| warning(place, "the schema is too large written out"))?;
        let Some(members) = schema.as_object() else { return Ok(schema.clone()) };
        let Some(reference) = members.get("$ref").and_then(Value::as_str) else { return self.members(members, place) };
        if self.open.iter().any(|open| open == reference) {
            return Err(warning(place, format!("the schema {reference} refers to itself, which an input cannot")));
        }
        let (target, at) = self.document.target(reference, place)?;
        self.open.push(reference.to_owned());
        let mut whole = self.schema(target, &at)?;
        self.open.pop();
        // Beside a reference 3.1 allows further keywords, and 3.0 ignores them.
        if !self.document.is_3_0 && members.len() > 1 {
            let beside = self.members_of(members, place)?;
            whole = json!({"allOf": [whole, beside]});
        }
        Ok(whole)
    }

    fn members_of(&mut self, members: &'a Map<String, Value>, place: &str) -> Result<Value, Warning> {
        let mut out = Map::new();
        for (key, value) in members.iter().filter(|(key, _)| *key != "$ref") {
            if let Some(value) = self.keyword(key, value, &format!("{place}/{}", segment(key)))? {
                out.insert(key.clone(), value);
            }
        }
        Ok(Value::Object(out))
    }

    fn members(&mut self, members: &'a Map<String, Value>, place: &str) -> Result<Value, Warning> {
        let mut out = self.members_of(members, place)?;
        if self.document.is_3_0 {
            from_3_0(&mut out, members);
        }
        Ok(out)
    }

    fn keyword(&mut self, key: &str, value: &'a Value, place: &str) -> Result<Option<Value>, Warning> {
        Ok(match (key, value) {
            _ if DATA.contains(&key) => Some(value.clone()),
            _ if DROPPED.contains(&key) || key.starts_with("x-") => None,
            ("properties" | "patternProperties" | "$defs" | "dependentSchemas", Value::Object(members)) => {
                let mut out = Map::new();
                for (name, schema) in members {
                    out.insert(name.clone(), self.schema(schema, &format!("{place}/{}", segment(name)))?);
                }
                Some(Value::Object(out))
            }
            (_, Value::Array(items)) => {
                let schemas = items.iter().enumerate().map(|(at, item)| self.schema(item, &format!("{place}/{at}")));
                Some(Value::Array(schemas.collect::<Result<_, _>>()?))
            }
            (_, Value::Object(_)) => Some(self.schema(value, place)?),
            _ => Some(value.clone()),
        })
    }
}

/// What OpenAPI 3.0 says otherwise than JSON Schema.
fn from_3_0(schema: &mut Value, members: &Map<String, Value>) {
    for (exclusive, bound) in [("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")] {
        if let Some(is_exclusive) = members.get(exclusive).and_then(Value::as_bool)
            && let Some(keys) = schema.as_object_mut()
        {
            keys.remove(exclusive);
            if is_exclusive && let Some(value) = keys.remove(bound) {
                keys.insert(exclusive.to_owned(), value);
            }
        }
    }
    if members.get("nullable") == Some(&Value::Bool(true)) {
        *schema = json!({"anyOf": [schema.take(), {"type": "null"}]});
    }
}

/// The list that a keyword of a schema has; empty where it has none.
pub(super) fn list<'s>(schema: &'s Value, keyword: &str) -> &'s [Value] {
    schema.get(keyword).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Leaves out what only the service writes: members marked `readOnly`, which must not be sent
/// although they are required of what it answers.
fn writable(schema: &mut Value, above: &BTreeSet<String>) {
    let mut names = above.clone();
    read_only(schema, &mut names);
    for (key, value) in schema.as_object_mut().into_iter().flatten() {
        match (key.as_str(), value) {
            (key, _) if DATA.contains(&key) => {}
            ("required", Value::Array(required)) => left_out(required, &names),
            ("dependentRequired", Value::Object(dependent)) => {
                dependent.values_mut().filter_map(Value::as_array_mut).for_each(|list| left_out(list, &names));
            }
            ("properties", Value::Object(members)) => {
                members.retain(|name, _| !names.contains(name));
                members.values_mut().for_each(|schema| writable(schema, &BTreeSet::new()));
            }
            ("patternProperties" | "$defs", Value::Object(schemas)) => {
                schemas.values_mut().for_each(|schema| writable(schema, &BTreeSet::new()));
            }
            // Of the same object.
            ("dependentSchemas", Value::Object(schemas)) => {
                schemas.values_mut().for_each(|schema| writable(schema, &names));
            }
            ("allOf" | "anyOf" | "oneOf", Value::Array(schemas)) => {
                schemas.iter_mut().for_each(|schema| writable(schema, &names));
            }
            ("if" | "then" | "else" | "not", schema) => writable(schema, &names),
            (_, Value::Array(schemas)) => schemas.iter_mut().for_each(|schema| writable(schema, &BTreeSet::new())),
            (_, schema) => writable(schema, &BTreeSet::new()),
        }
    }
}

/// The members that are marked, here or in what must hold as well.
fn read_only(schema: &Value, names: &mut BTreeSet<String>) {
    let members = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    names.extend(members.filter(|(_, schema)| is_read_only(schema)).map(|(name, _)| name.clone()));
    list(schema, "allOf").iter().for_each(|schema| read_only(schema, names));
}

fn is_read_only(schema: &Value) -> bool {
    schema.get("readOnly") == Some(&Value::Bool(true))
        || list(schema, "allOf").iter().any(is_read_only)
        // What may be null is written so.
        || matches!(list(schema, "anyOf"), [schema, null] if *null == json!({"type": "null"}) && is_read_only(schema))
}

fn left_out(names: &mut Vec<Value>, read_only: &BTreeSet<String>) {
    names.retain(|name| !name.as_str().is_some_and(|name| read_only.contains(name)));
}
