//! What the arguments of a tool must satisfy: its input schema, and the constraints that its
//! manifest puts on single arguments.

use l9_core::Result;
use l9_core::pointer::{self, each, segments};
use l9_core::tool::{AuditDetail, Manifest, Validator};
use serde_json::Value;

use crate::schema::{LINES, Schema};

/// The input schema and the constraints of a manifest, compiled.
#[derive(Debug)]
pub(super) struct Input {
    schema: Schema,
    /// Segments of a pointer, and what holds for every value that it names.
    constraints: Vec<(Vec<String>, Schema)>,
}

impl Input {
    /// # Errors
    /// As [`Schema::compile`].
    pub(super) fn compile(manifest: &Manifest) -> Result<Self> {
        let discreet = manifest.audit.args != AuditDetail::Full;
        let compile = |schema: &Value| Ok(Schema::compile(schema)?.discreet(discreet));
        let constrained = manifest.args.iter().filter_map(|(at, rule)| Some((at, rule.constraint.as_ref()?)));
        let compiled = constrained.map(|(at, constraint)| Ok((segments(at), compile(constraint)?)));
        Ok(Self { schema: compile(&manifest.input_schema)?, constraints: compiled.collect::<Result<_>>()? })
    }
}

impl Validator for Input {
    fn violations(&self, value: &Value) -> Vec<String> {
        let mut violations = self.schema.violations(value);
        if !violations.is_empty() {
            return violations;
        }
        for (place, constraint) in &self.constraints {
            each(value, place, &mut Vec::new(), &mut |at, path| {
                let place = pointer::of(path.iter().map(String::as_str));
                // The line of the value itself begins with `/:`.
                let line = |line: String| {
                    format!("{place}{}", line.strip_prefix("/:").map_or(line.clone(), |what| format!(":{what}")))
                };
                violations.extend(constraint.violations(at).into_iter().map(line));
            });
        }
        violations.truncate(LINES);
        violations
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn input(args: &Value) -> Input {
        let manifest = json!({
            "schema_version": 1, "id": "mail/send", "version": "1.0.0", "title": "Mail", "description": "Mails.",
            "runtime": {"kind": "native"}, "effect": "opaque_write", "args": args,
            "input_schema": {"type": "object", "properties": {"to": {"type": "array"}, "note": {"type": "string"}}}
        });
        Input::compile(&serde_json::from_value(manifest).unwrap()).unwrap()
    }

    #[test]
    fn a_constraint_holds_for_every_value_that_its_pointer_names() {
        let ours = json!({"pattern": "@example\\.com$"});
        let input = input(&json!({
            "/to/*": {"role": "recipient", "constraint": ours},
            "/note": {"role": "body", "constraint": {"maxLength": 3}}
        }));
        assert_eq!(input.violations(&json!({"to": ["ada@example.com"], "note": "hi"})), [""; 0]);
        assert_eq!(input.violations(&json!({})), [""; 0], "what is not there is the schema's to want");
        let found = input.violations(&json!({"to": ["ada@example.com", "eve@example.org"], "note": "a lot"}));
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("/note: ") && found[1].starts_with("/to/1: "), "{found:?}");
        // The schema is what is told of first.
        assert!(input.violations(&json!({"to": "eve@example.org"}))[0].starts_with("/to: "));
    }

    #[test]
    fn what_is_within_an_argument_is_named_by_its_whole_place() {
        let input = input(&json!({"/to": {"role": "recipient", "constraint": {"items": {"type": "string"}}}}));
        assert!(input.violations(&json!({"to": ["a", 7]}))[0].starts_with("/to/1: "));
    }

    #[test]
    fn a_flood_of_violations_is_cut() {
        let input = input(&json!({"/to/*": {"role": "recipient", "constraint": false}}));
        assert_eq!(input.violations(&json!({"to": vec![1; 100]})).len(), LINES);
    }
}
