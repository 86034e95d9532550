//! The OpenAPI 3.1 document, assembled from the declared operations and the JSON
//! Schemas of the very types that are read and written.

use bytes::Bytes;
use http::Method;
use l9::{Error, Result};
use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::access::Access;
use super::media::Media;
use super::problem::Document;

type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// One method of one path, as it is served and described.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    method: Method,
    path: &'static str,
    access: Access,
    pattern: &'static str,
    summary: &'static str,
    produces: &'static [Media],
    query: Option<SchemaOf>,
    headers: &'static [(&'static str, &'static str)],
    body: Option<SchemaOf>,
    answers: Vec<(u16, &'static str, Option<SchemaOf>)>,
}

impl Operation {
    fn new(method: Method, path: &'static str, access: Access, summary: &'static str) -> Self {
        let (produces, answers) = (&[Media::Json] as &[Media], Vec::new());
        Self { method, path, access, pattern: path, summary, produces, query: None, headers: &[], body: None, answers }
    }

    pub(crate) fn get(path: &'static str, access: Access, summary: &'static str) -> Self {
        Self::new(Method::GET, path, access, summary)
    }

    pub(crate) fn post(path: &'static str, access: Access, summary: &'static str) -> Self {
        Self::new(Method::POST, path, access, summary)
    }

    pub(crate) fn patch(path: &'static str, access: Access, summary: &'static str) -> Self {
        Self::new(Method::PATCH, path, access, summary)
    }

    pub(crate) fn delete(path: &'static str, access: Access, summary: &'static str) -> Self {
        Self::new(Method::DELETE, path, access, summary)
    }

    /// The router's pattern where it is wider than the documented path.
    pub(crate) fn served_by(mut self, pattern: &'static str) -> Self {
        self.pattern = pattern;
        self
    }

    /// The media types it answers with; JSON if not said.
    pub(crate) fn producing(mut self, produces: &'static [Media]) -> Self {
        self.produces = produces;
        self
    }

    /// The form of its query string.
    pub(crate) fn query<T: JsonSchema>(mut self) -> Self {
        self.query = Some(SchemaGenerator::subschema_for::<T>);
        self
    }

    /// A request header it honours.
    pub(crate) fn headers(mut self, headers: &'static [(&'static str, &'static str)]) -> Self {
        self.headers = headers;
        self
    }

    /// The form of its body.
    pub(crate) fn body<T: JsonSchema>(mut self) -> Self {
        self.body = Some(SchemaGenerator::subschema_for::<T>);
        self
    }

    /// An answer with a body.
    pub(crate) fn answers<T: JsonSchema>(mut self, status: u16, what: &'static str) -> Self {
        self.answers.push((status, what, Some(SchemaGenerator::subschema_for::<T>)));
        self
    }

    /// An answer whose body has no schema, or that has none.
    pub(crate) fn answers_plainly(mut self, status: u16, what: &'static str) -> Self {
        self.answers.push((status, what, None));
        self
    }

    pub(super) fn method(&self) -> &Method {
        &self.method
    }

