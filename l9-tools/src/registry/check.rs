//! A manifest checked whole: every defect at once, each with its field and its mend.

use std::fmt::Display;

use l9_core::pointer::segments;
use l9_core::tool::{
    EffectClass, FsGrant, Inject, Limits, Manifest, Mount, NetGrant, OutputIntegrity, Runtime, SecretGrant,
};
use l9_core::{Error, ErrorKind, Result};
use serde_json::Value;

use crate::schema::Schema;

/// The version of the manifest's format that this build reads.
const SCHEMA_VERSION: u32 = 1;
/// Defects told at once.
const DEFECTS: usize = 16;
/// Bytes of a wasm component.
const COMPONENT_BYTES: u64 = 256 << 20;

/// Finds every defect of a manifest.
///
/// # Errors
/// `Invalid` with one line per defect, `Newer` for a later version of the format.
pub fn check(manifest: &Manifest) -> Result<()> {
    if manifest.schema_version > SCHEMA_VERSION {
        return Err(Error::new(
            ErrorKind::Newer,
            format!("schema_version {} is newer than {SCHEMA_VERSION}: upgrade L9", manifest.schema_version),
        ));
    }
    let mut defects = Defects::default();
    reserved(manifest, &mut defects);
    describe(manifest, &mut defects);
    schemas(manifest, &mut defects);
    arguments(manifest, &mut defects);
    subjects(manifest, &mut defects);
    limits(&manifest.limits, &mut defects);
    runtime(manifest, &mut defects);
    effects(manifest, &mut defects);
    manifest.net.iter().enumerate().for_each(|(at, grant)| net(at, grant, &mut defects));
    manifest.fs.iter().enumerate().for_each(|(at, grant)| fs(at, grant, &mut defects));
    kv(manifest, &mut defects);
    manifest.secrets.iter().enumerate().for_each(|(at, grant)| secret(at, grant, manifest, &mut defects));
    rate(manifest, &mut defects);
    labels(manifest, &mut defects);
    defects.into_result(manifest)
}

#[derive(Default)]
struct Defects(Vec<String>);

impl Defects {
    fn add(&mut self, field: impl Display, what: impl Display) {
        if self.0.len() < DEFECTS {
            self.0.push(crate::log::printable(&format!("{field}: {what}"), 400));
        }
    }

    fn unless(&mut self, holds: bool, field: impl Display, what: impl Display) {
        if !holds {
            self.add(field, what);
        }
    }

    fn into_result(self, manifest: &Manifest) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(Error::invalid(format!("the manifest of {} has defects: {}", manifest.id, self.0.join("; "))))
    }
}

/// `run/` is what the driver of a run performs itself.
fn reserved(manifest: &Manifest, defects: &mut Defects) {
    let id = manifest.id.as_str();
    use l9_core::run::{APPROVE, DELEGATE, PLAN, WAIT};
    let built_in = [WAIT, DELEGATE, PLAN, APPROVE].contains(&id) && manifest.runtime == Runtime::Native;
    defects.unless(
        built_in || !id.starts_with("run/"),
        "id",
        format!("{id} is in the namespace run, which is reserved: choose another namespace"),
    );
}

fn describe(manifest: &Manifest, defects: &mut Defects) {
    let version = manifest.schema_version;
    defects.unless(
        version == SCHEMA_VERSION,
        "schema_version",
        format!("{version} is not known, write {SCHEMA_VERSION}"),
    );
    text("title", &manifest.title, 100, defects);
    text("description", &manifest.description, 4_000, defects);
}

/// Text that models and people read: it must show everything it holds.
fn text(field: &str, text: &str, most: usize, defects: &mut Defects) {
    let length = text.chars().count();
    defects.unless(
        (1..=most).contains(&length) && !text.trim().is_empty(),
        field,
        format!("{length} characters, write 1 to {most}"),
    );
    let hidden = text.chars().find(|character| !crate::log::is_plain(*character) && !matches!(character, '\n' | '\t'));
    if let Some(hidden) = hidden {
        defects.add(field, format!("holds the invisible character U+{:04X}, remove it", u32::from(hidden)));
    }
}

fn schemas(manifest: &Manifest, defects: &mut Defects) {
    if manifest.input_schema.get("type").and_then(Value::as_str) != Some("object") {
        defects.add("input_schema", "must be an object schema, write \"type\": \"object\"");
    }
    schema("input_schema", &manifest.input_schema, defects);
    if let Some(output) = &manifest.output_schema {
        schema("output_schema", output, defects);
    }
}

fn schema(field: impl Display, schema: &Value, defects: &mut Defects) {
    if !schema.is_object() && !schema.is_boolean() {
        defects.add(field, "must be a JSON Schema: an object");
    } else if let Err(error) = Schema::compile(schema) {
        defects.add(field, error);
    }
}

