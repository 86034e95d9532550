//! The defects of an HTTP tool's manifest, each with its field and its mend.

use http::Uri;
use l9_core::tool::{EffectClass, Happened, HttpCall, HttpProbe, Inject, Manifest, NetGrant};
use serde_json::Value;

use super::template::Template;
use crate::egress::authority;
use crate::headers::{is_credential, is_key, is_the_hosts};

/// Tells every defect as field and mend.
pub(crate) fn defects(manifest: &Manifest, call: &HttpCall, tell: &mut dyn FnMut(String, String)) {
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
    if !known.contains(&call.method.as_str()) {
        tell("runtime.method".into(), format!("is {:?}, write one of {}", call.method, known.join(", ")));
    }
    parts(manifest, "runtime", (&call.method, &call.url), [&call.headers, &call.query], tell);
    if let Some(body) = &call.body {
        if matches!(call.method.as_str(), "GET" | "HEAD") {
            tell("runtime.body".into(), format!("a {} has no body, use query", call.method));
        }
        texts(body, &mut |text| {
            places(manifest, "runtime.body", text, tell);
        });
    }
    if let Some(probe) = &call.probe {
        probing(manifest, probe, tell);
    }
    match manifest.effect {
        EffectClass::Pure => tell("effect".into(), "a request is not pure, write read".into()),
        EffectClass::SameDbWrite => {
            tell("effect".into(), "a request writes elsewhere, write keyed_write or opaque_write".into());
        }
        _ => {}
    }
    for (at, secret) in manifest.secrets.iter().enumerate() {
        injected(call, &secret.inject, &mut |what| tell(format!("secrets[{at}].inject"), what));
    }
}

/// What stands in the way of putting a secret there.
fn injected(call: &HttpCall, place: &Inject, tell: &mut dyn FnMut(String)) {
    match place {
        Inject::Header(name) if is_the_hosts(name) => {
            tell(format!("the header {name:?} is the host's to write, choose another"));
        }
        Inject::Header(_) => {}
        Inject::Query(name) => {
            let written = call
                .url
                .split_once('?')
                .is_some_and(|(_, query)| query.split('&').any(|pair| pair.split('=').next() == Some(name.as_str())));
            if written || call.query.contains_key(name) {
                tell(format!("the parameter {name:?} stands in the request already, remove it there"));
            }
        }
        Inject::Body(_) if matches!(call.method.as_str(), "POST" | "PUT" | "PATCH") || call.body.is_some() => {}
        Inject::Body(_) => tell(format!("a {} has no body, write header or query", call.method)),
    }
}

fn probing(manifest: &Manifest, probe: &HttpProbe, tell: &mut dyn FnMut(String, String)) {
    if manifest.effect != EffectClass::QueryableWrite {
        tell("runtime.probe".into(), "is asked of queryable_write only, correct effect or remove it".into());
    }
    if !matches!(probe.method.as_str(), "GET" | "HEAD") {
        tell(
            "runtime.probe.method".into(),
            format!("is {:?}, a probe changes nothing: write GET or HEAD", probe.method),
        );
    }
    parts(manifest, "runtime.probe", (&probe.method, &probe.url), [&probe.headers, &probe.query], tell);
    match &probe.happened {
        Some(Happened::Pointer(at)) if !at.starts_with('/') => {
            tell("runtime.probe.happened".into(), format!("is {at:?}, write a JSON pointer such as /id, or a status"));
        }
        Some(Happened::Status(status)) if !(100..600).contains(status) => {
            tell("runtime.probe.happened".into(), format!("is {status}, write a status of 100 to 599"));
        }
        _ => {}
    }
}

/// What a call and its probe have alike.
fn parts(
    manifest: &Manifest,
    field: &str,
    (method, url): (&str, &str),
    [headers, query]: [&std::collections::BTreeMap<String, String>; 2],
    tell: &mut dyn FnMut(String, String),
) {
    let at = format!("{field}.url");
    if let Some(template) = places(manifest, &at, url, tell) {
        address(manifest, &at, method, url, &template, tell);
    }
    for (name, value) in headers {
        let at = format!("{field}.headers.{name}");
        places(manifest, &at, value, tell);
        header(&at, name, value, tell);
    }
    for (name, value) in query {
        places(manifest, &format!("{field}.query.{name}"), value, tell);
    }
}

