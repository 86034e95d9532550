//! The drafts of JSON Schema: what one of them passes over in silence either holds all the same
//! or is refused, so that whoever reads a schema sees what it demands.

use jsonschema::Draft;
use l9_core::{Error, Result};
use serde_json::{Map, Value, json};

use super::{DATA, NAMED};

/// Keywords by the first draft that knows them.
const SINCE: [(&str, Draft); 11] = [
    ("const", Draft::Draft6),
    ("contains", Draft::Draft6),
    ("propertyNames", Draft::Draft6),
    ("if", Draft::Draft7),
    ("dependentRequired", Draft::Draft201909),
    ("dependentSchemas", Draft::Draft201909),
    ("unevaluatedItems", Draft::Draft201909),
    ("unevaluatedProperties", Draft::Draft201909),
    ("minContains", Draft::Draft201909),
    ("maxContains", Draft::Draft201909),
    ("prefixItems", Draft::Draft202012),
];

/// A schema as its draft is to read it: 2020-12 unless `$schema` names another.
///
/// # Errors
/// `Invalid` for a draft that is not known, one that changes within, and a keyword that the draft
/// does not know while others do.
pub(super) fn ready(schema: &Value) -> Result<Value> {
    let draft = Draft::default().detect(schema);
    let mut ready = schema.clone();
    if draft == Draft::Unknown {
        let shown = schema.get("$schema").map(ToString::to_string).unwrap_or_default();
        let shown = crate::log::printable(&shown, super::VALUE_CHARACTERS);
        return Err(Error::invalid(format!("$schema {shown} is no draft that is known: leave it out for 2020-12")));
    }
    let named = ready.as_object_mut().and_then(|members| members.remove("$schema"));
    visit(&mut ready, draft)?;
    if let (Some(named), Some(members)) = (named, ready.as_object_mut()) {
        members.insert("$schema".to_owned(), named);
    }
    Ok(ready)
}

