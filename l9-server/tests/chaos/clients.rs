//! Clients that start runs over HTTP, at any node, and do not give up: a start that was not
//! acknowledged is asked for again under the same key; one that was is followed to its end.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::script;

/// How long a client waits for an answer: a frozen node gives none.
const ANSWER: Duration = Duration::from_secs(2);
/// How long it rests before it asks another node.
const REST: Duration = Duration::from_millis(50);
/// How long it rests before it looks again whether its run has ended.
const LOOK: Duration = Duration::from_millis(250);

/// A start that a node has acknowledged.
#[derive(Debug, Clone)]
pub(crate) struct Accepted {
    pub(crate) n: u32,
    pub(crate) run: String,
}

/// What all clients share.
#[derive(Default)]
pub(crate) struct Clients {
    addresses: Mutex<Vec<Option<SocketAddr>>>,
    next: AtomicU32,
    stop: AtomicBool,
    accepted: Mutex<Vec<Accepted>>,
    strange: Mutex<Vec<String>>,
    http: reqwest::Client,
}

impl Clients {
    pub(crate) fn new() -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(ANSWER).build().unwrap();
        Self { http, ..Self::default() }
    }

    /// Says where the nodes listen now.
    pub(crate) fn find(&self, addresses: Vec<Option<SocketAddr>>) {
        *self.addresses.lock().unwrap() = addresses;
    }

    /// Has every client end with the run it has.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// How many runs were asked for.
    pub(crate) fn asked(&self) -> u32 {
        self.next.load(Ordering::Relaxed)
    }

    pub(crate) fn accepted(&self) -> Vec<Accepted> {
        self.accepted.lock().unwrap().clone()
    }

    /// Answers that no client should get, however badly the nodes fare.
    pub(crate) fn strange(&self) -> Vec<String> {
        self.strange.lock().unwrap().clone()
    }

    /// What a node counts under a name, 0 if it does not answer.
    pub(crate) async fn metric(&self, address: Option<SocketAddr>, name: &str) -> u64 {
        let Some(address) = address else { return 0 };
        let Ok(response) = self.http.get(format!("http://{address}/metrics")).send().await else { return 0 };
        let text = response.text().await.unwrap_or_default();
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0)
    }

    /// Starts one run after another.
    pub(crate) async fn work(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            let n = self.next.fetch_add(1, Ordering::Relaxed);
            let run = self.start(n, 0).await;
            self.accepted.lock().unwrap().push(Accepted { n, run: run.clone() });
            // Some did not hear the answer: the same key is the same run, at any node.
            if n.is_multiple_of(4) && self.start(n, 1).await != run {
                self.note(format!("start {n} gave two runs"));
            }
            self.follow(n, &run).await;
        }
    }

    /// Asks until the start is acknowledged.
    async fn start(&self, n: u32, from: usize) -> String {
        let (path, body) = request(n);
        for attempt in from.. {
            if let Some(address) = self.node(n, attempt) {
                let asked = self.http.post(format!("http://{address}{path}")).header("idempotency-key", key(n));
                let asked = asked.header("content-type", "application/json").body(body.to_string());
                if let Some((StatusCode::ACCEPTED | StatusCode::OK, answer)) = self.ask(asked).await {
                    return answer["run_id"].as_str().unwrap_or_default().to_owned();
                }
            }
            tokio::time::sleep(REST).await;
        }
        unreachable!("attempts do not end")
    }

    /// Looks until the run has ended.
    async fn follow(&self, n: u32, run: &str) {
        for attempt in 0.. {
            tokio::time::sleep(LOOK).await;
            let Some(address) = self.node(n, attempt) else { continue };
            let Some((_, shown)) = self.ask(self.http.get(format!("http://{address}/runs/{run}"))).await else {
                continue;
            };
            if matches!(shown["state"].as_str(), Some("succeeded" | "failed" | "cancelled")) {
                return;
            }
        }
    }

    /// The answer, if there is one that says something.
    async fn ask(&self, request: reqwest::RequestBuilder) -> Option<(StatusCode, Value)> {
        let response = request.send().await.ok()?;
        let (status, url) = (response.status(), response.url().path().to_owned());
        let text = response.text().await.ok()?;
        match status {
            StatusCode::OK | StatusCode::ACCEPTED => Some((status, serde_json::from_str(&text).ok()?)),
            // The database is away, or the node goes.
            StatusCode::SERVICE_UNAVAILABLE => None,
            _ => {
                self.note(format!("{url}: {status} {text}"));
                None
            }
        }
    }

    fn node(&self, n: u32, attempt: usize) -> Option<SocketAddr> {
        let addresses = self.addresses.lock().unwrap();
        let at = (n as usize + attempt).checked_rem(addresses.len())?;
        addresses[at]
    }

    fn note(&self, what: String) {
        self.strange.lock().unwrap().push(what);
    }
}

fn key(n: u32) -> String {
    format!("start-{n}")
}

/// Whether the run of that number is a single governed call, and no agent's.
pub(crate) fn is_call(n: u32) -> bool {
    n % 8 == 7
}

/// Whether the run of that number is a plan's.
fn is_plan(n: u32) -> bool {
    n % 4 == 1
}

fn request(n: u32) -> (&'static str, Value) {
    if is_call(n) {
        let arguments = json!({"text": script::line(n, "keyed", 1)});
        return ("/tools/ledger/keyed/call", json!({"arguments": arguments, "wait": false}));
    }
    if is_plan(n) {
        return ("/plans", json!({"plan": script::plan(n), "wait": false}));
    }
    ("/agents/scribe/runs", json!({"input": script::input(n)}))
}
