//! Schedules by HTTP: a served system starts their runs, once for each tick, and says what
//! became of them.

mod support;

use http::Method;
use serde_json::{Value, json};
use support::{Served, pause};

fn every_second(overlap: &str) -> Value {
    let call = json!({"tool": {"id": "calc/evaluate", "arguments": {"expression": "2 + 2"}}});
    json!({"when": {"every_ms": 1000}, "starts": call, "overlap": overlap})
}

/// The schedule, once it has so many ticks.
async fn ticked(served: &Served, id: &str, count: usize) -> Value {
    let mut attempts = 0;
    loop {
        let shown = served.get(&format!("/schedules/{id}")).await.json();
        if shown["recent"].as_array().is_some_and(|ticks| ticks.len() >= count) {
            return shown;
        }
        attempts += 1;
        assert!(attempts < 600, "{id} has no {count} ticks: {shown}");
        pause(50).await;
    }
}

#[tokio::test]
async fn a_served_system_starts_the_runs_of_a_schedule_and_two_start_none_twice() {
    let environment = [("L9__SCHEDULER__POLL_MS", "20")];
    let served = Served::start_with(&environment, |_| {}).await;
    served.warm().await;
    let made = served.post("/schedules", &json!({"id": "sums", "definition": every_second("queue")})).await;
    assert_eq!((made.status.as_u16(), &made.headers["location"]), (201, &"/schedules/sums".parse().unwrap()));
    let shown = ticked(&served, "sums", 3).await;
    let ticks = shown["recent"].as_array().unwrap();
    assert!(ticks.iter().all(|tick| tick["outcome"] == "started" && tick["error"] == Value::Null), "{shown}");
    assert_eq!(shown["last_run"], ticks[0]["run"]);
    let run = served.get(&format!("/runs/{}", ticks[2]["run"].as_str().unwrap())).await.json();
    assert_eq!((&run["kind"], &run["principal"]["subject"]), (&json!("tool"), &json!("person:local")), "{run}");
    let paused = served.post("/schedules/sums/pause", &json!({})).await.json();
    assert!(paused["paused"]["at"].is_string() && paused["next"] == Value::Null, "{paused}");
    pause(300).await;
    let before = served.get("/schedules/sums").await.json()["recent"].as_array().unwrap().len();
    pause(1_500).await;
    let still = served.get("/schedules/sums").await.json();
    assert_eq!(still["recent"].as_array().unwrap().len(), before, "nothing starts while it is paused: {still}");
    // As many runs as ticks, each of another tick.
    let runs = served.get("/runs?agent=calc%2Fevaluate&limit=200").await.json();
    let of =
        |name: &str| still["recent"].as_array().unwrap().iter().map(|tick| tick[name].to_string()).collect::<Vec<_>>();
    let ids: Vec<String> = runs["runs"].as_array().unwrap().iter().map(|run| run["run_id"].to_string()).collect();
    let (mut tick_times, tick_runs) = (of("tick"), of("run"));
    tick_times.dedup();
    assert_eq!(tick_times.len(), before);
    assert!(tick_runs.iter().all(|run| ids.iter().filter(|id| *id == run).count() == 1), "{still} {runs}");
    let metrics = served.get("/metrics").await.text;
    assert!(metrics.contains("l9_schedule_ticks_total{outcome=\"started\"}"), "ticks are counted");
    assert!(metrics.contains("\nl9_schedule_lag_seconds "), "and how late they were");
    assert_eq!(served.post("/schedules/sums/resume", &json!({})).await.json()["paused"], Value::Null);
    assert_eq!(served.request(Method::DELETE, "/schedules/sums").await.status, 204);
    served.get("/schedules/sums").await.problem(404, "not_found");
}

#[tokio::test]
async fn what_is_refused_is_told_and_a_scheduler_may_be_left_to_others() {
    let served = Served::start_with(&[("L9__SCHEDULER__ENABLED", "false")], |_| {}).await;
    let wrong = |definition: Value| json!({"id": "a", "definition": definition});
    let starts = json!({"agent": {"id": "researcher", "input": "x"}});
    let cron = json!({"when": {"cron": {"line": "0 25 * * *"}}, "starts": starts});
    let detail = served.post("/schedules", &wrong(cron)).await.problem(400, "invalid");
    assert!(detail.contains("field 2 of the cron line"), "{detail}");
    let zone = json!({"when": {"cron": {"line": "@daily", "zone": "new york"}}, "starts": starts});
    let detail = served.post("/schedules", &wrong(zone)).await.problem(400, "invalid");
    assert!(detail.contains("did you mean America/New_York"), "{detail}");
    let unknown = json!({"when": {"every_ms": 1000}, "starts": {"agent": {"id": "nobody", "input": "x"}}});
    served.post("/schedules", &wrong(unknown)).await.problem(404, "not_found");
    let field = json!({"when": {"every_ms": 1000}, "starts": starts, "retries": 3});
    served.post("/schedules", &wrong(field)).await.problem(400, "invalid");
    let about = json!({"text": "takes tea without milk", "subject": "Ann"});
    let node = json!({"id": "keep", "tool": "memory/remember", "arguments": about});
    let notes = json!({"plan": "notes", "nodes": [node]});
    let within = json!({"plan": "more", "nodes": [{"id": "notes", "plan": notes}]});
    for starts in [
        json!({"tool": {"id": "memory/remember", "arguments": about}}),
        json!({"plan": {"plan": notes}}),
        json!({"plan": {"plan": within}}),
    ] {
        let named = wrong(json!({"when": {"every_ms": 1000}, "starts": starts}));
        let detail = served.post("/schedules", &named).await.problem(400, "invalid");
        assert!(detail.contains("name a data subject"), "{detail}");
    }
    for id in ["b", "a", "c"] {
        let made = served.post("/schedules", &json!({"id": id, "definition": every_second("skip")})).await;
        assert_eq!(made.status, 201, "{made:?}");
    }
    served.post("/schedules", &wrong(every_second("skip"))).await.problem(409, "conflict");
    let page = served.get("/schedules?limit=2").await.json();
    assert_eq!((&page["schedules"][0]["id"], &page["next"]), (&json!("a"), &json!("b")), "{page}");
    let rest = served.get("/schedules?limit=2&cursor=b").await.json();
    assert_eq!((&rest["schedules"][0]["id"], &rest["next"]), (&json!("c"), &Value::Null), "{rest}");
    let ticks = served.get("/schedules/a/preview?n=4").await.json();
    assert_eq!(ticks["ticks"].as_array().unwrap().len(), 4);
    served.get("/schedules/a/preview?n=0").await.problem(400, "invalid");
    pause(1_500).await;
    assert_eq!(served.get("/schedules/a").await.json()["recent"], json!([]), "nobody looks");
}
