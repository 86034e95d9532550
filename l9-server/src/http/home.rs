//! The page at `/`: what runs here and where to look. The console comes later.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;

use super::access::{Access, Known};
use super::app::App;
use super::media::Media;
use super::openapi::Operation;
use super::routes::Routes;

pub(super) fn routes(routes: Routes) -> Routes {
    let home = Operation::get("/", Access::Open, "A page with links").producing(&[Media::Html]);
    let document = Operation::get("/openapi.json", Access::Open, "This document");
    routes
        .add(home.answers_plainly(200, "The page"), page)
        .add(document.answers_plainly(200, "An OpenAPI 3.1 document"), openapi)
}

async fn openapi(State(app): State<App>) -> Response {
    ([(CONTENT_TYPE, Media::Json.content_type())], app.document()).into_response()
}

async fn page(State(app): State<App>, known: Known) -> Response {
    // Who is not known learns no names.
    let profiles = if known.viewer().is_some() { app.runtime().profiles().list() } else { Vec::new() };
    let agents: String =
        profiles.iter().map(|profile| format!("<li><a href=\"/agents/{0}\">{0}</a>", profile.id)).collect();
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>L9</title>\n\
         <h1>L9 {version}</h1>\n<p>A governed runtime for AI agents. This page only links; \
         there is no console in this version.\n\
         <ul>\n<li><a href=\"/health\">health</a>\n<li><a href=\"/agents\">agents</a>\n\
         <li><a href=\"/runs\">runs</a>\n<li><a href=\"/tools\">tools</a>\n\
         <li><a href=\"/memory/audit\">audit</a>\n<li><a href=\"/metrics\">metrics</a>\n\
         <li><a href=\"/openapi.json\">OpenAPI document</a>\n</ul>\n<h2>Agents</h2>\n<ul>{agents}</ul>\n</html>\n",
        version = env!("CARGO_PKG_VERSION"),
    );
    ([(CONTENT_TYPE, Media::Html.content_type())], page).into_response()
}
