//! Questions to people over HTTP and WebSocket: who may decide, and what is refused and
//! recorded, before an outside that counts.

use std::path::Path;
use std::time::Duration;

use l9_services::Ledger;
use serde_json::{Value, json};

use crate::callers::{Caller, SECRET, guarded, token};
use crate::support::provider::Provider;
use crate::support::{Served, pause};

/// Production takes the tools of these tests without a signature.
const UNSIGNED: (&str, &str) = ("L9__TOOLS__REQUIRE_SIGNATURE", "false");

/// A bank that asks a person before it pays, and a clerk that has it pay ada and waits then.
struct Bank {
    ledger: Ledger,
    provider: Provider,
}

impl Bank {
    async fn open() -> Self {
        let (ledger, provider) =
            tokio::join!(Ledger::start(Duration::ZERO), Provider::answering(choices, Duration::ZERO));
        Self { ledger, provider }
    }

    fn prepare(&self, data: &Path) {
        for folder in ["agents", "tools"] {
            std::fs::create_dir_all(data.join(folder)).unwrap();
        }
        let clerk = "id: clerk\nmodel: openai/test-1\ntools: [bank/pay, run/wait]\n";
        std::fs::write(data.join("agents/clerk.yaml"), clerk).unwrap();
        for (name, destructive) in [("pay", false), ("wire", true)] {
            let address = self.ledger.address;
            let manifest = json!({
                "schema_version": 1, "id": format!("bank/{name}"), "version": "1.0.0", "title": "Pay",
                "description": "Pays somebody.", "effect": "keyed_write", "approval": "always",
                "destructive": destructive,
                "args": {"/to": {"role": "recipient"}, "/amount": {"role": "amount"}},
                "runtime": {"kind": "http", "method": "POST", "url": format!("http://{address}/keyed")},
                "input_schema": {
                    "type": "object", "required": ["to", "amount"], "additionalProperties": false,
                    "properties": {"to": {"type": "string"}, "amount": {"type": "integer", "minimum": 1, "maximum": 100}},
                },
                "net": [{"scheme": "http", "host": address.ip(), "port": address.port(), "methods": ["POST"],
                    "allow_private": true}],
                "limits": {"wall_ms": 20_000},
            });
            std::fs::write(data.join(format!("tools/{name}.json")), manifest.to_string()).unwrap();
        }
    }

    async fn serve(&self, environment: &[(&str, &str)], prepare: impl FnOnce(&Path)) -> Served {
        let environment = [&self.provider.environment(), environment].concat();
        guarded(&environment, |data| {
            self.prepare(data);
            prepare(data);
        })
        .await
    }

    /// What was paid.
    fn paid(&self) -> Vec<Value> {
        let lines = self.ledger.lines().into_values();
        lines.map(|line| serde_json::from_str(&line.item).unwrap()).collect()
    }
}

fn ada() -> Value {
    json!({"to": "ada", "amount": 5})
}

fn choices(body: &Value) -> Vec<Value> {
    if body["messages"].as_array().unwrap().iter().any(|message| message["role"] == "assistant") {
        return vec![json!({"delta": {"content": "done"}, "finish_reason": "stop"})];
    }
    let call = |at: u32, name: &str, arguments: Value| {
        json!({"index": at, "id": format!("call-{at}"), "type": "function",
            "function": {"name": name, "arguments": arguments.to_string()}})
    };
    let calls = [call(0, "bank__pay", ada()), call(1, "run__wait", json!({"signal": "go"}))];
    vec![json!({"delta": {"tool_calls": calls}, "finish_reason": "tool_calls"})]
}

impl<'a> Caller<'a> {
    fn named(served: &'a Served, tenant: &str, name: &str, roles: &str) -> Self {
        Self { served, token: token(tenant, &format!("person:{name}"), roles) }
    }

    /// Starts a run, and gives its id once it asks.
    async fn asks(&self, path: &str, body: &Value) -> String {
        let started = self.post(path, body).await;
        assert_eq!(started.status, 202, "{started:?}");
        let run = started.json()["run_id"].as_str().unwrap().to_owned();
        let question = self.until(&run, |events| events.iter().any(|event| event["kind"] == "approval.asked")).await;
        assert!(!question.is_empty());
        run
    }

