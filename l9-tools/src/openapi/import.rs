//! A whole document: its server, its operations, and a manifest for each.

use std::collections::BTreeSet;

use l9_core::id::ToolId;
use l9_core::pointer::segment;
use l9_core::tool::{Limits, Manifest, NetGrant, Runtime};
use l9_core::{Error, Result};
use serde_json::{Value, json};

use super::document::{Document, Warning, warning};
use super::operation::{Operation, slug};
use super::security::secrets;

/// The methods that a tool may have.
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

/// What to import, and what the document does not say.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Operations by their ids; all if empty.
    pub operations: Vec<String>,
    /// Where the service is, if not where the document says.
    pub server: Option<String>,
    /// The namespace of the tools; made of the document's title if absent.
    pub namespace: Option<String>,
}

/// What came of a document.
#[derive(Debug, Clone)]
pub struct Imported {
    /// One manifest for each operation that can be expressed.
    pub tools: Vec<Manifest>,
    /// What cannot be.
    pub warnings: Vec<Warning>,
}

/// Makes manifests of a document's operations.
///
/// # Errors
/// `Invalid` for a document of another kind, one without an absolute server when none is
/// given, and for an operation that is asked for and not there.
pub fn import(root: &Value, options: &Options) -> Result<Imported> {
    let document = Document::of(root)?;
    let mut warnings = Vec::new();
    let base = server(root, options, &mut warnings)?;
    let title = root.pointer("/info/title").and_then(Value::as_str).unwrap_or("api");
    let namespace = options.namespace.clone().unwrap_or_else(|| slug(title));
    let operations = operations(document, &mut warnings);
    let known: BTreeSet<String> = operations.iter().map(Operation::id).collect();
    if let Some(unknown) = options.operations.iter().find(|wanted| !known.contains(*wanted)) {
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        return Err(Error::invalid(format!("there is no operation {unknown}: there are {}", known.join(", "))));
    }
    let version = version(root, &mut warnings);
    let mut tools: Vec<Manifest> = Vec::new();
    for operation in operations {
        if !options.operations.is_empty() && !options.operations.contains(&operation.id()) {
            continue;
        }
        let mut told = Vec::new();
        let made = served(operation, &base)
            .and_then(|()| tool(operation, (&base, &namespace, &version), &mut |warning| told.push(warning)));
        match made {
            Ok(tool) if tools.iter().any(|there| there.id == tool.id) => {
                told.push(warning(&operation.place(), format!("another operation is called {}: left out", tool.id)));
            }
            Ok(tool) => tools.push(tool),
            Err(why) => told
                .push(Warning { what: format!("{}: the operation {} is left out", why.what, operation.id()), ..why }),
        }
        warnings.extend(told);
    }
    warnings.dedup();
    Ok(Imported { tools, warnings })
}

/// The address before every path, without a `/` at its end.
fn server(root: &Value, options: &Options, warnings: &mut Vec<Warning>) -> Result<String> {
    let servers = root.get("servers").and_then(Value::as_array);
    let mut url = match (&options.server, servers.and_then(|servers| servers.first())) {
        (Some(url), _) => url.clone(),
        (None, Some(first)) => {
            if servers.is_some_and(|servers| servers.len() > 1) {
                warnings.push(warning("/servers", "only the first server is used"));
            }
            filled(first, warnings)
        }
        (None, None) => String::new(),
    };
    url.truncate(url.trim_end_matches('/').len());
    let uri: Option<http::Uri> = url.parse().ok();
    if !uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()) {
        let shown = crate::log::printable(&url, 200);
        return Err(Error::invalid(format!(
            "the server {shown:?} is no absolute address: say with --server where the service is"
        )));
    }
    Ok(url)
}

/// A server's address with its variables at their defaults.
fn filled(server: &Value, warnings: &mut Vec<Warning>) -> String {
    let mut url = server.get("url").and_then(Value::as_str).unwrap_or_default().to_owned();
    for (name, variable) in server.get("variables").and_then(Value::as_object).into_iter().flatten() {
        let default = variable.get("default").and_then(Value::as_str).unwrap_or_default();
        url = url.replace(&format!("{{{name}}}"), default);
        let place = format!("/servers/0/variables/{}", segment(name));
        warnings.push(warning(&place, format!("{default:?} stands for the variable {name}")));
    }
    url
}

fn version(root: &Value, warnings: &mut Vec<Warning>) -> semver::Version {
    let written = root.pointer("/info/version").and_then(Value::as_str).unwrap_or_default();
    written.parse().unwrap_or_else(|_| {
        warnings.push(warning("/info/version", format!("{written:?} is no semantic version: the tools have 1.0.0")));
        semver::Version::new(1, 0, 0)
    })
}