fn arguments(manifest: &Manifest, defects: &mut Defects) {
    for (at, rule) in &manifest.args {
        let field = format!("args[{at:?}]");
        if !is_pointer(at) {
            defects.add(&field, "is not a JSON pointer to an argument, write it like /recipient");
        } else if !at.is_empty() && !declares(&manifest.input_schema, at) {
            defects.add(&field, "points to nothing that input_schema declares: a rule for no argument guards nothing");
        }
        if let Some(constraint) = &rule.constraint {
            let constrains = format!("{field}.constraint");
            if at.is_empty() {
                defects.add(constrains, "is about no single argument, write it into input_schema");
            } else {
                schema(constrains, constraint, defects);
            }
        }
    }
}

fn subjects(manifest: &Manifest, defects: &mut Defects) {
    for at in &manifest.subjects {
        let field = format!("subjects[{at:?}]");
        if at.is_empty() || !is_pointer(at) {
            defects.add(&field, "is not a JSON pointer to an argument, write it like /subject");
        } else if !declares(&manifest.input_schema, at) {
            defects.add(&field, "points to nothing that input_schema declares: nobody would be named there");
        }
    }
}

/// Whether the pointer's first segment is a declared property, where any are declared.
pub(crate) fn declares(schema: &Value, pointer: &str) -> bool {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return true };
    let first = segments(pointer).into_iter().next().unwrap_or_default();
    first == "*" || properties.contains_key(&first) || schema.get("patternProperties").is_some()
}

/// RFC 6901: empty, or `/`-led segments in which `~` stands before 0 or 1 only.
fn is_pointer(text: &str) -> bool {
    let escapes = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    (text.is_empty() || text.starts_with('/')) && escapes
}

fn limits(limits: &Limits, defects: &mut Defects) {
    for (name, value, least, most) in [
        ("memory_bytes", limits.memory_bytes, 64 << 10, 4 << 30),
        ("table_elements", limits.table_elements, 0, 10_000_000),
        ("instances", limits.instances.into(), 1, 1_000),
        ("fuel", limits.fuel, 1_000, 1_000_000_000_000),
        ("wall_ms", limits.wall_ms, 1, 3_600_000),
        ("stack_bytes", limits.stack_bytes, 16 << 10, 16 << 20),
        ("input_bytes", limits.input_bytes, 2, 64 << 20),
        ("depth", limits.depth.into(), 1, 128),
        ("output_bytes", limits.output_bytes, 2, 64 << 20),
        ("log_bytes", limits.log_bytes, 0, 16 << 20),
        ("host_calls", limits.host_calls.into(), 0, 10_000_000),
        ("host_call_bytes", limits.host_call_bytes, 0, 1 << 30),
        ("handles", limits.handles.into(), 0, 10_000),
    ] {
        let sane = (least..=most).contains(&value);
        defects.unless(sane, format!("limits.{name}"), format!("{value} is out of range, write {least} to {most}"));
    }
}

fn runtime(manifest: &Manifest, defects: &mut Defects) {
    match &manifest.runtime {
        Runtime::Wasm { module } => {
            let sane = (8..=COMPONENT_BYTES).contains(&module.size);
            defects.unless(
                sane,
                "runtime.module.size",
                format!("{} bytes, a component has 8 to {COMPONENT_BYTES}", module.size),
            );
            let form = module.world.contains(['/']) && module.world.contains('@') && module.world.len() <= 128;
            defects.unless(form, "runtime.module.world", "is no versioned world, write it like l9:tool/tool@0.1.0");
        }
        Runtime::Mcp { server, tool } => {
            for (field, value) in [("runtime.server", server), ("runtime.tool", tool)] {
                let plain = (1..=128).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_graphic());
                defects.unless(plain, field, "write 1 to 128 printable ASCII characters without spaces");
            }
        }
        Runtime::Http(call) => crate::http::defects(manifest, call, &mut |field, what| defects.add(field, what)),
        // Compiled in: there is nothing to check.
        _ => {}
    }
}

fn effects(manifest: &Manifest, defects: &mut Defects) {
    let reaches = !manifest.net.is_empty() || !manifest.fs.is_empty() || !manifest.secrets.is_empty();
    let (pure, read) = (manifest.effect == EffectClass::Pure, manifest.effect == EffectClass::Read);
    defects.unless(
        !(pure && reaches),
        "effect",
        "pure tools touch nothing outside, remove net, fs and secrets or write read",
    );
    let writes_files = manifest.fs.iter().any(|grant| grant.mode == Mount::ReadWrite);
    defects.unless(
        !(read && writes_files),
        "effect",
        "a tool that writes files is more than read, make every fs grant read_only or write opaque_write",
    );
    let mut methods = manifest.net.iter().flat_map(|grant| &grant.methods);
    let changes = methods.any(|method| matches!(method.as_str(), "PUT" | "PATCH" | "DELETE"));
    defects.unless(
        !(read && changes),
        "effect",
        "a tool that may send PUT, PATCH or DELETE is more than read, grant GET, HEAD or POST or write keyed_write or opaque_write",
    );
    let same_database = manifest.effect == EffectClass::SameDbWrite;
    defects.unless(
        !same_database || manifest.runtime == Runtime::Native,
        "effect",
        "only native tools write into L9's own database, write keyed_write or opaque_write",
    );
    defects.unless(
        !(manifest.destructive && (pure || read)),
        "destructive",
        "a tool that only reads destroys nothing, correct effect or remove it",
    );
}