    async fn clerk(&self) -> String {
        self.asks("/agents/clerk/runs", &json!({"input": "pay ada 5"})).await
    }

    /// The events of a run, once they are such.
    async fn until(&self, run: &str, such: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        for _ in 0..1_200 {
            let page = self.get(&format!("/runs/{run}/events?limit=1000")).await.json();
            let events = page["events"].as_array().unwrap();
            if such(events) {
                return events.clone();
            }
            pause(50).await;
        }
        panic!("run {run} does not come so far: {}", self.served.log());
    }

    /// Who asked for what was refused, and why, once there are so many of them.
    async fn refused(&self, run: &str, count: usize) -> Vec<(String, String)> {
        let of = |events: &[Value]| -> Vec<(String, String)> {
            let refused = events.iter().filter(|event| event["kind"] == "command.rejected");
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            refused.map(|event| (text(&event["data"]["by"]), text(&event["data"]["reason"]))).collect()
        };
        of(&self.until(run, |events| of(events).len() == count).await)
    }

    /// How a run ended: its outcome, and the codes of what was denied.
    async fn end(&self, run: &str) -> (String, Vec<String>) {
        let closed = |events: &[Value]| events.last().is_some_and(|event| event["kind"] == "run.closed");
        let events = self.until(run, closed).await;
        let denied = events.iter().filter(|event| event["kind"] == "effect.denied");
        let codes = denied.map(|event| event["data"]["code"].as_str().unwrap().to_owned()).collect();
        (events.last().unwrap()["data"]["status"].as_str().unwrap().to_owned(), codes)
    }

    async fn signal(&self, run: &str) {
        let sent = self.post(&format!("/runs/{run}/signal"), &json!({"name": "go"})).await;
        assert_eq!(sent.status, 202, "{sent:?}");
    }
}

fn approve() -> Value {
    json!({"decision": "approve", "reason": "for the test"})
}

fn edit(arguments: &Value) -> Value {
    json!({"decision": "edit", "args": arguments, "reason": "for the test"})
}

#[tokio::test]
async fn nobody_decides_their_own_request_where_four_eyes_are_wanted() {
    let cases = [("staging", "pay", true), ("staging", "wire", false), ("production", "pay", false)];
    for (deployment, tool, own) in cases {
        let bank = Bank::open().await;
        let served = bank.serve(&[("DEPLOYMENT_ENV", deployment), UNSIGNED], |_| {}).await;
        let ada_herself = Caller::named(&served, "acme", "ada", "operator,approver");
        let grace = Caller::named(&served, "acme", "grace", "approver");
        let body = json!({"arguments": ada(), "wait": false});
        let run = ada_herself.asks(&format!("/tools/bank/{tool}/call"), &body).await;
        let (path, id) = (format!("/approvals/{run}.1"), format!("{run}.1"));
        if own {
            assert_eq!(ada_herself.post(&path, &approve()).await.status, 202);
        } else {
            let why = ada_herself.post(&path, &approve()).await.problem(403, "denied");
            assert!(why.contains("nobody decides their own request"), "{why}");
            let mut socket = ada_herself.socket().await;
            let mut frame = approve();
            (frame["type"], frame["approval_id"], frame["id"]) = (json!("approval.decide"), json!(id), json!("own"));
            socket.say(&frame).await;
            let error = socket.hear().await;
            assert_eq!((&error["id"], &error["problem"]), (&json!("own"), &json!("urn:l9:error:denied")), "{error}");
            let refused = grace.refused(&run, 2).await;
            let told = |(by, why): &(String, String)| by == "person:ada" && why.contains("their own request");
            assert!(refused.iter().all(told), "{refused:?}");
            assert_eq!(bank.paid(), [] as [Value; 0]);
            assert_eq!(grace.post(&path, &approve()).await.status, 202);
        }
        assert_eq!(grace.end(&run).await, ("succeeded".to_owned(), Vec::new()), "{deployment} {tool}");
        assert_eq!(bank.paid(), [ada()], "{deployment} {tool}");
    }
}

