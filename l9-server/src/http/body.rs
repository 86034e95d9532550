//! Reading what clients send: measured before it is understood, typed before it is used.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use l9::json::{self, Bounds};
use l9::label::Label;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::app::App;
use super::problem::Problem;

/// The most bytes of an `Idempotency-Key`.
const KEY_BYTES: usize = 255;

/// A JSON body of a known form; unknown fields are the form's to refuse.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<App> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let value = read(request, app, app.settings().body_bytes).await?;
        typed(value).map(Self)
    }
}

/// A JSON body of a known form that has a `plan`; or the plan itself, as YAML.
pub(super) struct Planned<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<App> for Planned<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let bytes = app.settings().body_bytes;
        if !is_yaml(request.headers()) {
            // A plan's text alone is one as well.
            let body = read(request, app, bytes).await?;
            let body = if body.is_string() { json!({"plan": body}) } else { body };
            return typed(body).map(Self);
        }
        let text = collect(&mut request.into_body(), app, bytes).await?;
        let text = String::from_utf8(text.into()).map_err(|_| Problem::invalid("the body is not UTF-8 text"))?;
        typed(json!({"plan": text})).map(Self)
    }
}

/// A label as a client may give it: only L9 makes the keyed names of data subjects.
///
/// # Errors
/// 400 if it names some.
pub(super) fn given(label: Label) -> Result<Label, Problem> {
    if label.subjects.is_empty() {
        return Ok(label);
    }
    Err(Problem::invalid(
        "labels.subjects are keyed names, which only L9 makes: name whom an entry is about in its `subject`",
    ))
}

/// The variable part of a path, decoded.
pub(super) struct Segment(pub(super) String);

impl FromRequestParts<App> for Segment {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let segment = Path::<String>::from_request_parts(parts, app).await;
        segment.map(|Path(text)| Self(text)).map_err(|rejection| Problem::invalid(rejection.body_text()))
    }
}

/// A query string of a known form.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        let params = Query::<T>::try_from_uri(&parts.uri);
        params.map(|Query(params)| Self(params)).map_err(|rejection| Problem::invalid(rejection.body_text()))
    }
}

/// How much of a refused body is still read, and for how long.
const LINGER_BYTES: usize = 8 << 20;
const LINGER: Duration = Duration::from_secs(2);

/// Reads a JSON body within bounds.
///
/// # Errors
/// 415 for another media type, 413 for too many bytes, 408 for too slow a client,
/// 400 for what is no JSON within bounds.
pub(super) async fn read(request: Request, app: &App, bytes: usize) -> Result<Value, Problem> {
    let (parts, mut body) = request.into_parts();
    if !is_json(&parts.headers) {
        linger(&mut body, app).await;
        let detail = "send the body with content-type: application/json";
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "the body is not JSON",
            detail,
        ));
    }
    let declared = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|declared| declared > bytes as u64) {
        linger(&mut body, app).await;
        return Err(too_large(bytes));
    }
    let text = collect(&mut body, app, bytes).await?;
    Ok(json::parse(&text, &Bounds { bytes, ..Bounds::default() })?)
}

/// Gives a value its form.
///
/// # Errors
/// 400, naming the field that does not fit, or for what is no object.
pub(super) fn typed<T: DeserializeOwned>(value: Value) -> Result<T, Problem> {
    // A list of a form's values in their order would fit as well.
    if !value.is_object() {
        return Err(Problem::invalid("the body does not fit: it is no JSON object, so send the fields by their names"));
    }
    serde_json::from_value(value).map_err(|error| Problem::invalid(format!("the body does not fit: {error}")))
}

/// The `limit` of a page: `usual` if absent, at most `most`.
///
/// # Errors
/// 400 for none, or for more.
pub(super) fn size(limit: Option<usize>, usual: usize, most: usize) -> Result<usize, Problem> {
    match limit.unwrap_or(usual) {
        limit if (1..=most).contains(&limit) => Ok(limit),
        limit => Err(Problem::invalid(format!("limit is {limit}: use 1 to {most}"))),
    }
}

/// The client's own key of a request that must be carried out once.
///
/// # Errors
/// 400 for a key that is not 1 to 255 printable ASCII characters.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    let valid = |key: &&str| (1..=KEY_BYTES).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    let key = key.to_str().ok().filter(valid);
    let key = key.ok_or_else(|| Problem::invalid("an Idempotency-Key is 1 to 255 printable ASCII characters"))?;
    Ok(Some(key.to_owned()))
}

async fn collect(body: &mut Body, app: &App, bytes: usize) -> Result<Bytes, Problem> {
    let limited = Limited::new(&mut *body, bytes).collect();
    let collected = app.within(app.settings().body_timeout(), limited).await;
    match collected {
        Some(Ok(collected)) => Ok(collected.to_bytes()),
        Some(Err(error)) if error.is::<LengthLimitError>() => {
            linger(body, app).await;
            Err(too_large(bytes))
        }
        Some(Err(error)) => Err(Problem::invalid(format!("the body broke off: {error}"))),
        None => {
            let detail = format!("the body took longer than {} s", app.settings().body_timeout);
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the request came too slowly", detail))
        }
    }
}

/// Reads on for a moment, so that a client that is still sending hears the refusal: closed
/// with unread bytes, the connection would be reset and the answer lost.
async fn linger(body: &mut Body, app: &App) {
    let rest = async {
        let mut left = LINGER_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                break;
            }
        }
    };
    // What came and how it ended no longer matters.
    app.within(LINGER, rest).await;
}

fn is_json(headers: &HeaderMap) -> bool {
    let essence = essence(headers);
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn is_yaml(headers: &HeaderMap) -> bool {
    ["application/yaml", "application/x-yaml", "text/yaml"].contains(&essence(headers).as_str())
}

/// The media type of a body without its parameters; empty if it has none.
fn essence(headers: &HeaderMap) -> String {
    let said = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    said.split(';').next().unwrap_or(said).trim().to_ascii_lowercase()
}

fn too_large(bytes: usize) -> Problem {
    let detail = format!("the body is larger than {bytes} bytes: send less at a time");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the body is too large", detail)
}
