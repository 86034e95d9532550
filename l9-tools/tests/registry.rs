//! The registry from outside: what it refuses and how it says so; manifests as people
//! write them, and as nobody should.
#![expect(clippy::unwrap_used, reason = "a test's helpers, whose failure is the test's")]

use std::sync::Arc;

use async_trait::async_trait;
use l9_core::ErrorKind;
use l9_core::governor::Permit;
use l9_core::id::TenantId;
use l9_core::tool::{EffectClass, Manifest, Runtime, ToolFault, ToolOutput, ToolRegistry, ToolSandbox};
use l9_tools::native;
use l9_tools::registry::{Registry, Settings, Source, check, from_json, from_yaml, manifest_schema, read};
use proptest::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Debug)]
struct Nothing;

#[async_trait]
impl ToolSandbox for Nothing {
    async fn call(&self, _: Permit, _: &Manifest, _: &Value) -> Result<ToolOutput, ToolFault> {
        Ok(ToolOutput::default())
    }
}

fn sound() -> Value {
    json!({
        "schema_version": 1,
        "id": "demo/send",
        "version": "1.0.0",
        "title": "Send",
        "description": "Sends a message to one person.",
        "runtime": {"kind": "native"},
        "input_schema": {
            "type": "object", "additionalProperties": false, "required": ["to"],
            "properties": {"to": {"type": "string"}, "text": {"type": "string"}}
        },
        "effect": "keyed_write",
        "args": {"/to": {"role": "recipient", "constraint": {"pattern": "@example\\.com$"}}},
        "net": [{"scheme": "https", "host": "mail.example.com", "methods": ["POST"], "path_prefix": "/v1"}],
        "secrets": [{"handle": "mail", "audience": "mail.example.com", "inject": {"header": "Authorization"}}]
    })
}

fn manifest(value: &Value) -> Manifest {
    from_json(value.to_string().as_bytes()).unwrap()
}

/// The sound manifest with one value replaced by its pointer, or added to its parent.
fn with(pointer: &str, value: Value) -> Value {
    let mut manifest = sound();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = manifest.pointer_mut(parent).unwrap();
    match parent {
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
        parent => parent[key] = value,
    }
    manifest
}

fn refused(value: &Value) -> String {
    let registry = Registry::default();
    match from_json(value.to_string().as_bytes()) {
        Ok(manifest) => registry.register(manifest, Arc::new(Nothing)).unwrap_err().to_string(),
        Err(error) => error.to_string(),
    }
}

fn tenant() -> TenantId {
    TenantId::default_tenant()
}

