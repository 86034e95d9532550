//! One operation as one tool: its request, its arguments, what it does.

use std::collections::BTreeMap;

use l9_core::pointer::segment;
use l9_core::tool::{ArgRole, ArgRule, EffectClass, HttpCall};
use serde_json::{Map, Value, json};

use super::document::{Document, Warning, warning};
use super::schema::{Inline, list};
use crate::headers::{KEY, is_credential, is_the_hosts};

/// The place that stands for the whole body.
const BODY: &str = "body";

/// What an operation takes, and how it is sent.
pub(super) struct Shape {
    pub(super) call: HttpCall,
    pub(super) input: Value,
    pub(super) args: BTreeMap<String, ArgRule>,
    pub(super) effect: EffectClass,
    pub(super) destructive: bool,
}

/// An operation, and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Operation<'a> {
    pub(super) document: Document<'a>,
    /// The path's own object, which may have parameters for all of its operations.
    pub(super) item: &'a Value,
    pub(super) value: &'a Value,
    pub(super) path: &'a str,
    /// In capitals.
    pub(super) method: &'a str,
}

impl<'a> Operation<'a> {
    /// Its place in the document.
    pub(super) fn place(&self) -> String {
        format!("/paths/{}/{}", segment(self.path), self.method.to_ascii_lowercase())
    }

    /// Its own name, or one made of method and path.
    pub(super) fn id(&self) -> String {
        let named = self.value.get("operationId").and_then(Value::as_str);
        named.map_or_else(|| format!("{} {}", self.method.to_ascii_lowercase(), self.path), str::to_owned)
    }

    /// What it takes and how it is sent to `base`; what is left out is told.
    ///
    /// # Errors
    /// The place of what it needs and cannot have.
    pub(super) fn shape(&self, base: &str, tell: &mut dyn FnMut(Warning)) -> Result<Shape, Warning> {
        let mut draft = Draft::default();
        for (parameter, place) in self.parameters()? {
            draft.parameter(self.document, parameter, &place, tell)?;
        }
        let body = self.body(&mut draft, tell)?;
        let url = draft.address(base, self.path, &self.place())?;
        let writes = !matches!(self.method, "GET" | "HEAD");
        let effect = match self.method {
            "GET" | "HEAD" => EffectClass::Read,
            // Idempotent by definition (RFC 9110, section 9.2.2).
            "PUT" | "DELETE" => EffectClass::KeyedWrite,
            _ if draft.keyed => EffectClass::KeyedWrite,
            _ => EffectClass::OpaqueWrite,
        };
        // Nobody says what its arguments are for.
        let args = writes.then(|| (String::new(), ArgRole::Target.into())).into_iter().collect();
        let input = json!({
            "type": "object", "properties": draft.properties, "required": draft.required, "additionalProperties": false,
        });
        let (method, probe) = (self.method.to_owned(), None);
        let call = HttpCall { method, url, headers: draft.headers, query: draft.query, body, probe };
        Ok(Shape { call, input, args, effect, destructive: self.method == "DELETE" })
    }

