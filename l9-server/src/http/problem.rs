//! Problem documents, RFC 9457: the one form of every error that leaves the server.
//!
//! A handler returns a [`Problem`]; the border writes it, because only the border
//! knows the request's correlation id.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use l9::id::RunId;
use l9::{Error, ErrorKind};
use schemars::JsonSchema;
use serde::Serialize;

/// Why a request was not carried out. Small, since most results carry it in vain.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub(crate) struct Problem(Box<Document>);

/// The document that is sent.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(super) struct Document {
    /// A stable URN: `urn:l9:error:` and the kind.
    #[serde(rename = "type")]
    kind: String,
    /// The kind in words; the same for every problem of a type.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What was wrong this time, and how to mend it.
    detail: String,
    /// Finds the request in the logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<String>,
    /// The run that was accepted before things went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<RunId>,
    /// The stable code of a refusal or failure within a run.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
}

impl Problem {
    /// A problem of a kind that only the border of HTTP knows.
    pub(crate) fn new(status: StatusCode, kind: &str, title: &'static str, detail: impl Into<String>) -> Self {
        Self(Box::new(Document {
            kind: format!("urn:l9:error:{kind}"),
            title,
            status: status.as_u16(),
            detail: detail.into(),
            correlation_id: None,
            run_id: None,
            code: None,
        }))
    }

    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Error::invalid(detail).into()
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Error::not_found(detail).into()
    }

    /// Names the run that was accepted before things went wrong.
    pub(crate) fn with_run(mut self, run: RunId) -> Self {
        self.0.run_id = Some(run);
        self
    }

    /// Adds the code of a refusal or failure within a run.
    pub(crate) fn with_code(mut self, code: impl Into<String>) -> Self {
        self.0.code = Some(code.into());
        self
    }

    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.0.status = status.as_u16();
        self
    }

    pub(super) fn with_correlation(mut self, id: &str) -> Self {
        self.0.correlation_id = Some(id.to_owned());
        self
    }

    /// The stable URN.
    pub(crate) fn kind(&self) -> &str {
        &self.0.kind
    }

    /// The kind in words.
    pub(crate) fn title(&self) -> &'static str {
        self.0.title
    }

    /// What was wrong this time.
    pub(crate) fn detail(&self) -> &str {
        &self.0.detail
    }

    pub(super) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let (status, title) = match error.kind() {
            ErrorKind::Invalid => (StatusCode::BAD_REQUEST, "the request is not valid"),
            ErrorKind::NotFound => (StatusCode::NOT_FOUND, "there is no such thing"),
            ErrorKind::Conflict => (StatusCode::CONFLICT, "it conflicts with what is there"),
            ErrorKind::Cancelled => (StatusCode::CONFLICT, "the work was cancelled"),
            ErrorKind::Expired => (StatusCode::GONE, "it was kept only for a time"),
            ErrorKind::Denied => (StatusCode::FORBIDDEN, "this is not allowed"),
            ErrorKind::Exhausted => (StatusCode::TOO_MANY_REQUESTS, "a bound was reached"),
            ErrorKind::Fenced => (StatusCode::SERVICE_UNAVAILABLE, "another node has the run"),
            ErrorKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "a component does not answer"),
            ErrorKind::Corrupt => (StatusCode::INTERNAL_SERVER_ERROR, "stored data does not verify"),
            ErrorKind::Newer => (StatusCode::INTERNAL_SERVER_ERROR, "stored by a newer version"),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "a defect of the server"),
        };
        let detail = if status.is_server_error() {
            // Causes name files and hosts: they belong to the log, under the same id.
            tracing::error!(%error, "a request met a fault of the server");
            error.message().to_owned()
        } else {
            error.to_string()
        };
        Self::new(status, error.kind().as_str(), title, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}
