//! A server with authentication on, and people who bring tokens.

use std::path::Path;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::Response;

use crate::support::{Answer, Served, Socket};

pub(crate) const SECRET: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

/// Every role and what it covers.
pub(crate) const ROLES: [(&str, &[&str]); 4] = [
    ("viewer", &["viewer"]),
    ("operator", &["viewer", "operator"]),
    ("approver", &["viewer", "approver"]),
    ("admin", &["viewer", "operator", "approver", "admin"]),
];

/// A server that asks for tokens.
pub(crate) async fn guarded(environment: &[(&str, &str)], prepare: impl FnOnce(&Path)) -> Served {
    let environment = [&[("AUTH_ENABLED", "true"), ("JWT_SECRET", SECRET)], environment].concat();
    Served::start_with(&environment, prepare).await
}

/// What the binary prints for `token mint`, without its line's end.
pub(crate) fn mint(arguments: &[&str]) -> String {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_l9-server"))
        .args(["token", "mint"])
        .args(arguments)
        .current_dir(std::env::temp_dir())
        .env_clear()
        .env("JWT_SECRET", SECRET)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

pub(crate) fn token(tenant: &str, subject: &str, role: &str) -> String {
    mint(&["--tenant", tenant, "--subject", subject, "--role", role])
}

/// Somebody who brings a token.
pub(crate) struct Caller<'a> {
    pub(crate) served: &'a Served,
    pub(crate) token: String,
}

impl<'a> Caller<'a> {
    pub(crate) fn new(served: &'a Served, tenant: &str, role: &str) -> Self {
        Self { served, token: token(tenant, &format!("person:{role}"), role) }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.served.client().request(method, self.served.url(path)).bearer_auth(&self.token)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.served.send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.served.send(self.posting(path, body)).await
    }

    pub(crate) fn posting(&self, path: &str, body: &Value) -> reqwest::RequestBuilder {
        self.request(Method::POST, path).header("content-type", "application/json").body(body.to_string())
    }

    /// Remembers the passage that `researcher` quotes, and gives the entry's id.
    pub(crate) async fn remember(&self, text: &str) -> String {
        let kept = self.post("/memory", &json!({"text": text, "source": "docs/runs.md", "key": "runs"})).await;
        assert_eq!(kept.status, 201, "{kept:?}");
        kept.json()["results"][0]["id"].as_str().unwrap().to_owned()
    }

    /// Starts a run under a key.
    pub(crate) async fn start(&self, key: &str, wait: bool) -> Value {
        let body = json!({"input": "How does L9 resume a run after a crash?", "wait": wait});
        let request = self.posting("/agents/researcher/runs", &body).header("idempotency-key", key);
        let started = self.served.send(request).await;
        assert!(matches!(started.status, StatusCode::OK | StatusCode::ACCEPTED), "{started:?}");
        started.json()
    }

    /// A socket whose token comes as the subprotocol, as browsers send it.
    pub(crate) async fn socket(&self) -> Socket {
        let (socket, response) =
            connect(self.served, &[("sec-websocket-protocol", &format!("l9, bearer.{}", self.token))])
                .await
                .unwrap_or_else(|status| panic!("{status}"));
        assert_eq!(response.headers()["sec-websocket-protocol"], "l9");
        socket
    }
}

/// Opens a WebSocket with further headers.
pub(crate) async fn connect(
    served: &Served,
    headers: &[(&'static str, &str)],
) -> Result<(Socket, Response<Option<Vec<u8>>>), u16> {
    let mut request = format!("ws://{}/ws", served.address).into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    match connect_async(request).await {
        Ok((socket, response)) => Ok((Socket { socket }, response)),
        Err(tokio_tungstenite::tungstenite::Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}