    /// Those of the path, then its own, which replace them.
    fn parameters(&self) -> Result<Vec<(&'a Value, String)>, Warning> {
        let path = format!("/paths/{}", segment(self.path));
        let mut all: Vec<(&'a Value, String)> = Vec::new();
        for (holder, place) in [(self.item, path), (self.value, self.place())] {
            let Some(list) = holder.get("parameters").and_then(Value::as_array) else { continue };
            for (at, parameter) in list.iter().enumerate() {
                let (parameter, place) = self.document.resolve(parameter, &format!("{place}/parameters/{at}"))?;
                let key = |value: &Value| (value.get("name").cloned(), value.get("in").cloned());
                all.retain(|(there, _)| key(there) != key(parameter));
                all.push((parameter, place));
            }
        }
        Ok(all)
    }

    /// What is sent where nothing can be: without it all arguments would be.
    fn empty_body(&self) -> Option<Value> {
        matches!(self.method, "POST" | "PUT" | "PATCH").then(|| json!({}))
    }

    fn body(&self, draft: &mut Draft, tell: &mut dyn FnMut(Warning)) -> Result<Option<Value>, Warning> {
        let place = format!("{}/requestBody", self.place());
        let Some(body) = self.value.get("requestBody") else {
            let body = self.empty_body();
            if body.is_some() {
                tell(warning(&self.place(), "has no body, and is sent with an empty object as one"));
            }
            return Ok(body);
        };
        let (body, place) = self.document.resolve(body, &place)?;
        let required = body.get("required").and_then(Value::as_bool).unwrap_or(false);
        let content = body.get("content").and_then(Value::as_object);
        let is_json = |media: &str| {
            let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            media == "application/json" || media.ends_with("+json")
        };
        let found = content.and_then(|content| content.iter().find(|(media, _)| is_json(media)));
        let writes = !matches!(self.method, "GET" | "HEAD");
        let Some((media, form)) = found.filter(|_| writes) else {
            let place = format!("{place}/content");
            if let Some(content) = content.filter(|_| writes) {
                self.may_be_empty(content, &place)?;
            }
            optional(required, warning(&place, "a body other than JSON cannot be sent"), tell)?;
            return Ok(self.empty_body());
        };
        let at = format!("{place}/content/{}/schema", segment(media));
        let schema = form.get("schema").map_or(Ok(json!({})), |schema| Inline::of(self.document, schema, &at))?;
        let name = draft.free(BODY);
        draft.property(&name, schema, body, required);
        if media != "application/json" {
            draft.headers.insert("content-type".to_owned(), media.clone());
        }
        Ok(Some(Value::String(format!("{{{name}}}"))))
    }

    /// Refuses content that cannot be sent and must have members, even of a body that is not
    /// called required: that is the default, and many documents leave it so.
    fn may_be_empty(&self, content: &'a Map<String, Value>, place: &str) -> Result<(), Warning> {
        for (media, form) in content {
            let Some(schema) = form.get("schema") else { continue };
            let at = format!("{place}/{}/schema", segment(media));
            if needs_members(&Inline::of(self.document, schema, &at)?) {
                let what = format!("a body other than JSON cannot be sent, and one of {media:?} must not be empty");
                return Err(warning(&at, what));
            }
        }
        Ok(())
    }
}

/// A tool that is being put together.
#[derive(Default)]
struct Draft {
    properties: Map<String, Value>,
    required: Vec<String>,
    headers: BTreeMap<String, String>,
    query: BTreeMap<String, String>,
    /// Parameters of the path with the arguments that fill them.
    path: BTreeMap<String, String>,
    keyed: bool,
}

impl Draft {
    fn parameter<'a>(
        &mut self,
        document: Document<'a>,
        parameter: &'a Value,
        place: &str,
        tell: &mut dyn FnMut(Warning),
    ) -> Result<(), Warning> {
        let text = |key: &str| parameter.get(key).and_then(Value::as_str).unwrap_or_default();
        let (name, within) = (text("name"), text("in"));
        let required = within == "path" || parameter.get("required").and_then(Value::as_bool).unwrap_or(false);
        if let Some(why) = unsendable(name, within, parameter) {
            return optional(required, warning(place, why), tell);
        }
        if within == "header" && name.eq_ignore_ascii_case(KEY) {
            self.keyed = true;
            return Ok(());
        }
        if within == "header" && ["accept", "content-type"].contains(&name.to_ascii_lowercase().as_str()) {
            tell(warning(place, format!("the header {name} follows from the content, and is left out")));
            return Ok(());
        }
        let schema = parameter.get("schema").unwrap_or(&Value::Null);
        let schema = match Inline::of(document, schema, &format!("{place}/schema")) {
            Ok(schema) => schema,
            Err(why) => return optional(required, why, tell),
        };
        if !is_simple(&schema) {
            let what = format!("the parameter {name} may be a list or an object, which cannot be sent in the {within}");
            return optional(required, warning(place, what), tell);
        }
        let argument = self.free(&word(name));
        if argument != name {
            tell(warning(place, format!("the argument for {name} in the {within} is called {argument}")));
        }
        self.property(&argument, schema, parameter, required);
        let fill = format!("{{{argument}}}");
        match within {
            "path" => drop(self.path.insert(name.to_owned(), fill)),
            "query" => drop(self.query.insert(name.to_owned(), fill)),
            _ => drop(self.headers.insert(name.to_owned(), fill)),
        }
        Ok(())
    }