#[test]
fn every_defect_is_named_with_its_field() {
    check(&manifest(&sound())).unwrap();
    for (pointer, value, field) in [
        ("/schema_version", json!(0), "schema_version: 0"),
        ("/schema_version", json!(2), "upgrade L9"),
        ("/id", json!("Demo/send"), "id: "),
        ("/id", json!("demo/se\u{200b}nd"), "id: "),
        ("/version", json!("1"), "version: "),
        ("/title", json!(""), "title: 0 characters"),
        ("/description", json!("a\u{202e}b"), "description: holds the invisible character U+202E"),
        ("/runtime", json!({"kind": "shell"}), "runtime.kind: unknown variant"),
        ("/runtime", json!({"kind": "mcp", "server": "", "tool": "x"}), "runtime.server"),
        ("/runtime", json!({"kind": "wasm", "module": {"sha256": "00", "size": 1, "world": "w"}}), "runtime"),
        (
            "/runtime",
            json!({"kind": "wasm", "module": {"sha256": "0".repeat(64), "size": 1, "world": "w"}}),
            "runtime.module.size: 1 bytes",
        ),
        ("/input_schema", json!({"type": "array"}), "input_schema: must be an object"),
        ("/input_schema/properties/to", json!({"$ref": "https://example.com/a"}), "input_schema: $ref"),
        ("/input_schema/properties/to", json!({"pattern": "("}), "input_schema: not a usable"),
        ("/output_schema", json!({"items": {"$ref": "#"}}), "output_schema: $ref \"#\" leads back"),
        ("/output_schema", json!(3), "output_schema: must be a JSON Schema"),
        ("/effect", json!("pure"), "effect: pure tools touch nothing"),
        ("/effect", json!("harmless"), "effect: unknown variant"),
        ("/args", json!({"to": {"role": "recipient"}}), "args[\"to\"]: is not a JSON pointer"),
        ("/args", json!({"/t~o": {"role": "recipient"}}), "args[\"/t~o\"]: is not a JSON pointer"),
        ("/args", json!({"/too": {"role": "recipient"}}), "args[\"/too\"]: points to nothing"),
        ("/args", json!({"/to": {"role": "friend"}}), "args./to.role: unknown variant"),
        ("/args", json!({"/to": {"role": "url", "constraint": {"type": 1}}}), "constraint: not a usable"),
        ("/limits", json!({"fuel": 1}), "limits.fuel: 1 is out of range"),
        ("/limits", json!({"memory_bytes": 1_u64 << 40}), "limits.memory_bytes"),
        ("/limits", json!({"fule": 1}), "limits.fule: unknown field"),
        ("/limits", json!({"wall_ms": "5s"}), "limits.wall_ms: invalid type"),
        ("/net/0/host", json!("mail.example.com:443"), "net[0].host"),
        ("/net/0/host", json!("user@mail.example.com"), "net[0].host"),
        ("/net/0/host", json!("*.example.com"), "net[0].host"),
        ("/net/0/scheme", json!("ftp"), "net[0].scheme"),
        ("/net/0/methods", json!(["post"]), "net[0].methods"),
        ("/net/0/path_prefix", json!("/v1/../admin"), "net[0].path_prefix"),
        ("/secrets/0/audience", json!("evil.example"), "secrets[0].audience"),
        ("/secrets/0/inject", json!({"header": "Host"}), "secrets[0].inject.header"),
        ("/secrets/0/inject", json!({"header": "A\r\nB"}), "secrets[0].inject.header"),
        ("/fs", json!([{"mount": "../etc", "mode": "read_only"}]), "fs[0].mount"),
        ("/rate", json!({"per_tenant": 0}), "rate.per_tenant"),
        ("/labels", json!({"output": {"/a": {"integrity": "trusted"}}}), "labels.output"),
        (
            "/labels",
            json!({"output_integrity": "mixed", "output": {"a": {"integrity": "trusted"}}}),
            "labels.output[\"a\"]",
        ),
        ("/surprise", json!(true), "unknown field"),
    ] {
        let message = refused(&with(pointer, value));
        // The id is validated by its own type, which names the id instead of the field.
        assert!(message.contains(field), "{pointer}: {message}");
    }
    assert!(refused(&json!({"id": "a/b"})).contains("missing field `schema_version`"));
}

#[test]
fn what_may_change_or_delete_is_no_read() {
    for (methods, fits) in [
        (json!(["GET", "HEAD", "POST"]), true),
        (json!(["PUT"]), false),
        (json!(["GET", "PATCH"]), false),
        (json!(["DELETE"]), false),
    ] {
        let mut tool = with("/net/0/methods", methods.clone());
        tool["effect"] = json!("keyed_write");
        check(&manifest(&tool)).unwrap();
        tool["effect"] = json!("read");
        match fits {
            true => check(&manifest(&tool)).unwrap(),
            false => assert!(refused(&tool).contains("effect: a tool that may send PUT"), "{methods}"),
        }
    }
}

#[test]
fn all_defects_come_at_once() {
    let mut bad = with("/limits", json!({"fuel": 1, "wall_ms": 0}));
    bad["title"] = json!("");
    let message = refused(&bad);
    for field in ["title", "limits.fuel", "limits.wall_ms"] {
        assert!(message.contains(field), "{message}");
    }
}

