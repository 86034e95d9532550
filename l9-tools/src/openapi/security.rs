//! How a caller is known, as secrets with an audience.

use l9_core::pointer::segment;
use l9_core::tool::{Inject, SecretGrant};
use serde_json::{Map, Value};

use super::document::{Document, Warning, warning};
use super::operation::slug;

/// The secrets of an operation: those of the first way in that can be expressed. The way without
/// any is taken only when there is no other.
///
/// # Errors
/// The place, when there are ways in and none can be expressed.
pub(super) fn secrets(
    document: Document<'_>,
    (operation, place): (&Value, &str),
    (namespace, host): (&str, &str),
    tell: &mut dyn FnMut(Warning),
) -> Result<Vec<SecretGrant>, Warning> {
    let own = operation.get("security").map(|ways| (ways, format!("{place}/security")));
    let ways = own.or_else(|| document.root.get("security").map(|ways| (ways, "/security".to_owned())));
    let Some((Value::Array(ways), place)) = ways else { return Ok(Vec::new()) };
    let open = ways.iter().position(is_open).map(|at| format!("{place}/{at}"));
    let mut reasons = Vec::new();
    for (at, way) in ways.iter().enumerate().filter(|(_, way)| !is_open(way)) {
        let mut notes = Vec::new();
        match grants(document, way, (namespace, host), &mut notes) {
            Ok(grants) => {
                notes.into_iter().for_each(&mut *tell);
                if let Some(open) = &open {
                    tell(warning(open, "works without a secret as well: to do so, take secrets out of the manifest"));
                }
                return Ok(grants);
            }
            Err(why) => reasons.push(warning(&format!("{place}/{at}"), format!("{}: {}", why.place, why.what))),
        }
    }
    let Some(why) = reasons.into_iter().next() else { return Ok(Vec::new()) };
    if open.is_none() {
        return Err(why);
    }
    tell(Warning { what: format!("{}: called without a secret, as it allows", why.what), ..why });
    Ok(Vec::new())
}

/// Whether a way in asks for nothing.
fn is_open(way: &Value) -> bool {
    way.as_object().is_none_or(Map::is_empty)
}

/// The secrets of one way in, all of which it needs.
fn grants(
    document: Document<'_>,
    way: &Value,
    audience: (&str, &str),
    notes: &mut Vec<Warning>,
) -> Result<Vec<SecretGrant>, Warning> {
    let names = way.as_object().into_iter().flatten().map(|(name, _)| name);
    names.map(|name| scheme(document, name, audience, notes)).collect()
}

/// One scheme as a secret.
fn scheme(
    document: Document<'_>,
    name: &str,
    (namespace, host): (&str, &str),
    notes: &mut Vec<Warning>,
) -> Result<SecretGrant, Warning> {
    let place = format!("/components/securitySchemes/{}", segment(name));
    let scheme = document.root.pointer(&place).ok_or_else(|| warning(&place, "there is no such scheme"))?;
    let (scheme, place) = document.resolve(scheme, &place)?;
    let text = |key: &str| scheme.get(key).and_then(Value::as_str).unwrap_or_default();
    let handle: String = format!("{namespace}-{}", slug(name)).chars().take(64).collect();
    let authorization = || Inject::Header("authorization".to_owned());
    let inject = match (text("type"), text("in")) {
        ("apiKey", "header") => Inject::Header(text("name").to_owned()),
        ("apiKey", "query") => Inject::Query(text("name").to_owned()),
        ("apiKey", "cookie") => return Err(warning(&place, "a key in a cookie cannot be expressed")),
        ("http", _) => {
            let scheme = text("scheme");
            notes.push(warning(&place, format!("the value of {handle} must begin with its scheme, {scheme:?}")));
            authorization()
        }
        ("oauth2" | "openIdConnect", _) => {
            notes.push(warning(
                &place,
                format!("tokens are neither fetched nor renewed: give {handle} one, with Bearer before it"),
            ));
            authorization()
        }
        (kind, _) => return Err(warning(&place, format!("the type {kind:?} cannot be expressed"))),
    };
    Ok(SecretGrant { handle: handle.replace('.', "-"), audience: host.to_owned(), inject })
}