    fn property(&mut self, name: &str, mut schema: Value, described: &Value, required: bool) {
        let words = described.get("description").and_then(Value::as_str);
        if let (Some(words), Some(members)) = (words, schema.as_object_mut()) {
            members.entry("description").or_insert_with(|| Value::from(words));
        }
        self.properties.insert(name.to_owned(), schema);
        if required {
            self.required.push(name.to_owned());
        }
    }

    /// The name, or one like it that no argument has.
    fn free(&self, name: &str) -> String {
        let further = (2..).map(|number| format!("{name}_{number}"));
        let mut names = std::iter::once(name.to_owned()).chain(further);
        names.find(|name| !self.properties.contains_key(name)).unwrap_or_default()
    }

    /// The address with the places of its path named after the arguments.
    fn address(&self, base: &str, path: &str, place: &str) -> Result<String, Warning> {
        let (mut url, mut rest) = (base.to_owned(), path);
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else { break };
            let fill = self.path.get(name).ok_or_else(|| warning(place, format!("no parameter fills {{{name}}}")))?;
            url.push_str(before);
            url.push_str(fill);
            rest = after;
        }
        Ok(url + rest)
    }
}

/// Why a parameter cannot be sent, whatever its schema; the host writes the key itself.
fn unsendable(name: &str, within: &str, parameter: &Value) -> Option<String> {
    let header = within == "header";
    if header && !name.eq_ignore_ascii_case(KEY) && (is_the_hosts(name) || is_credential(name)) {
        return Some(format!("the header {name} is the host's to write"));
    }
    if !["path", "query", "header"].contains(&within) {
        return Some(format!("a parameter in {within:?} cannot be sent"));
    }
    let style = if within == "query" { "form" } else { "simple" };
    if let Some(other) = parameter.get("style").filter(|given| *given != style) {
        return Some(format!(
            "the parameter {name} has the style {other}, and only {style} can be sent in the {within}"
        ));
    }
    parameter.get("schema").is_none().then(|| "a parameter with content of its own cannot be sent".to_owned())
}

/// Tells what is left out, or refuses if it is needed.
fn optional(required: bool, why: Warning, tell: &mut dyn FnMut(Warning)) -> Result<(), Warning> {
    if required {
        return Err(why);
    }
    tell(why);
    Ok(())
}

/// Whether every value of a schema can stand in an address or a header. Of `allOf` one branch
/// is enough to say so: what stands beside a reference becomes one that says nothing of it.
fn is_simple(schema: &Value) -> bool {
    let simple = |kind: &Value| kind.as_str().is_some_and(|kind| !matches!(kind, "array" | "object"));
    let all = |key: &str| !list(schema, key).is_empty() && list(schema, key).iter().all(is_simple);
    match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().all(simple),
        Some(kind) => simple(kind),
        None => {
            let data = schema
                .get("const")
                .into_iter()
                .chain(schema.get("enum").and_then(Value::as_array).into_iter().flatten());
            let mut data = data.peekable();
            let fixed = data.peek().is_some() && data.all(|value| !value.is_array() && !value.is_object());
            fixed || list(schema, "allOf").iter().any(is_simple) || all("anyOf") || all("oneOf")
        }
    }
}

/// Whether an object without members is too little for a schema.
fn needs_members(schema: &Value) -> bool {
    let all = |key: &str| !list(schema, key).is_empty() && list(schema, key).iter().all(needs_members);
    !list(schema, "required").is_empty()
        || schema.get("minProperties").and_then(Value::as_u64).is_some_and(|least| least > 0)
        || list(schema, "allOf").iter().any(needs_members)
        || all("anyOf")
        || all("oneOf")
}

/// A name that a place of a template may have.
fn word(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' };
    name.chars().map(plain).collect()
}

/// A word of a tool's id: lowercase, with `-` for everything else and between words.
pub(super) fn slug(text: &str) -> String {
    let mut slug = String::new();
    let mut lower = false;
    for character in text.chars() {
        if character.is_ascii_alphanumeric() {
            if character.is_ascii_uppercase() && lower {
                slug.push('-');
            }
            slug.push(character.to_ascii_lowercase());
            lower = character.is_ascii_lowercase() || character.is_ascii_digit();
        } else {
            if !slug.is_empty() && !slug.ends_with(['-', '_']) {
                slug.push(if character == '_' { '_' } else { '-' });
            }
            lower = false;
        }
    }
    slug.chars().take(64).collect::<String>().trim_matches(['-', '_']).to_owned()
}
