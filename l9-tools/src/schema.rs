//! JSON Schemas of tools: checked for what they may refer to, compiled once, and
//! reported on in lines that a model can act upon.
//!
//! A schema comes from outside. It must not fetch anything, loop, or match a pattern in
//! more than linear time; and what it reports must not carry long values out.

mod dialect;

use std::collections::BTreeMap;
use std::fmt;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, ValidationError};
use l9_core::json::{canonical, depth};
use l9_core::tool::Validator;
use l9_core::{Error, Result};
use serde_json::Value;

/// Violations told of one value.
pub(crate) const LINES: usize = 16;
/// Characters of one line.
const LINE_CHARACTERS: usize = 300;
/// Characters of an offending value that are repeated; a longer one is left out.
const VALUE_CHARACTERS: usize = 80;
/// Bytes of one schema's canonical form.
const SCHEMA_BYTES: usize = 256 << 10;
/// Nested arrays and objects of one schema.
const SCHEMA_DEPTH: usize = 64;
/// Objects and arrays of one schema, each reference counted as all that it leads to: whoever checks
/// a value goes through them again at each.
const SCHEMA_PARTS: usize = 50_000;
/// Objects and arrays within each other, counted in the same way.
const SCHEMA_NESTING: usize = 256;
/// Bytes of one compiled pattern.
const PATTERN_BYTES: usize = 1 << 20;

/// Keywords whose value is data, not a schema.
pub(crate) const DATA: [&str; 5] = ["const", "enum", "default", "examples", "example"];

/// Keywords whose value has schemas by names of the author's own.
pub(crate) const NAMED: [&str; 6] =
    ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"];

/// A compiled JSON Schema.
pub struct Schema {
    compiled: jsonschema::Validator,
    /// Whether offending values are left out of what is reported, short ones as well.
    discreet: bool,
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema").finish_non_exhaustive()
    }
}

impl Schema {
    /// Checks and compiles a schema; JSON Schema 2020-12 unless `$schema` names an older
    /// draft, of which nothing is passed over in silence.
    ///
    /// # Errors
    /// `Invalid` for a schema that is too large or too deep, refers to anything outside
    /// itself or to itself in a circle, or to more than can be gone through, has a pattern without a linear-time form, has what
    /// its draft passes over, or is no JSON Schema.
    pub fn compile(schema: &Value) -> Result<Self> {
        let size = canonical(schema)?.len();
        if size > SCHEMA_BYTES || depth(schema) > SCHEMA_DEPTH {
            return Err(Error::invalid(format!(
                "a schema of {size} bytes and depth {} is too large: at most {SCHEMA_BYTES} bytes and depth {SCHEMA_DEPTH}",
                depth(schema)
            )));
        }
        let open = vec![String::new()];
        let parts = References { root: schema, open, nesting: 0, done: BTreeMap::new() }.visit(schema)?;
        if parts > SCHEMA_PARTS {
            return Err(Error::invalid(format!(
                "a schema of {parts} parts, with those that its references lead to, is too large: at most {SCHEMA_PARTS}"
            )));
        }
        let compiled = jsonschema::options()
            .offline()
            .should_validate_formats(true)
            .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES))
            .build(&dialect::ready(schema)?)
            .map_err(|error| Error::invalid(format!("not a usable JSON Schema: {}", line(&error, false))))?;
        Ok(Self { compiled, discreet: false })
    }

    /// The same, and reports what is wrong without any value.
    #[must_use]
    pub(crate) fn discreet(self, discreet: bool) -> Self {
        Self { discreet, ..self }
    }
}

impl Validator for Schema {
    fn violations(&self, value: &Value) -> Vec<String> {
        if self.compiled.is_valid(value) {
            return Vec::new();
        }
        self.compiled.iter_errors(value).take(LINES).map(|error| line(&error, self.discreet)).collect()
    }
}

/// `pointer: what is wrong`.
fn line(error: &ValidationError<'_>, discreet: bool) -> String {
    let pointer = error.instance_path().to_string();
    let pointer = if pointer.is_empty() { "/" } else { &pointer };
    let what = match error.kind() {
        ValidationErrorKind::FalseSchema => "is not allowed here".to_owned(),
        _ if !discreet && is_short(error.instance()) => error.to_string(),
        _ => error.masked().to_string(),
    };
    crate::log::printable(&format!("{pointer}: {what}"), LINE_CHARACTERS)
}