/// Every operation that a tool could be.
fn operations<'a>(document: Document<'a>, warnings: &mut Vec<Warning>) -> Vec<Operation<'a>> {
    if document.root.get("webhooks").is_some() {
        warnings.push(warning("/webhooks", "webhooks are no tools: left out"));
    }
    let mut operations = Vec::new();
    for (path, item) in document.root.get("paths").and_then(Value::as_object).into_iter().flatten() {
        let at = format!("/paths/{}", segment(path));
        let item = match document.resolve(item, &at) {
            Ok((item, _)) => item,
            Err(why) => {
                warnings.push(why);
                continue;
            }
        };
        for (name, value) in item.as_object().into_iter().flatten() {
            let place = format!("{at}/{}", segment(name));
            match METHODS.iter().copied().find(|method| method.eq_ignore_ascii_case(name)) {
                Some(method) => operations.push(Operation { document, item, value, path, method }),
                None if ["options", "trace"].contains(&name.as_str()) => {
                    warnings.push(warning(&place, format!("no tool has the method {name}: left out")));
                }
                None => {}
            }
        }
    }
    operations
}

/// Refuses an operation of another server than the document's, for which `base` stands: the tool
/// would send there, with secrets, what is meant for the other.
fn served(operation: Operation<'_>, base: &str) -> Result<(), Warning> {
    let path = format!("/paths/{}", segment(operation.path));
    let own = [(operation.value, operation.place()), (operation.item, path)].into_iter().find_map(|(holder, place)| {
        let servers = holder.get("servers").filter(|servers| **servers != json!([]))?;
        Some((servers, format!("{place}/servers")))
    });
    let Some((servers, place)) = own else { return Ok(()) };
    let address = |server: &Value| filled(server, &mut Vec::new()).trim_end_matches('/').to_owned();
    let document = operation.document.root.pointer("/servers/0").map(address);
    let addresses: Vec<String> = servers.as_array().into_iter().flatten().map(address).collect();
    if addresses.iter().any(|address| address == base || Some(address) == document.as_ref()) {
        return Ok(());
    }
    let shown = crate::log::printable(&addresses.join(", "), 200);
    let mend = "write its whole address here, and import the operation by itself with that as --server";
    Err(warning(&place, format!("its server is {shown:?}, not {base:?}: {mend}")))
}

/// One operation's manifest, which is sound.
fn tool(
    operation: Operation<'_>,
    (base, namespace, version): (&str, &str, &semver::Version),
    tell: &mut dyn FnMut(Warning),
) -> Result<Manifest, Warning> {
    let place = operation.place();
    let wrong = |why: &dyn std::fmt::Display| warning(&place, why.to_string());
    if operation.value.get("callbacks").is_some() {
        tell(warning(&format!("{place}/callbacks"), "callbacks are not received"));
    }
    if operation.value.get("deprecated") == Some(&Value::Bool(true)) {
        tell(warning(&place, "the operation is deprecated"));
    }
    let shape = operation.shape(base, tell)?;
    let id = operation.id();
    let id: ToolId = format!("{namespace}/{}", slug(&id)).parse().map_err(|error: Error| wrong(&error))?;
    let address: http::Uri = base.parse().map_err(|error: http::uri::InvalidUri| wrong(&error))?;
    let host = address.host().unwrap_or_default().to_ascii_lowercase();
    let secrets = secrets(operation.document, (operation.value, &place), (namespace, &host), tell)?;
    let path = format!("{}{}", address.path().trim_end_matches('/'), operation.path);
    // Up to the last segment before the first argument.
    let prefix =
        path.split_once('{').and_then(|(literal, _)| literal.rsplit_once('/')).map_or(&*path, |(before, _)| before);
    let net = NetGrant {
        scheme: address.scheme_str().unwrap_or_default().to_owned(),
        host,
        port: address.port_u16(),
        methods: vec![shape.call.method.clone()],
        path_prefix: if prefix.is_empty() { "/".to_owned() } else { prefix.to_owned() },
        max_requests: None,
        max_response_bytes: None,
        redirects: 0,
        allow_private: false,
    };
    let words =
        |key: &str| operation.value.get(key).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
    let title = words("summary").map_or_else(|| id.to_string(), str::to_owned);
    let description = words("description").or_else(|| words("summary")).map_or_else(|| title.clone(), str::to_owned);
    let mut manifest: Manifest = serde_json::from_value(json!({
        "schema_version": 1, "id": id, "version": version, "title": plain(&title, 100),
        "description": plain(&description, 4_000), "runtime": {"kind": "native"}, "input_schema": shape.input,
    }))
    .map_err(|error| wrong(&error))?;
    manifest.runtime = Runtime::Http(shape.call);
    (manifest.effect, manifest.destructive, manifest.args) = (shape.effect, shape.destructive, shape.args);
    (manifest.net, manifest.secrets) = (vec![net], secrets);
    manifest.limits = Limits { wall_ms: 10_000, ..Limits::default() };
    crate::registry::check(&manifest).map_err(|error| wrong(&error))?;
    Ok(manifest)
}

/// Text of so many characters at most, without any that do not show.
fn plain(text: &str, most: usize) -> String {
    let shown = |c: &char| crate::log::is_plain(*c) || matches!(c, '\n' | '\t');
    text.chars().filter(shown).take(most).collect()
}

#[cfg(test)]
mod tests;
