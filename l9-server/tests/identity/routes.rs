//! Every operation of the OpenAPI document, asked for by everybody. The document is made
//! of the list that the router is made of, so a new route is asked for here too.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::callers::{Caller, ROLES, guarded, token};
use crate::support::{Answer, Served};

/// What anybody may ask for.
const OPEN: [&str; 5] = ["/", "/health", "/livez", "/openapi.json", "/readyz"];

/// What an admin of the tenant `default` may do, and no other.
const WHOLE: [&str; 2] = ["/queue/pause", "/queue/resume"];

const UNKNOWN: &str = "01890000-0000-7000-8000-000000000000";

/// An operation as it is described.
struct Operation {
    method: Method,
    path: String,
    /// The role; none if anybody may.
    role: Option<String>,
}

async fn operations(served: &Served) -> Vec<Operation> {
    let document = served.get("/openapi.json").await.json();
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, described) in methods.as_object().unwrap() {
            let security = described["security"].as_array().unwrap();
            let role = security.last().map(|needed| needed["bearer"][0].as_str().unwrap().to_owned());
            if role.is_some() {
                assert!(described["responses"]["401"].is_object(), "{path}");
            }
            let method = method.to_uppercase().parse().unwrap();
            found.push(Operation { method, path: path.clone(), role });
        }
    }
    assert!(found.len() > 25, "only {} operations", found.len());
    found
}

/// The path with ids in it: those given, or of what there is for all tenants.
fn filled(path: &str, id: &str) -> String {
    let id = match path {
        _ if path.starts_with("/tools/") => "calc/evaluate".to_owned(),
        _ if path.starts_with("/agents/") => "researcher".to_owned(),
        _ if path.starts_with("/approvals/") => format!("{id}.1"),
        _ => id.to_owned(),
    };
    path.split('/').map(|part| if part.starts_with('{') { &id } else { part }).collect::<Vec<_>>().join("/")
}

/// A body that fits, where one is needed to come as far as the id.
fn body(path: &str) -> Value {
    match path {
        "/runs/{id}/signal" => json!({"name": "go"}),
        "/runs/{id}/resolve" => json!({"call": "call", "as": "unknown", "reason": "test"}),
        "/runs/{id}/fork" => json!({"at": 1}),
        "/runs/{id}/replay" | "/tools/{id}/call" => json!({}),
        "/agents/{id}/runs" => json!({"input": "x", "deadline_ms": 1}),
        "/memory" | "/memory/{id}/supersede" => json!({"text": "x"}),
        "/plans" | "/plans/validate" => json!({"plan": {"plan": "one", "nodes": [{"id": "now", "tool": "time/now"}]}}),
        "/plans/{id}" => json!({"expected_version": 1, "remove": ["x"], "reason": "test"}),
        "/plans/{id}/breakpoints" => json!({"node": "x", "at": "before"}),
        "/memory/quarantine" => json!({"source": "nowhere", "reason": "test"}),
        "/memory/snapshots" => json!({"name": "test"}),
        "/schedules" => json!({"id": "a", "definition": {
            "when": {"every_ms": 3_600_000}, "starts": {"agent": {"id": "researcher", "input": "x"}},
        }}),
        _ if path.starts_with("/approvals/") => json!({"decision": "reject", "reason": "test"}),
        _ => json!({"reason": "test"}),
    }
}

async fn ask(served: &Served, operation: &Operation, id: &str, token: Option<&str>) -> Answer {
    let mut request = served.client().request(operation.method.clone(), served.url(&filled(&operation.path, id)));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if operation.method != Method::GET && operation.method != Method::DELETE {
        request = request.header("content-type", "application/json").body(body(&operation.path).to_string());
    }
    if operation.path == "/metrics" {
        // Past a proxy it is not asked for here.
        request = request.header("x-forwarded-for", "203.0.113.9");
    }
    served.send(request).await
}

/// The answer without what differs with every request.
fn told(answer: &Answer) -> Value {
    let mut told = answer.json();
    told.as_object_mut().unwrap().remove("correlation_id");
    told
}