fn header(at: &str, name: &str, value: &str, tell: &mut dyn FnMut(String, String)) {
    let lower = name.to_ascii_lowercase();
    if is_credential(&lower) {
        tell(at.to_owned(), "grant it in secrets".to_owned());
    } else if is_the_hosts(&lower) || is_key(&lower) {
        tell(at.to_owned(), "the host writes it, remove it".to_owned());
    } else if lower.parse::<http::HeaderName>().is_err() || value.parse::<http::HeaderValue>().is_err() {
        tell(at.to_owned(), "is no header, use letters, digits and - in its name and no line break".into());
    } else if lower == "content-type" && !value.contains("json") {
        tell(at.to_owned(), format!("is {value:?}, but a body is sent as JSON: write application/json"));
    }
}

/// Reads one template and looks whether its places are arguments.
fn places(manifest: &Manifest, at: &str, text: &str, tell: &mut dyn FnMut(String, String)) -> Option<Template> {
    let template = match Template::parse(text) {
        Ok(template) => template,
        Err(why) => {
            tell(at.to_owned(), why);
            return None;
        }
    };
    for place in template.places() {
        if !crate::registry::declares(&manifest.input_schema, place) {
            tell(at.to_owned(), format!("names the argument {place}, which input_schema does not declare"));
        }
    }
    Some(template)
}

fn address(
    manifest: &Manifest,
    at: &str,
    method: &str,
    url: &str,
    template: &Template,
    tell: &mut dyn FnMut(String, String),
) {
    let whole_host = template.head().split_once("://").is_some_and(|(_, rest)| rest.contains('/'));
    if !template.is_plain() && !whole_host {
        return tell(
            at.to_owned(),
            "an argument may stand in the path and query only, write scheme and host out".into(),
        );
    }
    if url.contains(['#', '\\']) || authority(url).contains('@') || url.contains(char::is_whitespace) {
        return tell(at.to_owned(), "must not hold a user, a fragment, a backslash or a blank".into());
    }
    let example = filled(url);
    let Some(uri) = example.parse::<Uri>().ok().filter(|uri| uri.host().is_some()) else {
        return tell(at.to_owned(), "is no absolute address, write it like https://api.example.com/v1/{id}".into());
    };
    let dots = |segment: &str| matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    if uri.path().split('/').any(dots) {
        return tell(at.to_owned(), "must not hold . or .. as a segment".into());
    }
    if !manifest.net.iter().any(|grant| covers(grant, method, &uri)) {
        tell(
            at.to_owned(),
            format!("{method} there is granted by no entry of net, add one for its scheme, host and path"),
        );
    }
}

/// Whether a grant allows that request, as far as the manifest tells: what is really sent is
/// asked again.
fn covers(grant: &NetGrant, method: &str, uri: &Uri) -> bool {
    let standard = |scheme: &str| if scheme == "https" { 443 } else { 80 };
    let scheme = uri.scheme_str().unwrap_or_default();
    let port = uri.port_u16().unwrap_or_else(|| standard(scheme));
    let path = uri.path();
    let beginning = grant.path_prefix.trim_end_matches('/');
    let below = path.strip_prefix(beginning).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    grant.scheme == scheme
        && uri.host().is_some_and(|host| host.eq_ignore_ascii_case(&grant.host))
        && grant.port.unwrap_or_else(|| standard(&grant.scheme)) == port
        && grant.methods.iter().any(|granted| granted == method)
        && below
}

/// The address with every place filled by a letter.
fn filled(url: &str) -> String {
    let (mut whole, mut inside) = (String::new(), false);
    for character in url.chars() {
        match character {
            '{' => inside = true,
            '}' => {
                inside = false;
                whole.push('x');
            }
            other if !inside => whole.push(other),
            _ => {}
        }
    }
    whole
}

fn texts(value: &Value, visit: &mut dyn FnMut(&str)) {
    match value {
        Value::String(text) => visit(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, visit)),
        Value::Object(members) => members.values().for_each(|member| texts(member, visit)),
        _ => {}
    }
}
