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

use super::access::{Access, Asked};
use super::app::App;
use super::media::{Media, negotiate};
use super::openapi::{self, Operation};
use super::problem::Problem;
use super::{
    agents, approvals, audit, curation, erasure, events, evidence, forecast, graph, health, home, lifecycle, memory,
    nodes, plans, queue, runs, schedules, stop, tools, usage,
};
use crate::websocket;

/// The documented path that answered, for metrics and logs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route(pub(super) &'static str);

/// The router and the document that describes it; without `api` of the health and the metrics
/// only.
///
/// # Errors
/// `Internal` when the document cannot be written.
pub(super) fn build(api: bool) -> Result<(Router<App>, Bytes)> {
    let routes = health::routes(Routes::default());
    let routes = if api { all(routes) } else { routes };
    let document = openapi::document(&routes.operations)?;
    let router = match api {
        true => routes.router.fallback(unknown),
        false => routes.router.fallback(elsewhere),
    };
    Ok((router.method_not_allowed_fallback(wrong_method), document))
}

/// What the role `api` serves.
fn all(routes: Routes) -> Routes {
    let api = [
        home::routes as fn(Routes) -> Routes,
        agents::routes,
        runs::routes,
        lifecycle::routes,
        plans::routes,
        forecast::routes,
        approvals::routes,
        queue::routes,
        stop::routes,
        schedules::routes,
        events::routes,
        memory::routes,
        usage::routes,
        graph::routes,
        curation::routes,
        erasure::routes,
        audit::routes,
        evidence::routes,
        tools::routes,
        nodes::routes,
        websocket::routes,
    ];
    api.into_iter().fold(routes, |routes, add| add(routes))
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
        let (path, access, offers) = (operation.path(), operation.access(), operation.produces());
        let filter = filter(operation.method());
        let gate = middleware::from_fn(move |request: Request, next: Next| async move {
            let mut response = gate(access, offers, request, next).await;
            response.extensions_mut().insert(Route(path));
            response
        });
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

/// Lets in who may ask, then asks for a form there is. Without the border before it, it
/// lets nobody in.
async fn gate(access: Access, offers: &'static [Media], mut request: Request, next: Next) -> Response {
    let Some(asked) = request.extensions_mut().remove::<Asked>() else {
        return Problem::from(l9::Error::internal("a request came past the border")).into_response();
    };
    match access.admit(&asked) {
        Ok(Some(caller)) => drop(request.extensions_mut().insert(caller)),
        Ok(None) => {}
        Err(turned) => return turned.into_response(),
    }
    let acceptable = if offers.is_empty() { Ok(()) } else { negotiate(request.headers(), offers).map(drop) };
    match acceptable {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

async fn unknown(uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(200).collect();
    Problem::not_found(format!("there is nothing at {path:?}: /openapi.json lists what there is"))
}

async fn elsewhere(uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(200).collect();
    Problem::not_found(format!(
        "{path:?} is not served here: this node has no role `api`, ask one that has (`l9-server nodes list`)"
    ))
}

async fn wrong_method(method: Method, uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(200).collect();
    let detail = format!("{path:?} does not take {method}: the Allow header lists what it takes");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "another method is needed", detail)
}
