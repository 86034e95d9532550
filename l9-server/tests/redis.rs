//! A Redis server behind the real binary: short-term memories, found, gone with it, and nothing
//! else with them; and the queue, whose loss loses nothing.

mod support;

use l9_services::Redis;
use serde_json::json;
use support::{Served, pause};

#[tokio::test]
async fn a_redis_that_goes_away_takes_short_term_memories_only() {
    let redis = Redis::start();
    let (url, password) = (redis.bare_url(), redis.password());
    let environment = [
        ("REDIS_URL", url.as_str()),
        ("REDIS_PASSWORD", password),
        ("L9__REDIS__ANSWER_TIMEOUT_MS", "500"),
        ("L9__REDIS__CONNECT_TIMEOUT_MS", "500"),
    ];
    let served = Served::start_with(&environment, |_| {}).await;
    let remember = async |text: &str, layer: &str| served.post("/memory", &json!({"text": text, "layer": layer})).await;
    let found = async |words: &str, further: &str| {
        let answer = served.get(&format!("/memory/search?q={words}{further}")).await;
        (answer.status.as_u16(), answer.json()["results"].as_array().map_or(0, Vec::len))
    };
    assert_eq!(remember("the kestrel hovers", "short_term").await.status, 201);
    assert_eq!(remember("the merlin dives", "long_term").await.status, 201);
    assert_eq!(found("kestrel+merlin", "").await, (200, 2));
    assert_eq!(found("kestrel+merlin", "&layer=short_term").await, (200, 1));
    assert!(redis.written().windows(3).any(|part| part == b"l9:"));
    assert!(!redis.written().windows(7).any(|part| part == b"kestrel"));
    let health = served.get("/health").await;
    assert_eq!(health.json()["components"]["redis"]["status"], "ok", "{}", health.text);
    let metrics = served.get("/metrics").await.text;
    let used = metrics.lines().find_map(|line| line.strip_prefix("redis_memory_usage_bytes "));
    assert!(used.is_some_and(|used| used.parse::<f64>().unwrap() > 100_000.0), "{metrics}");

    redis.stop();
    served.get("/memory/search?q=kestrel&layer=short_term").await.problem(503, "unavailable");
    let refused = remember("the hobby hunts", "short_term").await.problem(503, "unavailable");
    assert!(refused.contains("Redis at 127.0.0.1"), "{refused}");
    assert_eq!(remember("the harrier glides", "long_term").await.status, 201);
    assert_eq!(found("kestrel+merlin+harrier", "").await, (200, 2));
    let health = served.get("/health").await;
    assert_eq!((health.status.as_u16(), &health.json()["components"]["redis"]["status"]), (503, &json!("failed")));
    assert_eq!(served.get("/readyz").await.status, 200);

    redis.resume();
    let mut back = 0;
    for _ in 0..100 {
        back = found("kestrel+merlin+harrier+hobby", "").await.1;
        if back == 3 {
            break;
        }
        pause(50).await;
    }
    assert_eq!(back, 3);
    for text in [served.log(), served.get("/health").await.text, served.get("/metrics").await.text] {
        assert!(!text.contains(password), "{text}");
    }
}

#[tokio::test]
async fn servers_queue_in_redis_and_go_on_when_it_was_wiped() {
    let redis = Redis::start();
    let url = redis.url();
    let environment = [("REDIS_URL", url.as_str()), ("L9__REDIS__ANSWER_TIMEOUT_MS", "500")];
    let served = Served::start_with(&environment, |_| {}).await;
    let beside = Served::start_over(&environment, served.data.path()).await;
    served.remember().await;
    served.research().await;
    assert!(redis.written().windows(7).any(|part| part == b":queue:"));
    let stands = served.get("/queue").await.json();
    assert_eq!((&stands["read_from"], &stands["ready"], &stands["dead"]), (&json!("redis"), &json!(0), &json!([])));

    // Both see the same, and while it is paused neither takes anything up.
    assert_eq!(beside.post("/queue/pause", &json!({})).await.json()["paused"], true);
    let started = served.post("/agents/researcher/runs", &json!({"input": "How does L9 resume a run?"})).await.json();
    pause(300).await;
    let seen = beside.get("/queue").await.json();
    assert_eq!((&seen["ready"], &seen["paused"]), (&json!(1), &json!(true)), "{seen}");
    let metrics = beside.get("/metrics").await.text;
    assert!(metrics.contains("task_queue_depth{state=\"ready\"} 1\n"), "{metrics}");
    let oldest = metrics.lines().find_map(|line| line.strip_prefix("l9_task_queue_oldest_seconds "));
    assert!(oldest.is_some_and(|oldest| oldest.parse::<f64>().unwrap() > 0.2), "{metrics}");

    // What is lost with it comes back from the database.
    assert!(redis.flush() > 0);
    let state = async |run: &serde_json::Value| served.get(&format!("/runs/{}", run.as_str().unwrap())).await.json();
    let mut tries = 0;
    while state(&started["run_id"]).await["state"] != "succeeded" {
        tries += 1;
        assert!(tries < 200, "the run does not go on: {}", served.log());
        pause(50).await;
    }
    redis.stop();
    let started = served.post("/agents/researcher/runs", &json!({"input": "How does it resume one?"})).await;
    assert_eq!(started.status, 202, "an acknowledged start needs no Redis: {started:?}");
    assert_eq!(served.get("/health").await.json()["components"]["queue"]["status"], "failed");
    // Nor does it wait for Redis: what is due goes past the queue.
    tries = 0;
    while state(&started.json()["run_id"]).await["state"] != "succeeded" {
        tries += 1;
        assert!(tries < 400, "the run does not go on: {}", served.log());
        pause(50).await;
    }
    redis.resume();
    tries = 0;
    while served.get("/health").await.json()["components"]["queue"]["status"] != "ok" {
        tries += 1;
        assert!(tries < 400, "the queue does not come back: {}", served.log());
        pause(50).await;
    }
}
