//! Every route, declared once: the router and the OpenAPI document are made of the
//! same list, so neither can name what the other does not.

use axum::extract::Request;
use axum::handler::Handler;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use axum::{Router, middleware};
use bytes::Bytes;
use http::{Method, StatusCode, Uri};
use l9::Result;

use super::app::App;
use super::media::{Media, negotiate};
use super::openapi::{self, Operation};
use super::problem::Problem;
use super::{agents, audit, events, evidence, health, home, lifecycle, memory, runs, tools};
use crate::websocket;

/// The documented path that answered, for metrics and logs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route(pub(super) &'static str);

/// The router and the document that describes it.
///
/// # Errors
/// `Internal` when the document cannot be written.
pub(super) fn build() -> Result<(Router<App>, Bytes)> {
    let routes = [
        health::routes as fn(Routes) -> Routes,
        home::routes,
        agents::routes,
        runs::routes,
        lifecycle::routes,
        events::routes,
        memory::routes,
        audit::routes,
        evidence::routes,
        tools::routes,
        websocket::routes,
    ];
    let routes = routes.into_iter().fold(Routes::default(), |routes, add| add(routes));
    let document = openapi::document(&routes.operations)?;
    let router = routes.router.fallback(unknown).method_not_allowed_fallback(wrong_method);
    Ok((router, document))
}

/// Routes under construction.
#[derive(Default)]
pub(crate) struct Routes {
    router: Router<App>,
    operations: Vec<Operation>,
}

impl Routes {
    /// Adds an operation and what carries it out.
    pub(crate) fn add<H, T>(mut self, operation: Operation, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        let (path, offers) = (operation.path(), operation.produces());
        let filter = filter(operation.method());
        let gate = middleware::from_fn(move |request: Request, next: Next| gate(path, offers, request, next));
        self.router = self.router.route(operation.pattern(), on(filter, handler).route_layer(gate));
        self.operations.push(operation);
        self
    }
}

fn filter(method: &Method) -> MethodFilter {
    match *method {
        Method::POST => MethodFilter::POST,
        Method::PUT => MethodFilter::PUT,
        Method::PATCH => MethodFilter::PATCH,
        Method::DELETE => MethodFilter::DELETE,
        _ => MethodFilter::GET,
    }
}

async fn gate(path: &'static str, offers: &'static [Media], request: Request, next: Next) -> Response {
    let acceptable = if offers.is_empty() { Ok(()) } else { negotiate(request.headers(), offers).map(drop) };
    let mut response = match acceptable {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    response.extensions_mut().insert(Route(path));
    response
}

async fn unknown(uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(200).collect();
    Problem::not_found(format!("there is nothing at {path:?}: /openapi.json lists what there is"))
}

async fn wrong_method(method: Method, uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(200).collect();
    let detail = format!("{path:?} does not take {method}: the Allow header lists what it takes");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "another method is needed", detail)
}