#[tokio::test]
async fn arguments_that_readers_are_not_shown_are_shown_to_who_may_decide() {
    let bank = Bank::open().await;
    let withhold = |data: &Path| {
        let file = data.join("tools/pay.json");
        let mut manifest: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        manifest["audit"] = json!({"args": "redacted"});
        std::fs::write(file, manifest.to_string()).unwrap();
    };
    let served = bank.serve(&[("DEPLOYMENT_ENV", "staging")], withhold).await;
    let [operator, viewer, approver] =
        ["operator", "viewer", "approver"].map(|role| Caller::named(&served, "acme", role, role));
    let run = operator.asks("/tools/bank/pay/call", &json!({"arguments": ada(), "wait": false})).await;
    let masked = json!({"to": "string", "amount": "number"});
    for (reader, arguments) in [(&viewer, &masked), (&operator, &masked), (&approver, &ada())] {
        let list = reader.get("/approvals").await.json();
        assert_eq!(&list["approvals"][0]["arguments"], arguments, "{list}");
        let shown = reader.get(&format!("/runs/{run}")).await.json();
        assert_eq!(&shown["waiting"]["approvals"][0]["arguments"], arguments, "{shown}");
        let events = reader.get(&format!("/runs/{run}/events?limit=1000")).await.text;
        let named = ["\"ada\"", "\\\"ada\\\""].iter().any(|ada| events.contains(ada));
        assert!(!named && events.contains("withheld"), "{events}");
    }
    assert_eq!(approver.post(&format!("/approvals/{run}.1"), &approve()).await.status, 202);
    assert_eq!(operator.end(&run).await, ("succeeded".to_owned(), Vec::new()));
    assert_eq!(bank.paid(), [ada()]);
}

#[tokio::test]
async fn what_is_asked_at_the_terminal_is_decided_by_somebody_else_over_http() {
    let bank = Bank::open().await;
    let data = tempfile::tempdir().unwrap();
    bank.prepare(data.path());
    let terminal = async |arguments: &[&str]| {
        let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_l9-server"))
            .args(arguments)
            .args(["--json", "--data-dir"])
            .arg(data.path())
            .current_dir(data.path())
            .env_clear()
            .envs([("DEPLOYMENT_ENV", "production"), UNSIGNED])
            .output()
            .await
            .unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, said) = terminal(&["tools", "call", "bank/pay", &ada().to_string()]).await;
    assert_eq!(code, Some(3), "{said}");
    let said: Value = serde_json::from_str(&said).unwrap();
    let (run, id) = (said["run_id"].as_str().unwrap(), said["waiting"]["approvals"][0]["id"].as_str().unwrap());
    let (code, said) = terminal(&["approvals", "approve", id, "--reason", "I want it"]).await;
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("nobody decides their own request"), "{said}");

    let environment = [("AUTH_ENABLED", "true"), ("JWT_SECRET", SECRET), ("DEPLOYMENT_ENV", "production"), UNSIGNED];
    let served = Served::start_over(&environment, data.path()).await;
    let grace = Caller::named(&served, "default", "grace", "approver");
    assert_eq!(grace.refused(run, 1).await[0].0, "person:local");
    assert_eq!(bank.paid(), [] as [Value; 0]);
    assert_eq!(grace.post(&format!("/approvals/{id}"), &approve()).await.status, 202);
    assert_eq!(grace.end(run).await, ("succeeded".to_owned(), Vec::new()));
    assert_eq!(bank.paid(), [ada()]);
}