#[tokio::test]
async fn every_route_asks_for_a_token_and_the_role_it_names() {
    let served = guarded(&[], |_| {}).await;
    let operations = operations(&served).await;
    let open: BTreeSet<&str> = operations
        .iter()
        .filter(|operation| operation.role.is_none())
        .map(|operation| operation.path.as_str())
        .collect();
    assert_eq!(open, BTreeSet::from(OPEN));
    let forged = format!("{}A", token("acme", "person:eve", "admin"));
    let misshapen = token("acme", "person:eve", "viewer").replace('.', ".e30.").replacen(".e30.", ".", 1);
    for operation in &operations {
        let name = format!("{} {}", operation.method, operation.path);
        let Some(needed) = &operation.role else {
            for token in [None, Some(forged.as_str())] {
                assert_eq!(ask(&served, operation, UNKNOWN, token).await.status, 200, "{name}");
            }
            continue;
        };
        assert!(operation.method == Method::GET || needed != "viewer", "{name} changes something, and any viewer may");
        let nobody = ask(&served, operation, UNKNOWN, None).await;
        nobody.problem(401, "unauthenticated");
        assert_eq!(nobody.headers["www-authenticate"], "Bearer realm=\"l9\"", "{name}");
        for bad in [&forged, &misshapen] {
            let refused = ask(&served, operation, UNKNOWN, Some(bad)).await;
            refused.problem(401, "unauthenticated");
            assert_eq!(told(&refused), told(&nobody), "{name} tells what is wrong with a token");
            assert!(refused.headers["www-authenticate"].to_str().unwrap().contains("invalid_token"));
        }
    }
}

#[tokio::test]
async fn every_route_refuses_a_lesser_role_and_lets_its_own_in() {
    let served = guarded(&[], |_| {}).await;
    let tokens = ROLES.map(|(role, covered)| (role, covered, token("acme", &format!("person:{role}"), role)));
    for operation in &operations(&served).await {
        let Some(needed) = &operation.role else { continue };
        let name = format!("{} {}", operation.method, operation.path);
        for (role, covered, token) in &tokens {
            let answer = ask(&served, operation, UNKNOWN, Some(token)).await;
            // The queue is everybody's: the role is enough, and the tenant is another's.
            if covered.contains(&needed.as_str()) && WHOLE.contains(&operation.path.as_str()) {
                answer.problem(403, "denied");
            } else if covered.contains(&needed.as_str()) {
                assert!(!matches!(answer.status.as_u16(), 401 | 403), "{role} at {name}: {answer:?}");
            } else {
                let detail = answer.problem(403, "role");
                assert!(detail.contains(&format!("the role {needed}")) && detail.contains(role), "{name}: {detail}");
                assert!(answer.headers["www-authenticate"].to_str().unwrap().contains("insufficient_scope"));
            }
        }
    }
}

#[tokio::test]
async fn ids_of_another_tenant_are_as_those_that_do_not_exist() {
    let served = guarded(&[], |_| {}).await;
    let acme = Caller::new(&served, "acme", "admin");
    let run = acme.start("k", false).await["run_id"].as_str().unwrap().to_owned();
    let entry = acme.remember("The moon over the harbour is acme's own.").await;
    let other = token("other", "person:eve", "admin");
    let mut asked = 0;
    for operation in &operations(&served).await {
        let shared = ["/tools/", "/agents/"].iter().any(|prefix| operation.path.starts_with(prefix));
        if shared || !operation.path.contains('{') {
            continue;
        }
        let name = format!("{} {}", operation.method, operation.path);
        for id in [&run, &entry] {
            let foreign = ask(&served, operation, id, Some(&other)).await;
            let unknown = ask(&served, operation, UNKNOWN, Some(&other)).await;
            foreign.problem(404, "not_found");
            assert_eq!(unknown.status, 404, "{name}: {unknown:?}");
            let foreign_told = told(&foreign).to_string().replace(id.as_str(), UNKNOWN);
            assert_eq!(foreign_told, told(&unknown).to_string(), "{name}");
            let names = |answer: &Answer| answer.headers.keys().map(ToString::to_string).collect::<BTreeSet<_>>();
            assert_eq!(names(&foreign), names(&unknown), "{name}");
            asked += 1;
        }
    }
    assert!(asked > 20, "only {asked} were asked for");
    // Nothing of it reached them.
    assert_eq!(acme.get(&format!("/memory/{entry}")).await.status, 200);
    let events = acme.get(&format!("/runs/{run}/events")).await.json();
    assert!(!events.to_string().contains("cancel.requested"), "{events}");
}
