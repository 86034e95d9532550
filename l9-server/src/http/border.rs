//! The border that every request and answer crosses: correlation, guard, authentication,
//! rate, span, panics, problem documents, security headers, metrics. Knows nothing of single
//! routes: whether a caller may ask is said by each route.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::header::{
    ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName,
    HeaderValue, RETRY_AFTER,
};
use http::{HeaderMap, Method, Request, StatusCode};
use tower::ServiceExt;
use tracing::Instrument;

use super::access::Asked;
use super::app::App;
use super::erasure;
use super::guard;
use super::problem::Problem;
use super::requests::Sender;
use super::routes::Route;
use crate::auth::{Caller, Refusal};
use crate::metrics;

const CORRELATION: HeaderName = HeaderName::from_static("x-correlation-id");

/// What a page of the server may do: nothing but show itself.
const PAGE_POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What is asked for by machines that look after this one, as often as they like.
const WATCHED: [&str; 4] = ["/livez", "/readyz", "/health", "/metrics"];

/// A request's correlation id, for handlers that outlive the request.
#[derive(Debug, Clone)]
pub(crate) struct Correlation(pub(crate) String);

/// Takes requests to the router and answers back.
#[derive(Clone)]
pub(super) struct Border {
    app: App,
    router: Router,
}

impl Border {
    pub(super) fn new(app: App, router: Router) -> Self {
        Self { app, router }
    }

    pub(super) fn app(&self) -> &App {
        &self.app
    }

    /// Takes one request from an address through; always answers.
    pub(super) async fn pass(&self, request: Request<Body>, from: IpAddr) -> Response {
        let id = correlation(request.headers()).unwrap_or_else(|| self.app.fresh_name("correlation"));
        let (method, path) = (request.method().clone(), erasure::logged(request.uri().path()));
        let span = tracing::info_span!("request", correlation_id = %id, %method, path);
        async {
            let started = self.app.clock().monotonic();
            let origin = guard::listed(request.headers(), self.app.admission());
            let mut response = self.guarded(request, &id, from).await;
            if let Some(problem) = response.extensions_mut().remove::<Problem>() {
                response = written(response, &problem.with_correlation(&id));
            }
            dress(&mut response, &id);
            if let Some(origin) = origin {
                guard::allow_reading(response.headers_mut(), origin);
            }
            let took = self.app.clock().monotonic().saturating_sub(started);
            report(&method, &response, took);
            response
        }
        .instrument(span)
        .await
    }

    async fn guarded(&self, request: Request<Body>, id: &str, from: IpAddr) -> Response {
        let (mut parts, body) = request.into_parts();
        if let Err(problem) = guard::check(&parts, self.app.address().port(), self.app.admission()) {
            return problem.into_response();
        }
        if guard::is_preflight(&parts) && guard::listed(&parts.headers, self.app.admission()).is_some() {
            let mut response = StatusCode::NO_CONTENT.into_response();
            guard::allow_sending(response.headers_mut());
            return response;
        }
        let asked = self.asked(&parts.headers).await;
        if let Some(requests) = &self.app.admission().requests {
            let sender = Sender::of(&asked, self.app.admission().authenticator.is_some(), from);
            let counts = !WATCHED.contains(&parts.uri.path());
            if counts && let Err(too_many) = requests.take(&sender, self.app.clock().monotonic()) {
                return too_many.into_response();
            }
            // The messages of a socket count as well.
            parts.extensions.insert(sender);
        }
        // Nothing behind the border needs it, so nothing behind can tell it.
        parts.headers.remove(AUTHORIZATION);
        parts.extensions.insert(asked);
        parts.extensions.insert(Correlation(id.to_owned()));
        let answer = AssertUnwindSafe(self.router.clone().oneshot(Request::from_parts(parts, body))).catch_unwind();
        match answer.await {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(_) => {
                tracing::error!("a handler panicked");
                let detail = "the server met a defect of its own: report it with the correlation id";
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "a defect of the server", detail)
                    .into_response()
            }
        }
    }

    async fn asked(&self, headers: &HeaderMap) -> Asked {
        let here = self.app.address().ip().is_loopback() && !is_passed_on(headers);
        let Some(authenticator) = &self.app.admission().authenticator else {
            return Asked { caller: Ok(Some(Caller::local(self.app.runtime().principal()))), here };
        };
        let caller = authenticator.authenticate(headers).await;
        match &caller {
            Ok(Some(caller)) => {
                let principal = &caller.principal;
                tracing::debug!(tenant = %principal.tenant, subject = principal.subject, "a caller is known");
            }
            Ok(None) => {}
            Err(Refusal::Invalid(why)) => {
                metrics::refused(why);
                tracing::info!(why, "credentials were refused");
            }
            Err(Refusal::Unavailable) => metrics::refused("no keys"),
        }
        Asked { caller, here }
    }
}