#[tokio::test]
async fn a_decision_counts_once_as_it_was_made_and_others_are_refused_and_recorded() {
    let bank = Bank::open().await;
    let served = bank.serve(&[], |_| {}).await;
    let operator = Caller::new(&served, "acme", "operator");
    let approver = Caller::named(&served, "acme", "grace", "approver");
    let stranger = Caller::named(&served, "other", "eve", "approver,admin");
    let run = operator.clerk().await;
    let path = format!("/approvals/{run}.1");

    stranger.post(&path, &approve()).await.problem(404, "not_found");
    let logged = served.log();
    let told = |line: &&str| line.contains("a decision was refused") && line.contains("person:eve");
    assert!(logged.lines().any(|line| told(&line) && line.contains(&run)), "{logged}");
    for wrong in [json!({"to": "ada"}), json!({"to": "ada", "amount": 5_000}), json!("ada")] {
        let why = approver.post(&path, &edit(&wrong)).await.problem(400, "invalid");
        assert!(why.contains("do not fit"), "{why}");
    }
    let refused = approver.refused(&run, 3).await;
    assert!(refused.iter().all(|(by, _)| by == "person:grace"), "{refused:?}");
    assert_eq!(bank.paid(), [] as [Value; 0]);

    let grace = json!({"to": "grace", "amount": 3});
    let send =
        async |key: &str, body: &Value| served.send(approver.posting(&path, body).header("idempotency-key", key)).await;
    assert_eq!(send("k", &edit(&grace)).await.status, 202);
    approver.until(&run, |events| events.iter().any(|event| event["kind"] == "approval.decided")).await;
    assert_eq!(send("k", &edit(&grace)).await.status, 202, "the same again");
    let mallory = json!({"to": "mallory", "amount": 3});
    for (key, body) in [("k", edit(&mallory)), ("another", edit(&mallory)), ("k", approve())] {
        send(key, &body).await.problem(409, "conflict");
    }
    let refused = approver.refused(&run, 6).await;
    assert!(refused[3..].iter().all(|(_, why)| why.contains("is not open")), "{refused:?}");
    operator.signal(&run).await;
    assert_eq!(operator.end(&run).await, ("succeeded".to_owned(), Vec::new()));
    assert_eq!(bank.paid(), [grace]);
    let late = approver.post(&path, &approve()).await.problem(409, "conflict");
    assert!(late.contains("the run has ended"), "{late}");
}

#[tokio::test]
async fn nobody_decides_after_the_time_has_passed() {
    let bank = Bank::open().await;
    let served = bank.serve(&[("L9__EFFECTS__APPROVAL_TIMEOUT_MS", "300")], |_| {}).await;
    let operator = Caller::new(&served, "acme", "operator");
    let approver = Caller::new(&served, "acme", "approver");
    let run = operator.clerk().await;
    let expired = |event: &Value| event["kind"] == "approval.decided" && event["data"]["answer"]["kind"] == "expired";
    operator.until(&run, |events| events.iter().any(expired)).await;
    approver.post(&format!("/approvals/{run}.1"), &approve()).await.problem(409, "conflict");
    let refused = operator.refused(&run, 1).await;
    assert!(refused[0].0 == "person:approver" && refused[0].1.contains("question 1 is not open"), "{refused:?}");
    operator.signal(&run).await;
    assert_eq!(operator.end(&run).await, ("succeeded".to_owned(), vec!["approval_expired".to_owned()]));
    assert_eq!(bank.paid(), [] as [Value; 0]);
}

#[tokio::test]
async fn an_approval_is_held_to_the_policy_that_asked_and_never_goes_beyond_it() {
    let bank = Bank::open().await;
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_l9-server"))
        .args(["policy", "defaults"])
        .env_clear()
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let never = r#"
        @id("never") @reason("mallory is never paid")
        forbid (principal, action == L9::Action::"InvokeTool", resource) when { context.values.contains("mallory") };"#;
    let mut policies = format!("{}{never}", String::from_utf8(output.stdout).unwrap());
    let write = |data: &Path, policies: &str| {
        std::fs::create_dir_all(data.join("policies")).unwrap();
        std::fs::write(data.join("policies/all.cedar"), policies).unwrap();
    };
    let served = bank.serve(&[], |data| write(data, &policies)).await;
    let operator = Caller::new(&served, "acme", "operator");
    let approver = Caller::new(&served, "acme", "approver");

    let run = operator.clerk().await;
    let mallory = json!({"to": "mallory", "amount": 5});
    assert_eq!(approver.post(&format!("/approvals/{run}.1"), &edit(&mallory)).await.status, 202);
    operator.signal(&run).await;
    assert_eq!(operator.end(&run).await, ("succeeded".to_owned(), vec!["forbidden".to_owned()]));

    let run = operator.clerk().await;
    policies.push_str("\n// Others from now on.\n");
    write(served.data.path(), &policies);
    while !served.get("/metrics").await.text.contains("l9_policy_reloads_total{result=\"renewed\"} 1") {
        pause(50).await;
    }
    assert_eq!(approver.post(&format!("/approvals/{run}.1"), &approve()).await.status, 202);
    operator.signal(&run).await;
    assert_eq!(operator.end(&run).await, ("succeeded".to_owned(), vec!["approval_stale".to_owned()]));
    assert_eq!(bank.paid(), [] as [Value; 0]);
}
