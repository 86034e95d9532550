//! The manifest of a listed tool: what the server lists, held to what the operator says.

use std::collections::BTreeMap;

use http::Uri;
use l9_core::id::ToolId;
use l9_core::tool::{
    Approval, ArgRole, ArgRule, AuditArgs, Determinism, EffectClass, Labels, Limits, Manifest, NetGrant,
    OutputIntegrity, OutputLabel, Runtime,
};
use l9_core::{Error, Result};
use semver::Version;
use serde_json::{Value, json};

use super::listing::Listing;
use super::name::escaped;
use super::settings::{Override, Settings};
use crate::schema::{DATA, NAMED};

/// Where structured content stands in an output.
const STRUCTURED: &str = "#/properties/structured";

/// The manifest of a listed tool.
pub(super) fn of(server: &str, settings: &Settings, id: &ToolId, listing: &Listing) -> Result<Manifest> {
    let listed = Manifest {
        schema_version: 1,
        id: id.clone(),
        version: Version::new(1, 0, 0),
        title: listing.title.clone(),
        description: listing.description.clone(),
        runtime: Runtime::Mcp { server: server.to_owned(), tool: escaped(&listing.name) },
        input_schema: listing.input_schema.clone(),
        output_schema: listing.output_schema.clone().map(output),
        effect: EffectClass::OpaqueWrite,
        destructive: listing.destructive,
        args: BTreeMap::new(),
        subjects: Vec::new(),
        limits: Limits::default(),
        net: Vec::new(),
        fs: Vec::new(),
        secrets: Vec::new(),
        kv: None,
        rate: None,
        labels: Labels::default(),
        approval: Approval::default(),
        determinism: Determinism::None,
        audit: AuditArgs::default(),
        expires: None,
    };
    ruled(listed, settings)
}

/// A manifest of a server's tool with everything that the operator says of it; what the
/// server says stays as it is.
pub(super) fn ruled(listed: Manifest, settings: &Settings) -> Result<Manifest> {
    let said = match &listed.runtime {
        Runtime::Mcp { tool, .. } => settings.overrides.iter().find(|(name, _)| escaped(name) == *tool),
        _ => None,
    };
    let said = said.map(|(_, said)| said.clone()).unwrap_or_default();
    Ok(Manifest {
        effect: said.effect,
        destructive: said.destructive || (listed.destructive && !said.effect.may_just_repeat()),
        args: arguments(&said),
        limits: Limits { wall_ms: settings.call_ms, output_bytes: settings.output_bytes, ..Limits::default() },
        net: settings.url.iter().map(|url| grant(url, settings)).collect::<Result<_>>()?,
        labels: labels(&said),
        approval: said.approval,
        ..listed
    })
}

/// Nobody but the operator says what an argument is for: any other may be what is acted upon.
fn arguments(said: &Override) -> BTreeMap<String, ArgRule> {
    let rest = [(String::new(), ArgRole::Target.into())];
    rest.into_iter().chain(said.args.iter().map(|(at, role)| (at.clone(), (*role).into()))).collect()
}

/// What the output is to be believed: nothing, but for what the operator names.
fn labels(said: &Override) -> Labels {
    let label = |integrity| OutputLabel { integrity, confidentiality: None, trusted_when: None };
    let output_integrity = if said.output.is_empty() { OutputIntegrity::Untrusted } else { OutputIntegrity::Mixed };
    let output = said.output.iter().map(|(at, integrity)| (at.clone(), label(*integrity))).collect();
    Labels { output_integrity, output, max_confidentiality_out: said.max_confidentiality }
}

/// What a call may reach: the one address of its server.
pub(super) fn grant(url: &str, settings: &Settings) -> Result<NetGrant> {
    let uri: Uri = url.parse().map_err(|_| Error::invalid("url is no address"))?;
    Ok(NetGrant {
        scheme: uri.scheme_str().unwrap_or_default().to_owned(),
        host: uri.host().unwrap_or_default().to_ascii_lowercase(),
        port: uri.port_u16(),
        methods: vec!["POST".to_owned()],
        path_prefix: uri.path().to_owned(),
        max_requests: None,
        max_response_bytes: Some(settings.message_bytes),
        redirects: 0,
        allow_private: settings.allow_private,
    })
}

/// The schema of a whole output, given that of its structured content: that is there unless
/// the tool says that it failed.
fn output(mut structured: Value) -> Value {
    rebase(&mut structured);
    json!({
        "type": "object",
        "required": ["text"],
        "properties": {
            "text": {"type": "string"},
            "structured": structured,
            "error": {"const": true},
            "parts": {"type": "array", "items": {"type": "object"}},
        },
        "additionalProperties": false,
        "anyOf": [{"required": ["structured"]}, {"required": ["error"]}],
    })
}

