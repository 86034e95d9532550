//! Every route of the served binary: what it answers, and what it refuses.

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use support::provider::Provider;
use support::{PASSAGE, Served, chained, pause};

#[tokio::test]
async fn health_tells_every_component_and_no_secret() {
    let served = Served::start_with(&[("OPENAI_API_KEY", "sk-hunter2-hunter2")], |_| {}).await;
    let health = served.get("/health").await;
    assert_eq!(health.status, 200);
    assert_eq!(health.headers["x-content-type-options"], "nosniff");
    assert_eq!(health.headers["cache-control"], "no-store");
    let body = health.json();
    assert_eq!(body["status"], "ok");
    for component in ["agents", "models", "queue", "store", "tools"] {
        assert_eq!(body["components"][component]["status"], "ok", "{body}");
    }
    assert!(!health.text.contains("hunter2"));
    assert_eq!(served.get("/livez").await.json(), json!({"status": "ok"}));
    assert_eq!(served.get("/readyz").await.json(), json!({"status": "ready"}));
    let page = served.get("/").await;
    assert!(page.text.starts_with("<!doctype html>") && page.text.contains("href=\"/openapi.json\""));
    assert!(page.headers["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
}

#[tokio::test]
async fn the_document_names_exactly_what_is_served() {
    let served = Served::start().await;
    let document = served.get("/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let mut described = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        described.extend(methods.as_object().unwrap().keys().map(|method| format!("{method} {path}")));
    }
    let expected = [
        "delete /memory/quarantine/{id}",
        "delete /memory/{id}",
        "delete /memory/{id}/supersede",
        "delete /schedules/{id}",
        "get /",
        "get /agents",
        "get /agents/{id}",
        "get /approvals",
        "get /audit/checkpoint",
        "get /audit/evidence/{run}",
        "get /audit/proof",
        "get /health",
        "get /livez",
        "get /memory",
        "get /memory/audit",
        "get /memory/graph/entities",
        "get /memory/graph/neighbours",
        "get /memory/graph/path",
        "get /memory/quarantine",
        "get /memory/search",
        "get /memory/sessions",
        "get /memory/sessions/{id}",
        "get /memory/snapshots",
        "get /memory/usage",
        "get /memory/{id}",
        "get /metrics",
        "get /nodes",
        "get /openapi.json",
        "get /plans/{id}",
        "get /queue",
        "get /readyz",
        "get /runs",
        "get /runs/{id}",
        "get /runs/{id}/diff/{other}",
        "get /runs/{id}/events",
        "get /schedules",
        "get /schedules/{id}",
        "get /schedules/{id}/preview",
        "get /stop",
        "get /tools",
        "get /tools/{id}",
        "get /ws",
        "patch /plans/{id}",
        "post /agents/{id}/runs",
        "post /approvals/{id}",
        "post /memory",
        "post /memory/quarantine",
        "post /memory/snapshots",
        "post /memory/snapshots/{id}/restore",
        "post /memory/subjects/erase",
        "post /memory/subjects/{id}/erase",
        "post /memory/{id}/reveal",
        "post /memory/{id}/supersede",
        "post /plans",
        "post /plans/validate",
        "post /plans/{id}/breakpoints",
        "post /queue/dead/{id}/redrive",
        "post /queue/pause",
        "post /queue/resume",
        "post /runs/{id}/cancel",
        "post /runs/{id}/fork",
        "post /runs/{id}/pause",
        "post /runs/{id}/replay",
        "post /runs/{id}/resolve",
        "post /runs/{id}/resume",
        "post /runs/{id}/rollback",
        "post /runs/{id}/signal",
        "post /schedules",
        "post /schedules/{id}/pause",
        "post /schedules/{id}/resume",
        "post /stop",
        "post /tools",
        "post /tools/accept",
        "post /tools/disable",
        "post /tools/revoke",
        "post /tools/{id}/call",
        "post /unstop",
    ];
    assert_eq!(described.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    // Each is routed: with an id that cannot be, nothing happens, but it is no unknown address.
    for operation in &described {
        let (method, path) = operation.split_once(' ').unwrap();
        let method: Method = method.to_ascii_uppercase().parse().unwrap();
        let path = path
            .replace("/tools/{id}", "/tools/no/such")
            .replace("{id}", "no-such-thing!")
            .replace("{run}", "no-such-thing!")
            .replace("{other}", "no-such-thing!");
        let answer = served.request(method, &path).await;
        assert_ne!(answer.status, 405, "{operation}");
        assert!(!answer.text.contains("there is nothing at"), "{operation}: {answer:?}");
    }
    // Every reference leads somewhere.
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(document.pointer(reference).is_some(), "{reference} leads nowhere");
    }
}

#[tokio::test]
async fn an_agent_runs_and_quotes_its_source() {
    let served = Served::start().await;
    served.remember().await;
    assert_eq!(served.get("/agents").await.json()["agents"][0]["id"], "researcher");
    assert_eq!(served.get("/agents/researcher").await.json()["id"], "researcher");
    served.get("/agents/nobody").await.problem(404, "not_found");
    served.get("/agents/No%20body").await.problem(400, "invalid");

    let input = "How does L9 resume a run after a crash?";
    let ended = served
        .post(
            "/agents/researcher/runs",
            &json!({"input": input, "session": "s1", "budget": {"calls": 50}, "wait": 60000}),
        )
        .await;
    assert_eq!(ended.status, 200);
    let body = ended.json();
    assert_eq!(body["outcome"], "succeeded", "{body}");
    assert_eq!(body["citations"][0], json!({"source": "docs/runs.md", "quote": PASSAGE}));

    let accepted = served.post("/agents/researcher/runs", &json!({"input": input})).await;
    assert_eq!(accepted.status, 202);
    let run = accepted.json()["run_id"].as_str().unwrap().to_owned();
    assert_eq!(accepted.headers["location"], format!("/runs/{run}"));
    let mut shown = served.get(&format!("/runs/{run}")).await.json();
    for _ in 0..600 {
        if shown["state"] == "succeeded" {
            break;
        }
        pause(100).await;
        shown = served.get(&format!("/runs/{run}")).await.json();
    }
    assert_eq!(shown["end"]["outcome"], "succeeded", "{shown}");
    assert_eq!(shown["head_hash"].as_str().unwrap().len(), 64);
    served.post(&format!("/runs/{run}/cancel"), &json!({"reason": "late"})).await.problem(409, "conflict");
}

#[tokio::test]
async fn the_same_key_is_the_same_run() {
    let served = Served::start().await;
    let start = |input: &str| {
        let body = json!({"input": input});
        served.posting("/agents/researcher/runs", &body).header("idempotency-key", "order-1")
    };
    let first = served.send(start("one")).await.json();
    let again = served.send(start("one")).await.json();
    assert_eq!(first["run_id"], again["run_id"]);
    assert_eq!((&first["existing"], &again["existing"]), (&json!(false), &json!(true)));
    served.send(start("two")).await.problem(409, "conflict");
    let bad = start("one").header("idempotency-key", "two keys");
    assert_eq!(served.send(bad).await.status, 202, "the first of two headers counts");
    let body = json!({"input": "one"});
    let bad = served.posting("/agents/researcher/runs", &body).header("idempotency-key", "a b");
    served.send(bad).await.problem(400, "invalid");
}

#[tokio::test]
async fn runs_are_listed_in_pages() {
    let served = Served::start().await;
    for number in 0..5 {
        let input = json!({"input": format!("question {number}"), "wait": true});
        assert_eq!(served.post("/agents/researcher/runs", &input).await.status, 200);
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = served.get(&format!("/runs?agent=researcher&limit=2{cursor}")).await.json();
        seen.extend(page["runs"].as_array().unwrap().iter().map(|run| run["run_id"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 5);
    assert!(seen.windows(2).all(|pair| pair[0] > pair[1]), "newest first, each once: {seen:?}");
    assert_eq!(served.get("/runs?state=cancelled").await.json(), json!({"runs": [], "next": null}));
    for bad in ["limit=0", "limit=201", "limit=x", "state=done", "cursor=7", "order=up", "limit=1&limit=2"] {
        served.get(&format!("/runs?{bad}")).await.problem(400, "invalid");
    }
}

#[tokio::test]
async fn events_come_as_pages_and_as_a_stream_that_goes_on_where_it_broke_off() {
    let served = Served::start().await;
    served.remember().await;
    let run = served.research().await;
    let page = served.get(&format!("/runs/{run}/events")).await.json();
    let events = page["events"].as_array().unwrap().clone();
    chained(&events, 0);
    assert_eq!((&page["closed"], &page["next"]), (&json!(true), &json!(events.len())));
    assert_eq!(events[0]["kind"], "run.created");
    assert_eq!(events.last().unwrap()["kind"], "run.closed");
    let part = served.get(&format!("/runs/{run}/events?from_seq=2&limit=3")).await.json();
    assert_eq!(part["events"], json!(events[2..5]));
    assert_eq!((&part["closed"], &part["next"]), (&json!(false), &json!(5)));

    let stream = |from: Option<&str>| {
        let request =
            served.client().get(served.url(&format!("/runs/{run}/events"))).header("accept", "text/event-stream");
        served.send(match from {
            Some(id) => request.header("last-event-id", id),
            None => request,
        })
    };
    let whole = stream(None).await;
    assert_eq!(whole.headers["content-type"], "text/event-stream");
    assert_eq!(told(&whole.text), events);
    assert!(whole.text.contains("event: run.event\n"));
    assert_eq!(told(&stream(Some("3")).await.text), events[4..]);
    let last = (events.len() - 1).to_string();
    assert_eq!(stream(Some(&last)).await.status, 204, "nothing is left to tell");
    stream(Some("99")).await.problem(400, "invalid");
    stream(Some("x")).await.problem(400, "invalid");
    served.get(&format!("/runs/{run}/events?limit=1001")).await.problem(400, "invalid");
    let unknown = "01890000-0000-7000-8000-000000000000";
    served.get(&format!("/runs/{unknown}/events")).await.problem(404, "not_found");
    served.get(&format!("/runs/{unknown}")).await.problem(404, "not_found");
    served.get("/runs/seven").await.problem(400, "invalid");
}

/// The events of an event stream, each `id` checked against its seq.
fn told(text: &str) -> Vec<Value> {
    let mut events = Vec::new();
    for block in text.split("\n\n") {
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
        if let Some(data) = field("data: ") {
            let event: Value = serde_json::from_str(data).expect("JSON");
            assert_eq!(field("id: ").expect("an id"), event["seq"].to_string());
            events.push(event);
        }
    }
    events
}

#[tokio::test]
async fn a_live_stream_shows_a_cancel_as_it_happens() {
    let provider = Provider::start(&["never", "ends"], Duration::from_secs(20)).await;
    let environment: Vec<_> =
        provider.environment().into_iter().chain([("L9__SERVER__HTTP__HEARTBEAT", "1")]).collect();
    let served = Served::start_with(&environment, Provider::prepare).await;
    let waited = served.post("/agents/talker/runs", &json!({"input": "talk", "wait": 200})).await;
    assert_eq!(waited.status, 202, "the wait is bounded: {waited:?}");
    let run = waited.json()["run_id"].as_str().unwrap().to_owned();
    let request = served.client().get(served.url(&format!("/runs/{run}/events"))).header("accept", "text/event-stream");
    let mut stream = request.send().await.unwrap().bytes_stream();
    let mut text = String::new();
    while !text.contains("effect.intent") || !text.contains(": still here") {
        text.push_str(&String::from_utf8_lossy(&stream.next().await.unwrap().unwrap()));
    }
    let cancel = format!("/runs/{run}/cancel");
    served.post(&cancel, &json!({})).await.problem(400, "invalid");
    served.post(&cancel, &json!({"reason": " "})).await.problem(400, "invalid");
    let asked = served.post(&cancel, &json!({"reason": "enough"})).await;
    assert_eq!(asked.status, 202, "{asked:?}");
    while let Some(more) = stream.next().await {
        text.push_str(&String::from_utf8_lossy(&more.unwrap()));
    }
    let events = told(&text);
    chained(&events, 0);
    let kinds: Vec<&str> = events.iter().map(|event| event["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"cancel.requested"), "{kinds:?}");
    assert_eq!(events.last().unwrap()["data"]["status"], "cancelled");
    assert_eq!(served.get(&format!("/runs/{run}")).await.json()["cancel_reason"], "enough");
}

#[tokio::test]
async fn memory_is_kept_found_shown_and_forgotten() {
    let served = Served::start().await;
    let entries = json!([
        {"text": PASSAGE, "source": "docs/runs.md", "key": "runs", "labels": {"untrusted": ["web"]}, "metadata": {"n": 1}},
        {"text": "A lease is fenced by its epoch.", "agent": "researcher", "session": "s1", "at": "2026-01-31T12:00:00Z"},
    ]);
    let kept = served.post("/memory", &entries).await;
    assert_eq!(kept.status, 201, "{kept:?}");
    let again = served.post("/memory", &entries).await;
    assert_eq!(again.status, 200);
    let (kept, again) = (kept.json(), again.json());
    assert_eq!(again["results"][0], json!({"id": kept["results"][0]["id"], "duplicate": true}));

    let found = served.get("/memory/search?q=lease+epoch&k=1").await.json();
    let hit = &found["results"][0];
    assert_eq!(hit["text"], "A lease is fenced by its epoch.");
    assert_eq!((&hit["agent"], &hit["session"]), (&json!("researcher"), &json!("s1")));
    assert_eq!(hit["at"], "2026-01-31T12:00:00.000Z");
    for field in ["id", "key", "text", "score", "source", "agent", "session", "at", "labels"] {
        assert!(hit.get(field).is_some(), "{field} is missing in {hit}");
    }
    let other = served.get("/memory/search?q=lease+epoch&agent=other").await.json();
    assert_eq!(other, json!({"results": []}));

    let id = kept["results"][0]["id"].as_str().unwrap();
    let entry = served.get(&format!("/memory/{id}")).await.json();
    assert_eq!((&entry["text"], &entry["metadata"]), (&json!(PASSAGE), &json!({"n": 1})));
    assert_eq!(served.request(Method::DELETE, &format!("/memory/{id}")).await.status, 204);
    served.request(Method::DELETE, &format!("/memory/{id}")).await.problem(404, "not_found");
    served.get(&format!("/memory/{id}")).await.problem(404, "not_found");

    for bad in ["q=", "k=1", "q=x&k=0", "q=x&k=101", "q=x&layer=deep", "q=x&agent=No", "q=x&as_of=noon", "q=x&z=1"] {
        served.get(&format!("/memory/search?{bad}")).await.problem(400, "invalid");
    }
    for bad in [
        json!([]),
        json!({}),
        json!({"text": ""}),
        json!({"text": "x", "colour": 1}),
        json!("x"),
        json!([{"text": "x"}, 7]),
    ] {
        served.post("/memory", &bad).await.problem(400, "invalid");
    }
    let clash = json!({"text": "another", "key": "runs2"});
    assert_eq!(served.post("/memory", &clash).await.status, 201);
    served.post("/memory", &json!({"text": "different", "key": "runs2"})).await.problem(409, "conflict");
    served.get("/memory/seven").await.problem(400, "invalid");
}

#[tokio::test]
async fn the_audit_shows_every_record_newest_first() {
    let served = Served::start().await;
    let (one, two) = (served.research().await, served.research().await);
    let (mut records, mut from) = (Vec::new(), String::new());
    loop {
        let page = served.get(&format!("/memory/audit?limit=3{from}")).await.json();
        records.extend(page["records"].as_array().unwrap().clone());
        match page["next"].as_u64() {
            Some(next) => from = format!("&from={next}"),
            None => break,
        }
    }
    for run in [one, two] {
        let mut of_run: Vec<Value> = records.iter().filter(|record| record["run_id"] == *run).cloned().collect();
        of_run.reverse();
        let events = served.get(&format!("/runs/{run}/events")).await.json();
        for (record, event) in of_run.iter().zip(events["events"].as_array().unwrap()) {
            for field in ["seq", "kind", "at", "hash", "data"] {
                assert_eq!(record[field], event[field]);
            }
        }
        assert_eq!(json!(of_run.len()), events["next"]);
    }
    served.get("/memory/audit?limit=501").await.problem(400, "invalid");
}

#[tokio::test]
async fn whoever_asks_gets_checkpoints_proofs_and_evidence_that_verify() {
    use l9::digest::Digest;
    use l9::evidence::{SignedCheckpoint, Trust, VerifyingKey, verify_bundle, verify_consistency, verify_inclusion};
    let served = Served::start().await;
    assert!(served.get("/audit/checkpoint").await.problem(404, "not_found").contains("before the first run"));
    let run = async |expression: &str| {
        let called = served.post("/tools/calc/evaluate/call", &json!({"arguments": {"expression": expression}})).await;
        called.json()["run_id"].as_str().unwrap().to_owned()
    };
    let first = run("1 + 1").await;
    let kept = served.get("/audit/checkpoint").await.json();
    let second = run("2 + 2").await;
    let key: VerifyingKey = kept["vkey"].as_str().unwrap().parse().unwrap();
    let head = SignedCheckpoint::open(&key, kept["note"].as_str().unwrap()).unwrap().checkpoint;
    assert_eq!(json!(head.size), kept["size"]);
    let digest = |value: &Value| value.as_str().unwrap().parse::<Digest>().unwrap();
    let digests = |value: &Value| value.as_array().unwrap().iter().map(digest).collect::<Vec<_>>();
    for (run, seq) in [(&first, 0), (&second, 1), (&second, 3)] {
        let proof = served.get(&format!("/audit/proof?run={run}&seq={seq}&from={}", head.size)).await.json();
        let now = SignedCheckpoint::open(&key, proof["checkpoint"]["note"].as_str().unwrap()).unwrap().checkpoint;
        let (leaf, hash) = (proof["leaf"].as_u64().unwrap(), digest(&proof["leaf_hash"]));
        verify_inclusion(leaf, now.size, &hash, &digests(&proof["inclusion"]), &now.root).unwrap();
        let hashes = digests(&proof["consistency"]["hashes"]);
        verify_consistency((head.size, &head.root), (now.size, &now.root), &hashes).unwrap();
    }
    let evidence = served.get(&format!("/audit/evidence/{second}")).await;
    assert_eq!(
        (evidence.status.as_u16(), &evidence.headers["content-type"]),
        (200, &"application/jsonl".parse().unwrap())
    );
    let verdict = verify_bundle(evidence.text.as_bytes(), &Trust { key: &key, head: kept["note"].as_str() });
    assert!(verdict.ok, "{:?}", verdict.faults);
    let unknown = "01890000-0000-7000-8000-000000000000";
    for path in [format!("/audit/evidence/{unknown}"), format!("/audit/proof?run={unknown}&seq=0")] {
        served.get(&path).await.problem(404, "not_found");
    }
    served.get(&format!("/audit/proof?run={second}&seq=999")).await.problem(404, "not_found");
    served.get(&format!("/audit/proof?run={second}&seq=0&from=999999")).await.problem(400, "invalid");
    served.get(&format!("/audit/proof?run={second}")).await.problem(400, "invalid");
    let metrics = served.get("/metrics").await.text;
    assert!(metrics.contains("l9_audit_checkpoints_total") && metrics.contains("l9_audit_tree_size"), "{metrics}");
}

#[tokio::test]
async fn tools_are_described_and_called_on_the_governed_path() {
    let served = Served::start().await;
    let tools = served.get("/tools").await.json();
    let ids: Vec<&str> = tools["tools"].as_array().unwrap().iter().map(|tool| tool["id"].as_str().unwrap()).collect();
    assert!(ids.contains(&"calc/evaluate") && ids.contains(&"memory/search"), "{ids:?}");
    let plain = served.get("/tools/calc/evaluate").await.json();
    assert_eq!(plain, served.get("/tools/calc%2Fevaluate").await.json());
    assert_eq!(plain["manifest"]["id"], "calc/evaluate");
    served.get("/tools/calc").await.problem(400, "invalid");
    served.get("/tools/no/such").await.problem(404, "not_found");

    served.warm().await;
    let arguments = |text: &str| json!({"arguments": {"expression": text}});
    for path in ["/tools/calc/evaluate/call", "/tools/calc%2Fevaluate/call"] {
        let called = served.post(path, &arguments("15% of 2730")).await;
        assert_eq!(called.status, 200, "{called:?}");
        let body = called.json();
        assert!(body["result"].to_string().contains("409.5"), "{body}");
        let run = served.get(&format!("/runs/{}", body["run_id"].as_str().unwrap())).await.json();
        assert_eq!((&run["kind"], &run["state"]), (&json!("tool"), &json!("succeeded")));
    }
    let call = "/tools/calc/evaluate/call";
    let failed = served.post(call, &arguments("1/0")).await;
    assert!(failed.problem(422, "failed").contains("division by zero"));
    let body = failed.json();
    let run = body["run_id"].as_str().unwrap();
    assert_eq!(served.get(&format!("/runs/{run}")).await.json()["state"], "failed");
    let wrong = served.post(call, &json!({"arguments": {"expr": "1"}})).await;
    wrong.problem(422, "invalid");
    assert_eq!(wrong.json()["code"], "invalid_arguments");
    let denied = served.post(call, &json!({"arguments": {"expression": "1"}, "budget": {"calls": 0}})).await;
    assert!(denied.problem(403, "denied").contains("budget"));
    assert_eq!(denied.json()["code"], "budget_exceeded");
    served.post("/tools/no/such/call", &json!({})).await.problem(404, "not_found");
    served.post("/tools/calc/evaluate", &json!({})).await.problem(404, "not_found");
    served.post(call, &json!({"arguments": [1]})).await.problem(400, "invalid");
}

#[tokio::test]
async fn metrics_follow_the_classic_text_format() {
    let served = Served::start_with(&[("L9__WORKERS__CAPACITY__MODEL", "3")], |_| {}).await;
    served.remember().await;
    served.research().await;
    served.get("/memory/search?q=crash").await;
    let scraped = served.get("/metrics").await;
    assert_eq!(scraped.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let types = exposition(&scraped.text);
    for (name, kind) in [
        ("agent_execution_duration_ms", "histogram"),
        ("tool_execution_count", "counter"),
        ("memory_retrieval_latency_ms", "histogram"),
        ("task_queue_depth", "gauge"),
        ("database_connection_pool", "gauge"),
        ("l9_http_requests_total", "counter"),
        ("l9_effects_under_way", "gauge"),
        ("l9_effects_capacity", "gauge"),
    ] {
        assert_eq!(types.get(name).map(String::as_str), Some(kind), "{name}");
        let sample = |line: &&str| line.starts_with(name) && !line.starts_with('#');
        assert!(scraped.text.lines().any(|line| sample(&line)), "{name} has no sample");
    }
    assert!(scraped.text.contains("l9_effects_capacity{class=\"model\"} 3\n"), "{}", scraped.text);
    let runs = served.get("/runs").await.json();
    let run = runs["runs"][0]["run_id"].as_str().unwrap();
    assert!(!scraped.text.contains(run));
    assert!(
        !scraped.text.lines().any(|line| line.starts_with("redis")),
        "nothing is measured of a Redis that is not there"
    );
}

/// Checks a text of metrics as `promtool check metrics` would, and gives each type.
fn exposition(text: &str) -> std::collections::BTreeMap<String, String> {
    let (mut types, mut helps, mut samples) = (std::collections::BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
    assert!(text.ends_with('\n'));
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').expect("a help text");
            assert!(helps.insert(name.to_owned()) && !help.is_empty(), "{line}");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a type");
            assert!(helps.contains(name), "{name} has no help");
            assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "{line} comes twice");
        } else {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            assert!(value.parse::<f64>().is_ok(), "no number in {line}");
            assert!(samples.insert(series.to_owned()), "{series} comes twice");
            let name = series.split('{').next().unwrap_or(series);
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| {
                let family = name.strip_suffix(suffix)?;
                (types.get(family).map(String::as_str) == Some("histogram")).then_some(family)
            });
            assert!(types.contains_key(family.unwrap_or(name)), "{line} stands before its type");
        }
    }
    for (name, _) in types.iter().filter(|(_, kind)| *kind == "histogram") {
        let counts: Vec<&String> =
            samples.iter().filter(|series| series.starts_with(&format!("{name}_count"))).collect();
        for count in counts {
            let labels = count.split_once('{').map(|(_, labels)| labels.trim_end_matches('}'));
            let infinite = match labels {
                Some(labels) => format!("{name}_bucket{{{labels},le=\"+Inf\"}}"),
                None => format!("{name}_bucket{{le=\"+Inf\"}}"),
            };
            assert!(samples.contains(&infinite), "{infinite} is missing");
        }
    }
    types
}
