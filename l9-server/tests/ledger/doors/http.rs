//! HTTP: requests to a served instance.

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{Door, Stand, wire};
use crate::cases::{Alone, Decision, LETTER};
use crate::outside::{Outside, write_letters};
use crate::support::{Served, pause};

/// A client.
pub(crate) struct Http {
    pub(super) served: Served,
    begun: String,
}

impl Http {
    pub(crate) async fn open(outside: &Outside) -> Self {
        let served = Served::start_with(&outside.environment(), |data| outside.prepare(data)).await;
        write_letters(served.data.path());
        let ingested = tokio::process::Command::new(env!("CARGO_BIN_EXE_l9-server"))
            .args(["ingest", "letters", "--data-dir", "."])
            .current_dir(served.data.path())
            .env_clear()
            .output()
            .await
            .unwrap();
        assert!(ingested.status.success(), "{ingested:?}");
        Self { served, begun: String::new() }
    }

    /// Waits until the run that was begun has ended, or somebody is asked what is not decided
    /// yet, for it or for a run that it delegated to.
    async fn follow(&self, decided: Option<&str>) -> Stand {
        let run = &self.begun;
        for _ in 0..1_200 {
            let open = self.served.get("/approvals").await.json();
            let open = open["approvals"].as_array().unwrap();
            if let Some(question) = open.iter().find(|question| question["id"].as_str() != decided) {
                let asks = self.served.get(&format!("/runs/{}", question["run_id"].as_str().unwrap())).await.json();
                assert_eq!(asks["waiting"]["approvals"], json!([question]), "{asks}");
                return Stand { run: run.clone(), question: Some(question.clone()), ..Stand::default() };
            }
            let shown = self.served.get(&format!("/runs/{run}")).await.json();
            if let Some(end) = shown.get("end").filter(|end| !end.is_null()) {
                let outcome = end["outcome"].as_str().unwrap().to_owned();
                return Stand { run: run.clone(), outcome, question: None };
            }
            pause(50).await;
        }
        panic!("run {run} goes nowhere: {}", self.served.log());
    }

    async fn start(&self, path: &str, body: &Value) -> String {
        let started = self.served.post(path, body).await;
        assert_eq!(started.status, 202, "{started:?}");
        started.json()["run_id"].as_str().unwrap().to_owned()
    }

    pub(super) async fn events(&self, run: &str) -> Vec<Value> {
        let page = self.served.get(&format!("/runs/{run}/events?limit=1000")).await.json();
        page["events"].as_array().unwrap().clone()
    }
}

#[async_trait]
impl Door for Http {
    fn name(&self) -> &'static str {
        "HTTP,"
    }

    async fn run(&mut self, agent: &str, input: &str) -> Stand {
        self.begun = self.start(&format!("/agents/{agent}/runs"), &json!({"input": input})).await;
        self.follow(None).await
    }

    async fn call(&mut self, tool: &str, arguments: &Value, terms: Alone) -> Stand {
        let mut body = json!({"arguments": arguments, "wait": false});
        match terms {
            Alone::Labelled => body["labels"] = json!({"untrusted": [LETTER]}),
            Alone::Poor => body["budget"] = json!({"calls": 0}),
            Alone::Plainly | Alone::Never => {}
        }
        self.begun = self.start(&format!("/tools/{tool}/call"), &body).await;
        self.follow(None).await
    }

    async fn decide(&mut self, question: &Value, decision: Decision, arguments: Option<Value>) -> Stand {
        let id = question["id"].as_str().unwrap();
        let asked = self.start(&format!("/approvals/{id}"), &wire(decision, arguments)).await;
        assert_eq!(question["run_id"], asked.as_str());
        self.follow(Some(id)).await
    }

    async fn journal(&mut self, run: &str) -> Vec<Value> {
        self.events(run).await
    }

    async fn memory(&mut self, words: &str) -> Vec<Value> {
        let found = self.served.get(&format!("/memory/search?q={}", words.replace(' ', "+"))).await.json();
        found["results"].as_array().unwrap().clone()
    }
}