fn is_short(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => text.chars().nth(VALUE_CHARACTERS).is_none(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

/// Follows every reference of a schema, and counts what it has with all that they lead to.
struct References<'a> {
    root: &'a Value,
    /// The targets that are being followed, outermost first.
    open: Vec<String>,
    /// How many objects and arrays are open.
    nesting: usize,
    /// What stands at the targets that were followed.
    done: BTreeMap<String, usize>,
}

impl References<'_> {
    fn visit(&mut self, schema: &Value) -> Result<usize> {
        if self.nesting == SCHEMA_NESTING {
            return Err(Error::invalid(format!(
                "a schema that nests deeper than {SCHEMA_NESTING} with its references followed: make it flatter"
            )));
        }
        self.nesting += 1;
        let below = match schema {
            Value::Array(items) => self.all(items.iter())?,
            Value::Object(fields) => fields.iter().try_fold(0_usize, |sum, (keyword, value)| {
                Ok::<_, Error>(sum.saturating_add(self.keyword(keyword, value)?))
            })?,
            _ => 0,
        };
        self.nesting -= 1;
        Ok(below.saturating_add(usize::from(schema.is_object() || schema.is_array())))
    }

    fn all<'v>(&mut self, mut schemas: impl Iterator<Item = &'v Value>) -> Result<usize> {
        schemas.try_fold(0_usize, |sum, schema| Ok(sum.saturating_add(self.visit(schema)?)))
    }

    fn keyword(&mut self, keyword: &str, value: &Value) -> Result<usize> {
        match (keyword, value) {
            ("$ref", Value::String(target)) => self.follow(target),
            (
                "$dynamicRef" | "$recursiveRef" | "$dynamicAnchor" | "$recursiveAnchor" | "$id" | "$anchor",
                Value::String(_),
            ) => Err(Error::invalid(format!("{keyword} is not supported in a tool's schema: use $ref with #/$defs/…"))),
            (data, _) if DATA.contains(&data) => Ok(0),
            (named, Value::Object(schemas)) if NAMED.contains(&named) => self.all(schemas.values()),
            _ => self.visit(value),
        }
    }

    fn follow(&mut self, target: &str) -> Result<usize> {
        let shown = crate::log::printable(target, VALUE_CHARACTERS);
        let Some(pointer) = target.strip_prefix('#') else {
            return Err(Error::invalid(format!("$ref {shown:?} leaves the schema: put it under $defs")));
        };
        if self.open.iter().any(|open| open == pointer) {
            return Err(Error::invalid(format!("$ref {shown:?} leads back to itself: bound the nesting")));
        }
        if let Some(parts) = self.done.get(pointer) {
            return Ok(*parts);
        }
        let root = self.root;
        let Some(schema) = root.pointer(pointer) else {
            return Err(Error::invalid(format!("$ref {shown:?} finds nothing: use #/$defs/… of the same schema")));
        };
        self.open.push(pointer.to_owned());
        let parts = self.visit(schema)?;
        self.open.pop();
        self.done.insert(pointer.to_owned(), parts);
        Ok(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use l9_core::time::{Clock, SystemClock};
    use serde_json::json;

    fn refused(schema: &Value) -> String {
        Schema::compile(schema).unwrap_err().to_string()
    }

    #[test]
    fn what_leaves_or_circles_is_refused() {
        for (schema, why) in [
            (json!({"$ref": "https://example.com/s.json"}), "leaves the schema"),
            (json!({"properties": {"a": {"$ref": "file:///etc/passwd"}}}), "leaves the schema"),
            (json!({"$ref": "other.json#/a"}), "leaves the schema"),
            (json!({"properties": {"a": {"$ref": "#"}}}), "leads back"),
            (
                json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"items": {"$ref": "#/$defs/a"}}}, "$ref": "#/$defs/a"}),
                "leads back",
            ),
            (json!({"properties": {"default": {"$ref": "#"}}}), "leads back"),
            (json!({"$defs": {"enum": {"items": {"$ref": "https://example.com/"}}}}), "leaves the schema"),
            (json!({"$ref": "#/$defs/none"}), "finds nothing"),
            (json!({"$id": "https://example.com/"}), "$id is not supported"),
            (json!({"$dynamicRef": "#x"}), "$dynamicRef is not supported"),
            (json!({"pattern": "("}), "not a usable JSON Schema"),
            (json!({"pattern": "(a)\\1"}), "not a usable JSON Schema"),
            (json!({"pattern": "(?=a)b"}), "not a usable JSON Schema"),
            (json!({"pattern": "(a{1000}){1000}"}), "not a usable JSON Schema"),
            (json!({"type": "strin"}), "not a usable JSON Schema"),
        ] {
            let message = refused(&schema);
            assert!(message.contains(why), "{schema}: {message}");
        }
        let mut deep = json!({});
        for _ in 0..100 {
            deep = json!({"items": deep});
        }
        assert!(refused(&deep).contains("too large"));
    }

    #[test]
    fn references_that_double_at_each_step_are_refused() {
        let doubling = |steps: usize| {
            let mut definitions = serde_json::Map::new();
            for step in 0..steps {
                let next = json!({"$ref": format!("#/$defs/a{}", step + 1)});
                definitions.insert(format!("a{step}"), json!({"anyOf": [next, next]}));
            }
            definitions.insert(format!("a{steps}"), json!({"required": ["x"]}));
            json!({"$defs": definitions, "$ref": "#/$defs/a0"})
        };
        for steps in [20, 29, 60] {
            assert!(refused(&doubling(steps)).contains("with those that its references lead to"), "{steps}");
        }
        assert!(refused(&doubling(1_000)).contains("nests deeper than 256"));
        let schema = Schema::compile(&doubling(8)).unwrap();
        assert!(!schema.violations(&json!({})).is_empty() && schema.violations(&json!({"x": 1})).is_empty());
        let fields = (0..1_000).map(|at| (format!("f{at}"), json!({"$ref": "#/$defs/word"})));
        let shared =
            json!({"$defs": {"word": {"type": "string"}}, "properties": fields.collect::<serde_json::Map<_, _>>()});
        Schema::compile(&shared).unwrap();
    }

    #[test]
    fn shared_definitions_and_look_alikes_are_fine() {
        for schema in [
            json!({"$defs": {"a": {"type": "string"}}, "properties": {"x": {"$ref": "#/$defs/a"}, "y": {"$ref": "#/$defs/a"}}}),
            json!({"properties": {"$ref": {"type": "string"}}}),
            json!({"const": {"$ref": "https://example.com"}}),
        ] {
            Schema::compile(&schema).unwrap();
        }
    }

    #[test]
    fn a_pattern_known_to_explode_stays_linear() {
        let schema = Schema::compile(&json!({"pattern": "^(a+)+$"})).unwrap();
        let clock = SystemClock::default();
        let value = json!(format!("{}!", "a".repeat(200_000)));
        assert_eq!(schema.violations(&value).len(), 1);
        assert!(clock.monotonic().as_secs() < 2, "{:?}", clock.monotonic());
    }

    #[test]
    fn violations_are_few_short_and_do_not_carry_values_out() {
        let schema = Schema::compile(&json!({
            "type": "object", "additionalProperties": false,
            "properties": {"name": {"type": "integer"}, "list": {"items": {"type": "integer"}}}
        }))
        .unwrap();
        assert!(schema.violations(&json!({"name": 1})).is_empty());
        assert_eq!(schema.violations(&json!({"name": "x"})), [r#"/name: "x" is not of type "integer""#]);
        let secret = "s3cret".repeat(20);
        let lines = schema.violations(&json!({ "name": secret }));
        assert!(!lines[0].contains("s3cret") && lines[0].starts_with("/name: "), "{lines:?}");
        let lines = schema.violations(&json!({"list": vec!["x"; 100]}));
        assert_eq!(lines.len(), LINES);
        let lines = schema.violations(&json!({ "k".repeat(5_000): 1 }));
        assert!(lines.iter().all(|line| line.len() <= LINE_CHARACTERS), "{lines:?}");
        assert!(schema.violations(&json!([]))[0].starts_with("/: "));
    }
}