/// Points the references of a schema to where it stands now.
fn rebase(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            // It would name another draft for a part of the whole.
            fields.remove("$schema");
            for (keyword, value) in fields {
                match value {
                    Value::String(target) if keyword == "$ref" => *target = target.replacen('#', STRUCTURED, 1),
                    _ if DATA.contains(&keyword.as_str()) => {}
                    Value::Object(schemas) if NAMED.contains(&keyword.as_str()) => {
                        schemas.values_mut().for_each(rebase)
                    }
                    _ => rebase(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(rebase),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::intake::Offer;
    use super::*;
    use crate::registry::check;
    use crate::schema::Schema;
    use l9_core::tool::{Integrity, Validator as _};
    use std::sync::Arc;

    fn listing() -> Listing {
        Listing {
            name: "Add Note".into(),
            title: "Add".into(),
            description: "Adds.".into(),
            input_schema: json!({"type": "object", "properties": {"to": {"type": "string"}}}),
            output_schema: Some(json!({
                "$schema": "http://json-schema.org/draft-07/schema#",
                "type": "object", "required": ["n"],
                "properties": {"n": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"type": "integer"}},
            })),
            destructive: true,
        }
    }

    fn made(settings: &Settings) -> Manifest {
        let manifest = of("notes", settings, &ToolId::new("notes/add").unwrap(), &listing()).unwrap();
        check(&manifest).unwrap();
        manifest
    }

    #[test]
    fn hints_never_lower_what_a_call_needs_and_the_operator_may() {
        let mut settings = Settings { url: Some("https://mcp.example/v1".into()), ..Settings::default() };
        let manifest = made(&settings);
        assert_eq!((manifest.effect, manifest.destructive), (EffectClass::OpaqueWrite, true));
        assert_eq!(manifest.labels.output_integrity, OutputIntegrity::Untrusted);
        assert_eq!(manifest.args[""].role, ArgRole::Target, "nobody says what its arguments are for");
        assert_eq!(manifest.runtime, Runtime::Mcp { server: "notes".into(), tool: "Add%20Note".into() });
        assert_eq!((manifest.net[0].host.as_str(), manifest.net[0].path_prefix.as_str()), ("mcp.example", "/v1"));
        let said = Override {
            effect: EffectClass::Read,
            args: BTreeMap::from([("/to".to_owned(), ArgRole::Recipient)]),
            output: BTreeMap::from([("/structured/n".to_owned(), Integrity::Trusted)]),
            ..Override::default()
        };
        settings.overrides.insert("Add Note".into(), said);
        let manifest = made(&settings);
        assert_eq!((manifest.effect, manifest.destructive), (EffectClass::Read, false));
        assert_eq!(manifest.args["/to"].role, ArgRole::Recipient);
        assert_eq!(manifest.args[""].role, ArgRole::Target, "what the operator does not name");
        assert_eq!(manifest.labels.output_integrity, OutputIntegrity::Mixed);
    }

    #[test]
    fn structured_content_is_held_to_its_schema_unless_the_tool_failed() {
        let schema = Schema::compile(&made(&Settings::default()).output_schema.unwrap()).unwrap();
        assert!(schema.violations(&json!({"text": "", "structured": {"n": 1}})).is_empty());
        assert!(schema.violations(&json!({"text": "no", "error": true})).is_empty());
        assert!(!schema.violations(&json!({"text": "", "structured": {"n": "1"}})).is_empty());
        assert!(!schema.violations(&json!({"text": ""})).is_empty());
    }

    #[test]
    fn properties_may_be_called_as_keywords_are() {
        let mut schema = json!({"$schema": "x", "properties": {
            "$schema": {"type": "string"}, "default": {"$ref": "#/$defs/a"}, "$ref": {"const": {"$ref": "#"}}
        }});
        rebase(&mut schema);
        let at = format!("{STRUCTURED}/$defs/a");
        let rebased = json!({"properties": {
            "$schema": {"type": "string"}, "default": {"$ref": at}, "$ref": {"const": {"$ref": "#"}}
        }});
        assert_eq!(schema, rebased);
    }

    #[test]
    fn what_the_operator_says_anew_is_no_change_of_the_server() {
        let id = ToolId::new("notes/add").unwrap();
        let offer = |settings: &Settings, listing: &Listing| {
            Offer::new(of("notes", settings, &id, listing).unwrap(), Arc::new(settings.clone()))
        };
        let mut settings = Settings::default();
        let known = made(&settings);
        let said = Override { effect: EffectClass::Read, ..Override::default() };
        settings.overrides.insert("Add Note".into(), said);
        settings.call_ms = 7;
        let none: [&str; 0] = [];
        assert_eq!(offer(&settings, &listing()).changed(&known).unwrap(), none);
        let settings = Settings::default();
        for (change, part) in [
            (Listing { description: "Adds!".into(), ..listing() }, "description"),
            (Listing { title: "Add!".into(), ..listing() }, "title"),
            (Listing { name: "add note".into(), ..listing() }, "name"),
            (Listing { input_schema: json!({"type": "object"}), ..listing() }, "input schema"),
            (Listing { output_schema: None, ..listing() }, "output schema"),
            (Listing { destructive: false, ..listing() }, "word on whether it destroys"),
        ] {
            assert_eq!(offer(&settings, &change).changed(&known).unwrap(), [part]);
        }
    }
}