#[test]
fn a_version_means_one_contract_for_ever() {
    let registry = Registry::default();
    let first = registry.register(manifest(&sound()), Arc::new(Nothing)).unwrap();
    let again = registry.register(manifest(&sound()), Arc::new(Nothing)).unwrap();
    assert!(Arc::ptr_eq(&first, &again));

    let pulled = with("/description", json!("Sends a message, and a copy to me."));
    let error = registry.register(manifest(&pulled), Arc::new(Nothing)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("needs a new version"), "{error}");
    assert!(registry.remove(&first.manifest.id.clone().into()));
    assert!(registry.register(manifest(&pulled), Arc::new(Nothing)).is_err(), "removing does not free the version");

    let mut newer = pulled;
    newer["version"] = json!("1.1.0");
    let newer = registry.register(manifest(&newer), Arc::new(Nothing)).unwrap();
    assert_ne!(newer.contract, first.contract);
    registry.register(manifest(&sound()), Arc::new(Nothing)).unwrap();
    assert_eq!(registry.resolve(&tenant(), &first.manifest.id).unwrap().contract, newer.contract);
    // Versions stand side by side.
    let one = registry.find(&tenant(), &"demo/send@1.0.0".parse().unwrap()).unwrap();
    assert_eq!(one.contract, first.contract);
    assert_eq!(registry.pinned(&tenant(), &first.manifest.id, &first.contract).unwrap().contract, first.contract);
    assert!(registry.remove(&"demo/send@1.1.0".parse().unwrap()));
    assert_eq!(registry.resolve(&tenant(), &first.manifest.id).unwrap().contract, first.contract);
    let gone = registry.pinned(&tenant(), &first.manifest.id, &newer.contract).unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::Conflict, "{gone}");
}

#[test]
fn names_that_look_alike_to_a_model_are_refused() {
    let registry = Registry::default();
    registry.register(manifest(&with("/id", json!("demo/send-it"))), Arc::new(Nothing)).unwrap();
    let error = registry.register(manifest(&with("/id", json!("demo/send_it"))), Arc::new(Nothing)).unwrap_err();
    assert!(error.to_string().contains("looks like demo/send-it"), "{error}");
    assert!(registry.remove(&"demo/send-it".parse().unwrap()));
    registry.register(manifest(&with("/id", json!("demo/send_it"))), Arc::new(Nothing)).unwrap();
}

#[test]
fn what_servers_list_leaves_room_for_what_operators_put_in_place() {
    let registry = Registry::new(Settings { tools: 4, contracts: 8 });
    let offer = |id: &str, version: &str, source: Source| {
        let value = json!({"id": id, "version": version});
        let mut changed = sound();
        changed.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        registry.offer(manifest(&changed), Arc::new(Nothing), source).map(drop).map_err(|error| error.kind())
    };
    let full = Err(ErrorKind::Exhausted);
    assert_eq!(offer("far/a", "1.0.0", Source::Remote), Ok(()));
    assert_eq!(offer("far/b", "1.0.0", Source::Remote), Ok(()));
    assert_eq!(offer("far/c", "1.0.0", Source::Remote), full);
    assert_eq!(offer("far/a", "2.0.0", Source::Remote), Ok(()));
    assert_eq!(offer("far/a", "3.0.0", Source::Remote), Ok(()));
    assert_eq!(offer("far/a", "4.0.0", Source::Remote), full);
    for (id, version) in [("own/a", "1.0.0"), ("own/b", "1.0.0"), ("own/a", "2.0.0"), ("own/a", "3.0.0")] {
        assert_eq!(offer(id, version, Source::Operator), Ok(()), "{id} {version}");
    }
    assert_eq!(offer("own/c", "1.0.0", Source::Operator), full);
}