fn visit(schema: &mut Value, draft: Draft) -> Result<()> {
    match schema {
        Value::Array(schemas) => schemas.iter_mut().try_for_each(|schema| visit(schema, draft)),
        Value::Object(members) => {
            for (keyword, value) in members.iter_mut() {
                known(keyword, value, draft)?;
                match value {
                    _ if DATA.contains(&keyword.as_str()) => {}
                    Value::Object(schemas) if NAMED.contains(&keyword.as_str()) => {
                        schemas.values_mut().try_for_each(|schema| visit(schema, draft))?;
                    }
                    other => visit(other, draft)?,
                }
            }
            if draft <= Draft::Draft7 {
                beside(members);
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn known(keyword: &str, value: &Value, draft: Draft) -> Result<()> {
    let refused = |mend: &str| {
        let name = name(draft);
        Err(Error::invalid(format!("{keyword} means nothing in JSON Schema {name}: {mend}")))
    };
    match keyword {
        "$schema" => Err(Error::invalid("$schema stands within the schema: put it at the beginning, or leave it out")),
        "id" if draft == Draft::Draft4 && value.is_string() => refused("leave it out, and use $ref with #/…"),
        "additionalItems" if draft == Draft::Draft202012 => refused("write prefixItems and items"),
        _ if SINCE.iter().any(|(newer, since)| *newer == keyword && draft < *since) => {
            refused("leave $schema out for 2020-12, which knows it")
        }
        _ => Ok(()),
    }
}

/// Before 2019-09 whatever stands beside a reference is passed over; here it holds as well.
fn beside(members: &mut Map<String, Value>) {
    if members.len() < 2 || !members.get("$ref").is_some_and(Value::is_string) {
        return;
    }
    let Some(reference) = members.remove("$ref") else { return };
    let reference = json!({ "$ref": reference });
    match members.get_mut("allOf") {
        Some(Value::Array(all)) => all.push(reference),
        _ => drop(members.insert("allOf".to_owned(), json!([reference]))),
    }
}

fn name(draft: Draft) -> &'static str {
    match draft {
        Draft::Draft4 => "draft-04",
        Draft::Draft6 => "draft-06",
        Draft::Draft7 => "draft-07",
        Draft::Draft201909 => "2019-09",
        _ => "2020-12",
    }
}

#[cfg(test)]
mod tests {
    use super::super::Schema;
    use super::*;
    use l9_core::tool::Validator as _;

    const DRAFT_07: &str = "http://json-schema.org/draft-07/schema#";

    fn of(draft: &str, mut schema: Value) -> Value {
        schema["$schema"] = json!(draft);
        schema
    }

    #[test]
    fn what_stands_beside_a_reference_holds_in_every_draft() {
        let schema = json!({
            "definitions": {"word": {"type": "string"}},
            "properties": {
                "a": {"$ref": "#/definitions/word", "maxLength": 3, "description": "short"},
                "b": {"allOf": [{"minLength": 2}], "$ref": "#/definitions/word"},
                "$ref": {"type": "integer"},
            },
        });
        let drafts =
            [DRAFT_07, "http://json-schema.org/draft-06/schema#", "https://json-schema.org/draft/2019-09/schema"];
        for draft in drafts {
            let schema = Schema::compile(&of(draft, schema.clone())).unwrap();
            assert!(schema.violations(&json!({"a": "abc", "b": "ab", "$ref": 1})).is_empty());
            for wrong in
                [json!({"a": "abcd"}), json!({"a": 1}), json!({"b": "a"}), json!({"b": 1}), json!({"$ref": "x"})]
            {
                assert_eq!(schema.violations(&wrong).len(), 1, "{draft} {wrong}");
            }
        }
        // As generators write it: all of it is a definition.
        let whole =
            json!({"$ref": "#/definitions/Input", "definitions": {"Input": {"type": "object", "required": ["a"]}}});
        let schema = Schema::compile(&of(DRAFT_07, whole)).unwrap();
        assert!(schema.violations(&json!({"a": 1})).is_empty() && !schema.violations(&json!({})).is_empty());
    }

    #[test]
    fn what_a_draft_would_pass_over_is_refused() {
        for (draft, schema, why) in [
            (
                DRAFT_07,
                json!({"prefixItems": [{}]}),
                "prefixItems means nothing in JSON Schema draft-07: leave $schema out",
            ),
            (
                DRAFT_07,
                json!({"properties": {"a": {"unevaluatedProperties": false}}}),
                "unevaluatedProperties means nothing",
            ),
            (DRAFT_07, json!({"items": [{"dependentRequired": {}}]}), "dependentRequired means nothing"),
            ("http://json-schema.org/draft-06/schema#", json!({"if": {}}), "if means nothing in JSON Schema draft-06"),
            (
                "http://json-schema.org/draft-04/schema#",
                json!({"const": 1}),
                "const means nothing in JSON Schema draft-04",
            ),
            ("http://json-schema.org/draft-04/schema#", json!({"id": "https://example.com/"}), "id means nothing"),
            (
                "https://json-schema.org/draft/2020-12/schema",
                json!({"prefixItems": [{}], "additionalItems": false}),
                "additionalItems means nothing in JSON Schema 2020-12: write prefixItems and items",
            ),
            ("https://json-schema.org/draft/2020-12/schema", json!({"items": [{}]}), "not a usable JSON Schema"),
            ("https://example.com/mine", json!({}), "$schema \"https://example.com/mine\" is no draft that is known"),
            (DRAFT_07, json!({"items": {"$schema": DRAFT_07}}), "$schema stands within the schema"),
        ] {
            let error = Schema::compile(&of(draft, schema)).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn what_a_draft_has_of_its_own_holds() {
        let tuple = json!({"items": [{"type": "string"}], "additionalItems": false, "dependencies": {"a": ["b"]}});
        let schema = Schema::compile(&of(DRAFT_07, tuple)).unwrap();
        for (value, fits) in
            [(json!(["a"]), true), (json!([1]), false), (json!(["a", 1]), false), (json!({"a": 1}), false)]
        {
            assert_eq!(schema.violations(&value).is_empty(), fits, "{value}");
        }
        // Names are no keywords, and data are no schemas.
        let names =
            json!({"properties": {"prefixItems": {}, "$schema": {}}, "default": {"$schema": "x", "prefixItems": 1}});
        Schema::compile(&of(DRAFT_07, names)).unwrap();
        let dependent = Schema::compile(&json!({"dependencies": {"a": ["b"]}})).unwrap();
        assert!(!dependent.violations(&json!({"a": 1})).is_empty());
    }
}