fn net(at: usize, grant: &NetGrant, defects: &mut Defects) {
    let field = |name: &str| format!("net[{at}].{name}");
    let https = matches!(grant.scheme.as_str(), "https" | "http");
    defects.unless(https, field("scheme"), "write https or http");
    let host = !grant.host.is_empty()
        && grant.host.len() <= 253
        && grant.host.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-'))
        && !grant.host.starts_with(['.', '-'])
        && !grant.host.ends_with(['.', '-']);
    defects.unless(host, field("host"), "write the exact host in lowercase ASCII, without port, user or wildcard");
    let methods = !grant.methods.is_empty()
        && grant.methods.iter().all(|method| !method.is_empty() && method.bytes().all(|b| b.is_ascii_uppercase()));
    defects.unless(methods, field("methods"), "write at least one method in capitals, such as GET");
    let path = grant.path_prefix.starts_with('/')
        && grant.path_prefix.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'\\' | b'%'))
        && !grant.path_prefix.split('/').any(|segment| segment == "..");
    defects.unless(path, field("path_prefix"), "write an absolute path without .., %, ? and #");
    defects.unless(grant.port != Some(0), field("port"), "0 is no port");
    defects.unless(grant.redirects <= 10, field("redirects"), "follow at most 10");
}

fn fs(at: usize, grant: &FsGrant, defects: &mut Defects) {
    defects.unless(is_name(&grant.mount), format!("fs[{at}].mount"), "write the configured mount's name, a-z 0-9 - _");
}

fn kv(manifest: &Manifest, defects: &mut Defects) {
    let Some(grant) = &manifest.kv else { return };
    let wasm = matches!(manifest.runtime, Runtime::Wasm { .. });
    defects.unless(wasm, "kv", "is for wasm tools: others keep what they like in their own memory, remove it");
    for (name, value, most) in
        [("max_bytes", grant.max_bytes, 64 << 20), ("max_keys", u64::from(grant.max_keys), 100_000)]
    {
        let sane = (1..=most).contains(&value);
        defects.unless(sane, format!("kv.{name}"), format!("{value} is out of range, write 1 to {most}"));
    }
}

fn secret(at: usize, grant: &SecretGrant, manifest: &Manifest, defects: &mut Defects) {
    let field = |name: &str| format!("secrets[{at}].{name}");
    defects.unless(is_name(&grant.handle), field("handle"), "write the configured secret's name, a-z 0-9 - _");
    let granted = manifest.net.iter().any(|net| net.host == grant.audience);
    defects.unless(granted, field("audience"), "is not a host of net: a secret goes to granted hosts only");
    let (inject, sound) = match &grant.inject {
        Inject::Header(name) => ("header", is_token(name) && !is_framing(name)),
        Inject::Query(name) => ("query", is_token(name)),
        Inject::Body(pointer) => ("body", is_pointer(pointer) && !pointer.is_empty()),
    };
    defects.unless(sound, field(&format!("inject.{inject}")), "is not a place a secret can be put");
}

fn is_token(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// Headers that frame or route a request.
fn is_framing(name: &str) -> bool {
    ["host", "content-length", "transfer-encoding", "connection", "te", "trailer", "upgrade"]
        .contains(&name.to_ascii_lowercase().as_str())
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
}

fn rate(manifest: &Manifest, defects: &mut Defects) {
    let Some(rate) = &manifest.rate else { return };
    for (name, value) in [
        ("per_caller", rate.per_caller.map(u64::from)),
        ("per_tenant", rate.per_tenant.map(u64::from)),
        ("concurrency", rate.concurrency.map(u64::from)),
        ("daily_bytes", rate.daily_bytes),
    ] {
        defects.unless(value != Some(0), format!("rate.{name}"), "0 allows no call at all, leave it out or write more");
    }
}

fn labels(manifest: &Manifest, defects: &mut Defects) {
    let labels = &manifest.labels;
    let mixed = labels.output_integrity == OutputIntegrity::Mixed;
    defects.unless(
        mixed || labels.output.is_empty(),
        "labels.output",
        "is used by mixed tools only, write output_integrity: mixed",
    );
    for (pattern, label) in &labels.output {
        let field = format!("labels.output[{pattern:?}]");
        defects.unless(is_pointer(pattern), &field, "is not a JSON-pointer pattern, write it like /events/*/title");
        if let Some(when) = &label.trusted_when {
            defects.unless(when.is == "principal", format!("{field}.trusted_when.is"), "write principal");
            defects.unless(
                is_pointer(&when.field),
                format!("{field}.trusted_when.field"),
                "is not a JSON-pointer pattern",
            );
        }
    }
}