#[test]
fn a_full_registry_says_so_and_still_takes_new_versions() {
    let registry = Registry::new(Settings { tools: 1, ..Settings::default() });
    registry.register(manifest(&sound()), Arc::new(Nothing)).unwrap();
    let error = registry.register(manifest(&with("/id", json!("demo/other"))), Arc::new(Nothing)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Exhausted);
    registry.register(manifest(&with("/version", json!("2.0.0"))), Arc::new(Nothing)).unwrap();
    assert_eq!(registry.list(&tenant()).len(), 1);
}

#[test]
fn readers_and_writers_do_not_wait_for_each_other_long() {
    let registry = Arc::new(Registry::default());
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let registry = Arc::clone(&registry);
            std::thread::spawn(move || {
                for tool in 0..25 {
                    let id = json!(format!("demo/t{writer}x{tool}"));
                    registry.register(manifest(&with("/id", id)), Arc::new(Nothing)).unwrap();
                }
            })
        })
        .collect();
    while writers.iter().any(|writer| !writer.is_finished()) {
        let listed = registry.list(&tenant());
        assert!(listed.iter().all(|tool| registry.resolve(&tenant(), &tool.manifest.id).is_some()));
    }
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    assert_eq!(registry.list(&tenant()).len(), 100);
}

#[test]
fn yaml_and_json_give_the_same_contract() {
    let yaml = r#"
schema_version: 1
id: demo/send
version: "1.0.0"
title: Send
description: Sends a message to one person.
runtime: {kind: native}
input_schema:
  type: object
  additionalProperties: false
  required: [to]
  properties: {to: {type: string}, text: {type: string}}
effect: keyed_write
args:
  /to: {role: recipient, constraint: {pattern: '@example\.com$'}}
net:
  - {scheme: https, host: mail.example.com, methods: [POST], path_prefix: /v1}
secrets:
  - {handle: mail, audience: mail.example.com, inject: {header: Authorization}}
"#;
    let from_yaml = from_yaml(yaml).unwrap();
    assert_eq!(from_yaml, manifest(&sound()));
    assert_eq!(from_yaml.contract_hash().unwrap(), manifest(&sound()).contract_hash().unwrap());
}

#[test]
fn malformed_text_is_refused_with_its_place() {
    assert!(from_yaml("id: [").unwrap_err().to_string().contains("malformed YAML"));
    assert!(from_yaml("id: a/b\nid: c/d").unwrap_err().to_string().contains("uplicate"));
    assert!(from_yaml("version: 1.0").unwrap_err().to_string().contains("quoted string"));
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n\
                d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e]";
    assert!(from_yaml(bomb).is_err());
    assert!(from_json(b"{\"id\":1,\"id\":2}").unwrap_err().to_string().contains("duplicate key"));
    assert!(from_json(&b"[".repeat(1_000)).unwrap_err().to_string().contains("nested deeper"));
}