    pub(super) fn path(&self) -> &'static str {
        self.path
    }

    pub(super) fn access(&self) -> Access {
        self.access
    }

    pub(super) fn pattern(&self) -> &'static str {
        self.pattern
    }

    pub(super) fn produces(&self) -> &'static [Media] {
        self.produces
    }

    fn describe(&self, schemas: &mut SchemaGenerator) -> Value {
        let mut parameters = path_parameters(self.path);
        parameters.extend(self.headers.iter().map(|(name, what)| {
            json!({"name": name, "in": "header", "required": false, "description": what, "schema": {"type": "string"}})
        }));
        if let Some(query) = self.query {
            parameters.extend(query_parameters(query, schemas));
        }
        let mut responses = Map::new();
        for (status, what, schema) in &self.answers {
            let schema = schema.map(|schema| schema(schemas));
            let entry = responses.entry(status.to_string()).or_insert_with(|| json!({"description": what}));
            let content = self.content(schema.as_ref(), *status);
            if !content.is_empty() {
                entry["content"] = Value::Object(content);
            }
        }
        responses.insert("default".into(), json!({"$ref": "#/components/responses/Problem"}));
        if self.access != Access::Open {
            responses.insert("401".into(), json!({"$ref": "#/components/responses/Unauthenticated"}));
            responses.insert("403".into(), json!({"$ref": "#/components/responses/Problem"}));
        }
        let mut described = json!({
            "operationId": self.id(), "summary": self.summary, "parameters": parameters, "responses": responses,
            "security": self.security(),
        });
        if let Some(body) = self.body {
            let schema = body(schemas);
            described["requestBody"] = json!({"required": true, "content": {"application/json": {"schema": schema}}});
        }
        described
    }

    /// The role stands in the list, as OpenAPI 3.1 has it for schemes without scopes.
    fn security(&self) -> Value {
        match self.access {
            Access::Open => json!([]),
            Access::OpenHere(role) => json!([{}, {"bearer": [role]}]),
            Access::Needs(role) => json!([{"bearer": [role]}]),
        }
    }

    fn content(&self, schema: Option<&Schema>, status: u16) -> Map<String, Value> {
        let bodiless = matches!(status, 101 | 204);
        let media = self.produces.iter().filter(|_| !bodiless);
        media
            .map(|media| {
                let schema = match (media, schema) {
                    (Media::Json, Some(schema)) => json!(schema),
                    (Media::Json, None) => json!({}),
                    _ => json!({"type": "string"}),
                };
                (media.essence().to_owned(), json!({"schema": schema}))
            })
            .collect()
    }

    /// `POST /runs/{id}/cancel` becomes `post_runs_id_cancel`.
    fn id(&self) -> String {
        let words = self.path.split(['/', '{', '}', '.']).filter(|word| !word.is_empty());
        std::iter::once(self.method.as_str()).chain(words).collect::<Vec<_>>().join("_").to_ascii_lowercase()
    }
}

/// The document of the operations.
///
/// # Errors
/// `Internal` when a schema cannot be written.
pub(super) fn document(operations: &[Operation]) -> Result<Bytes> {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut schemas = settings.into_generator();
    let problem = schemas.subschema_for::<Document>();
    let mut paths = Map::new();
    for operation in operations {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method.as_str().to_ascii_lowercase()] = operation.describe(&mut schemas);
    }
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "L9",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "A governed runtime for AI agents.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas.take_definitions(true),
            "responses": {
                "Problem": {
                    "description": "Anything that went wrong, as a problem document (RFC 9457).",
                    "content": {"application/problem+json": {"schema": problem}},
                },
                "Unauthenticated": {
                    "description": "No valid token came with the request.",
                    "headers": {"WWW-Authenticate": {"schema": {"type": "string"}}},
                    "content": {"application/problem+json": {"schema": problem}},
                },
            },
            "securitySchemes": {"bearer": {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT",
                "description": "Needed where authentication is on; an operation lists the role that it needs.",
            }},
        },
    });
    let text = serde_json::to_vec(&document).map_err(|error| Error::internal(error.to_string()))?;
    Ok(text.into())
}

fn path_parameters(path: &str) -> Vec<Value> {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    names.map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}})).collect()
}

/// One parameter for each property of the query's schema.
fn query_parameters(query: SchemaOf, schemas: &mut SchemaGenerator) -> Vec<Value> {
    let schema = query(schemas);
    let name = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next()).map(str::to_owned);
    let form = match name.and_then(|name| schemas.definitions_mut().remove(&name)) {
        Some(form) => form,
        None => schema.to_value(),
    };
    let required: Vec<&str> = form["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = form["properties"].as_object().into_iter().flatten();
    properties
        .map(|(name, schema)| {
            let mut parameter =
                json!({"name": name, "in": "query", "required": required.contains(&name.as_str()), "schema": schema});
            if let Some(what) = schema.get("description") {
                parameter["description"] = what.clone();
            }
            parameter
        })
        .collect()
}