/// Whether a request says that a proxy passed it on.
fn is_passed_on(headers: &HeaderMap) -> bool {
    ["forwarded", "x-forwarded-for", "x-real-ip", "via"].iter().any(|name| headers.contains_key(*name))
}

/// The client's own id if it is a plain word, or the trace id of a W3C `traceparent`.
fn correlation(headers: &HeaderMap) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
    let own = headers.get(CORRELATION).and_then(|value| value.to_str().ok());
    if let Some(own) = own.filter(|own| (1..=128).contains(&own.len()) && own.bytes().all(plain)) {
        return Some(own.to_owned());
    }
    let parent = headers.get("traceparent")?.to_str().ok()?;
    let trace = parent.split('-').nth(1)?;
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let valid = trace.len() == 32 && trace.bytes().all(hex) && trace.bytes().any(|byte| byte != b'0');
    valid.then(|| trace.to_owned())
}

fn written(response: Response, problem: &Problem) -> Response {
    let (mut parts, _) = response.into_parts();
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    parts.headers.remove(CONTENT_LENGTH);
    if parts.status == StatusCode::SERVICE_UNAVAILABLE || parts.status == StatusCode::TOO_MANY_REQUESTS {
        parts.headers.entry(RETRY_AFTER).or_insert(HeaderValue::from_static("1"));
    }
    let body = serde_json::to_vec(problem).unwrap_or_default();
    Response::from_parts(parts, Body::from(body))
}

fn dress(response: &mut Response, id: &str) {
    let html = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|media| media.to_str().is_ok_and(|media| media.starts_with("text/html")));
    let headers = response.headers_mut();
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if html {
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    }
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(CORRELATION, id);
    }
    if headers.get(ALLOW).is_some_and(HeaderValue::is_empty) {
        headers.remove(ALLOW);
    }
}

fn report(method: &Method, response: &Response, took: std::time::Duration) {
    let route = response.extensions().get::<Route>().map_or("unmatched", |route| route.0);
    let status = response.status();
    metrics::request(method, route, status, took);
    let duration_ms = took.as_secs_f64() * 1000.0;
    if WATCHED.contains(&route) {
        tracing::debug!(route, status = status.as_u16(), duration_ms, "request answered");
    } else {
        tracing::info!(route, status = status.as_u16(), duration_ms, "request answered");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_problem_like_any_other() {
        let runtime = l9::Runtime::builder().in_memory().build().await.unwrap();
        let settings = super::super::Settings::default();
        let app = App::new(
            runtime,
            settings,
            metrics::install(),
            super::super::Admission::default(),
            ([127, 0, 0, 1], 8000).into(),
            bytes::Bytes::new(),
        );
        async fn broken() -> StatusCode {
            panic!("as a defect would");
        }
        let border = Border::new(app, Router::new().route("/broken", axum::routing::get(broken)));
        let request = Request::get("/broken").header("host", "localhost:8000").header("x-correlation-id", "c1");
        let answer = border.pass(request.body(Body::empty()).unwrap(), [127, 0, 0, 1].into()).await;
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(answer.headers()[CONTENT_TYPE], "application/problem+json");
        let body = axum::body::to_bytes(answer.into_body(), 4096).await.unwrap();
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&problem["type"], &problem["correlation_id"]), (&"urn:l9:error:internal".into(), &"c1".into()));
        assert!(!problem.to_string().contains("as a defect would"));
    }

    #[test]
    fn correlation_ids_are_plain_words_or_trace_ids() {
        let of = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            correlation(&headers)
        };
        assert_eq!(of("x-correlation-id", "order-17.a:b").as_deref(), Some("order-17.a:b"));
        assert_eq!(of("x-correlation-id", "a b"), None);
        assert_eq!(of("x-correlation-id", &"x".repeat(129)), None);
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(of("traceparent", &format!("00-{trace}-00f067aa0ba902b7-01")).as_deref(), Some(trace));
        assert_eq!(of("traceparent", &format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32))), None);
    }
}