/// What a broken file holds may be a secret: neither the log nor a health check repeats it.
#[test]
fn a_file_that_is_no_manifest_is_told_by_its_place_and_not_by_what_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let json = |pointer: &str, value: Value| serde_json::to_string_pretty(&with(pointer, value)).unwrap();
    let yaml = "schema_version: 1\nid: demo/send\nversion: 1.0.0\ntitle: Send\n";
    for (name, text, why) in [
        ("a.json", "{\"id\": hunter2}".to_owned(), "malformed JSON: expected value at line 1 column 8"),
        ("b.json", "\"hunter2\"".to_owned(), "invalid type: string, expected an object at line 1 column 9"),
        (
            "c.json",
            json("/limits", json!({"wall_ms": "hunter2, expected"})),
            "limits.wall_ms: invalid type: string, expected u64 at line ",
        ),
        (
            "d.json",
            json("/runtime", json!({"kind": "hunter2"})),
            "runtime.kind: unknown variant, expected one of `wasm`",
        ),
        ("e.json", json("/id", json!("Hunter2\"hunter2")), "id: the text here is not a valid tool id: use "),
        ("f.json", json("/expires", json!("hunter2")), "expires: the text here is not a time: use RFC 3339"),
        ("g.json", json("/net", json!(["hunter2"])), "net[0]: invalid type: string, expected an object at line "),
        ("h.json", "[12345678901234567]".to_owned(), "malformed JSON: an integer is beyond 2^53 - 1"),
        ("i.json", json("/runtime", json!({"kind": "wasm", "module": ["hunter2"]})), "runtime"),
        ("j.yaml", "password: hunter2\n  and: hunter2".to_owned(), "malformed YAML: "),
        ("k.yaml", "hunter2".to_owned(), "invalid type: string, expected an object at line 1 column 1"),
        ("l.yaml", format!("{yaml}effect: hunter2\n"), "effect: unknown variant, expected one of `pure`"),
        (
            "m.yaml",
            format!("{yaml}destructive: hunter2\n"),
            "destructive: invalid type: string, expected a boolean at line 5 column 14",
        ),
        ("n.yaml", "password: \"hunter2\n".to_owned(), "line "),
    ] {
        std::fs::write(path(name), &text).unwrap();
        let message = read(&path(name)).unwrap_err().to_string();
        assert!(message.contains(name) && message.contains(why), "{message}");
        assert!(!message.to_lowercase().contains("hunter2") && !message.contains("1234"), "{message}");
        assert!(message.contains(" line ") || why == "runtime" || name == "l.yaml", "{message}");
    }
}

#[test]
fn a_list_is_no_object_wherever_it_stands() {
    for (pointer, value, field) in [
        ("/runtime", json!(["native"]), "runtime: it is a list, and must be an object"),
        ("/runtime", json!({"kind": "wasm", "module": ["0".repeat(64), 9, "w"]}), "runtime.module: it is a list"),
        (
            "/runtime",
            json!({"kind": "http", "method": "POST", "url": "https://a.example", "probe": ["GET", "https://a.example"]}),
            "runtime.probe: it is a list",
        ),
        ("/limits", json!([]), "limits: it is a list"),
        ("/labels", json!(["mixed"]), "labels: it is a list"),
        ("/labels", json!({"output": {"/a": ["trusted"]}}), "labels.output./a: it is a list"),
        ("/audit", json!(["hash"]), "audit: it is a list"),
        ("/rate", json!([1]), "rate: it is a list"),
        ("/kv", json!([1, 1]), "kv: it is a list"),
        ("/fs", json!([["data", "read_only"]]), "fs[0]: it is a list"),
        ("/args", json!({"/to": ["recipient"]}), "args./to: it is a list"),
        ("/net/0", json!(["https", "mail.example.com", 443, ["POST"], "/", 1, 1, 0, true]), "net[0]: it is a list"),
        ("/secrets/0", json!(["mail", "mail.example.com", {"header": "Authorization"}]), "secrets[0]: it is a list"),
    ] {
        let manifest = with(pointer, value);
        let message = from_json(manifest.to_string().as_bytes()).unwrap_err().to_string();
        assert!(message.contains(field), "{pointer}: {message}");
        let schema = jsonschema::validator_for(&manifest_schema()).unwrap();
        assert!(!schema.is_valid(&manifest), "{pointer}");
    }
    let fields = ["schema_version", "id", "version", "title", "description", "runtime", "input_schema"];
    let whole: Value = fields.iter().map(|field| sound()[field].clone()).collect();
    assert!(from_json(whole.to_string().as_bytes()).unwrap_err().to_string().contains("manifest"));
    let yaml = from_yaml("limits: []\nschema_version: 1").unwrap_err().to_string();
    assert!(yaml.contains("missing field"), "{yaml}");
}

#[test]
fn the_published_schema_accepts_what_the_registry_accepts() {
    let schema = manifest_schema();
    assert_eq!(schema["title"], "Manifest");
    let compiled = jsonschema::validator_for(&schema).unwrap();
    assert!(compiled.is_valid(&sound()));
    assert!(!compiled.is_valid(&with("/surprise", json!(1))));
}

/// `l9-server tools inspect --schema` prints what stands in the file.
#[test]
fn the_schema_that_is_published_is_the_one_that_holds() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/api/tool-manifest.schema.json");
    let published: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let mend =
        "run `l9-server tools inspect --schema` and write what it prints into docs/api/tool-manifest.schema.json";
    assert!(published == manifest_schema(), "the published schema is not that of manifests: {mend}");
}

#[derive(Deserialize, JsonSchema)]
struct Greet {
    /// Whom to greet.
    name: String,
}

#[derive(Serialize, JsonSchema)]
struct Greeting {
    words: String,
}

#[test]
fn a_native_tool_brings_its_own_schemas() {
    let registry = Registry::default();
    let greet = native::tool("demo/greet", "1.0.0", "Greets a person by name.")
        .effect(EffectClass::Pure)
        .handler(|_, input: Greet| async move { Ok(Greeting { words: format!("hello {}", input.name) }) });
    let tool = registry.register_native(greet).unwrap();
    assert_eq!(tool.manifest.runtime, Runtime::Native);
    assert_eq!(tool.manifest.input_schema["properties"]["name"]["description"], "Whom to greet.");
    assert!(tool.input.violations(&json!({"name": "Ada"})).is_empty());
    assert_eq!(tool.input.violations(&json!({})), ["/: \"name\" is a required property"]);
    assert!(tool.output.as_ref().unwrap().violations(&json!({"words": 1})).len() == 1);

    let unnamed = native::tool("greet", "1", "Greets.")
        .handler(|_, input: Greet| async move { Ok(Greeting { words: input.name }) });
    assert!(registry.register_native(unnamed).unwrap_err().to_string().contains("version \"1\" of greet"));
}

fn mutated() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
        Just(json!({"$ref": "#"})),
        Just(json!([[[[]]]])),
    ];
    let pointers = proptest::sample::select(vec![
        "/schema_version",
        "/id",
        "/version",
        "/title",
        "/description",
        "/runtime",
        "/runtime/kind",
        "/input_schema",
        "/input_schema/type",
        "/input_schema/properties",
        "/input_schema/properties/to",
        "/output_schema",
        "/effect",
        "/args",
        "/args/~1to",
        "/limits",
        "/net",
        "/net/0",
        "/net/0/host",
        "/secrets",
        "/secrets/0/inject",
        "/labels",
        "/rate",
        "/approval",
        "/audit",
        "/expires",
        "/fs",
        "/destructive",
        "/unknown",
    ]);
    proptest::collection::vec((pointers, leaf), 1..4).prop_map(|changes| {
        let mut manifest = sound();
        for (pointer, value) in changes {
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            let key = key.replace("~1", "/");
            match manifest.pointer_mut(parent) {
                Some(Value::Object(fields)) => drop(fields.insert(key, value)),
                Some(Value::Array(items)) if !items.is_empty() => items[0] = value,
                _ => {}
            }
        }
        manifest
    })
}

proptest! {
    #[test]
    fn no_manifest_makes_the_registry_panic(value in mutated()) {
        if let Ok(manifest) = from_json(value.to_string().as_bytes()) {
            let registered = Registry::default().register(manifest.clone(), Arc::new(Nothing));
            prop_assert_eq!(registered.is_ok(), check(&manifest).is_ok());
        }
    }

    #[test]
    fn no_bytes_make_the_readers_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), cut in 0..900_usize, flip in any::<u8>()) {
        let _ = from_json(&bytes);
        let _ = from_yaml(&String::from_utf8_lossy(&bytes));
        let mut text = sound().to_string().into_bytes();
        let at = cut % text.len();
        text[at] ^= flip;
        let _ = from_json(&text);
        let _ = from_yaml(&String::from_utf8_lossy(&text));
        text.truncate(at);
        let _ = from_json(&text);
        let _ = from_yaml(&String::from_utf8_lossy(&text));
    }
}
