//! `/ws` of the served binary: every frame of the contract, clients that misbehave,
//! clients that come back, and many at once.

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use support::provider::Provider;
use support::{PASSAGE, Served, Socket, dense, pause};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

fn execute(input: &str, id: &str) -> Value {
    json!({"type": "agent.execute", "agent_id": "researcher", "input": input, "id": id})
}

#[tokio::test]
async fn an_agent_is_executed_and_followed_to_its_end() {
    let served = Served::start().await;
    served.remember().await;
    let mut socket = served.socket().await;
    socket.say(&execute("How does L9 resume a run after a crash?", "c1")).await;
    let frames = socket.hear_until("run.closed").await;
    let run = frames[0]["run_id"].as_str().unwrap().to_owned();
    assert_eq!(frames[0], json!({"type": "run.accepted", "id": "c1", "run_id": run}));
    let events = dense(&frames, 0);
    for field in ["type", "run_id", "seq", "prev", "kind", "at", "data", "hash", "epoch", "version"] {
        assert!(events[0].get(field).is_some(), "{field} is missing");
    }
    assert_eq!((&events[0]["kind"], &events[0]["run_id"]), (&json!("run.created"), &json!(run)));
    assert_eq!(events.last().unwrap()["kind"], "run.closed");
    let closed = frames.last().unwrap();
    assert_eq!((&closed["outcome"], &closed["run_id"]), (&json!("succeeded"), &json!(run)));
    assert_eq!(closed["citations"][0], json!({"source": "docs/runs.md", "quote": PASSAGE}));
    // What was heard is what the journal has.
    let page = served.get(&format!("/runs/{run}/events")).await.json();
    let told: Vec<Value> = events.into_iter().map(untyped).collect();
    assert_eq!(page["events"], json!(told));

    socket.say(&json!({"type": "memory.search", "q": "crash journal", "k": 1, "id": "m1"})).await;
    let results = socket.hear().await;
    assert_eq!((&results["type"], &results["id"]), (&json!("memory.results"), &json!("m1")));
    assert_eq!(results["results"][0]["text"], PASSAGE);
    socket.say(&json!({"type": "ping", "id": "p1"})).await;
    assert_eq!(socket.hear().await, json!({"type": "pong", "id": "p1"}));
    socket.say(&json!({"type": "ping"})).await;
    assert_eq!(socket.hear().await, json!({"type": "pong"}));
}

fn untyped(mut frame: Value) -> Value {
    frame.as_object_mut().expect("an object").remove("type");
    frame
}

#[tokio::test]
async fn what_is_not_understood_is_answered_and_the_connection_stays() {
    let served = Served::start().await;
    let mut socket = served.socket().await;
    let deep = format!("{{\"type\":\"ping\",\"id\":{}1{}}}", "[".repeat(99), "]".repeat(99));
    for (text, words) in [
        ("", "malformed JSON"),
        ("{", "malformed JSON"),
        ("7", "a JSON object"),
        (deep.as_str(), "nested deeper"),
        (r#"{"type":"ping","type":"ping"}"#, "duplicate key"),
        (r#"{"type":"run.freeze","run_id":"x"}"#, "is not known"),
        (r#"{"agent_id":"researcher"}"#, "needs a type"),
        (r#"{"type":"agent.execute","agent_id":"researcher"}"#, "missing field `input`"),
        (r#"{"type":"agent.execute","agent_id":"researcher","input":7}"#, "expected a string"),
        (r#"{"type":"agent.execute","agent_id":"researcher","input":" "}"#, "empty"),
        (r#"{"type":"agent.execute","agent_id":"nobody","input":"x"}"#, "no agent"),
        (r#"{"type":"ping","more":1}"#, "unknown field"),
        (r#"{"type":"run.subscribe","run_id":"x"}"#, "does not fit"),
        (r#"{"type":"run.subscribe","run_id":"01890000-0000-7000-8000-000000000000"}"#, "does not exist"),
        (r#"{"type":"run.cancel","run_id":"01890000-0000-7000-8000-000000000000"}"#, ""),
        (r#"{"type":"memory.search","q":"x","k":0}"#, "k is 0"),
        (r#"{"type":"memory.search","q":""}"#, "q is empty"),
    ] {
        socket.socket.send(Message::text(text)).await.unwrap();
        let error = socket.hear().await;
        assert_eq!(error["type"], "error", "{text}");
        assert!(error["problem"].as_str().unwrap().starts_with("urn:l9:error:"), "{error}");
        assert!(!error["title"].as_str().unwrap().is_empty());
        assert!(error["detail"].as_str().unwrap().contains(words), "{text}: {error}");
    }
    socket.socket.send(Message::binary(vec![1, 2, 3])).await.unwrap();
    assert!(socket.hear().await["detail"].as_str().unwrap().contains("binary"));
    socket.say(&json!({"type": "run.subscribe", "id": "s1"})).await;
    assert_eq!(socket.hear().await["id"], "s1");
    socket.say(&json!({"type": "ping"})).await;
    assert_eq!(socket.hear().await, json!({"type": "pong"}));
}

#[tokio::test]
async fn who_comes_back_hears_each_event_once() {
    let provider = Provider::start(&["one ", "two ", "three"], Duration::from_millis(300)).await;
    let served = Served::start_with(&provider.environment(), Provider::prepare).await;
    let mut socket = served.socket().await;
    socket.say(&json!({"type": "agent.execute", "agent_id": "talker", "input": "talk"})).await;
    let run = socket.hear().await["run_id"].as_str().unwrap().to_owned();
    let mut frames = Vec::new();
    while frames.iter().filter(|frame: &&Value| frame["type"] == "run.event").count() < 2 {
        frames.push(socket.hear().await);
    }
    drop(socket);

    let mut socket = served.socket().await;
    let next = frames.iter().filter(|frame| frame["type"] == "run.event").count() as u64;
    socket.say(&json!({"type": "run.subscribe", "run_id": run, "from_seq": next})).await;
    let rest = socket.hear_until("run.closed").await;
    dense(&rest, next);
    frames.extend(rest.clone());
    let events = dense(&frames, 0);
    assert_eq!(events.last().unwrap()["kind"], "run.closed");
    assert_eq!(rest.last().unwrap()["answer"], "one two three");
    let words: String =
        rest.iter().filter(|frame| frame["type"] == "run.delta").filter_map(|frame| frame["text"].as_str()).collect();
    assert!(words.contains("three"), "words come as they are written: {words:?}");

    // A run that ended is told again from any seq, then closed again.
    let last = events.len() as u64 - 1;
    socket.say(&json!({"type": "run.subscribe", "run_id": run, "from_seq": last})).await;
    let again = socket.hear_until("run.closed").await;
    assert_eq!(dense(&again, last).len(), 1);
    socket.say(&json!({"type": "run.subscribe", "run_id": run, "from_seq": last + 1})).await;
    assert_eq!(socket.hear().await["type"], "run.closed");
    socket.say(&json!({"type": "run.subscribe", "run_id": run, "from_seq": last + 2})).await;
    assert!(socket.hear().await["detail"].as_str().unwrap().contains("has no seq"));
}

#[tokio::test]
async fn a_run_is_followed_once_left_at_once_and_cancelled() {
    let provider = Provider::start(&["never"], Duration::from_secs(30)).await;
    let served = Served::start_with(&provider.environment(), Provider::prepare).await;
    let (mut one, mut two) = (served.socket().await, served.socket().await);
    one.say(&json!({"type": "agent.execute", "agent_id": "talker", "input": "talk"})).await;
    let run = one.hear().await["run_id"].clone();
    one.say(&json!({"type": "run.subscribe", "run_id": run, "id": "again"})).await;
    let refused = one.hear_until("error").await;
    let refused = refused.last().unwrap();
    assert_eq!((&refused["id"], &refused["problem"]), (&json!("again"), &json!("urn:l9:error:conflict")));
    one.say(&json!({"type": "run.unsubscribe", "run_id": run})).await;
    one.say(&json!({"type": "ping", "id": "left"})).await;
    one.hear_until("pong").await;

    two.say(&json!({"type": "run.subscribe", "run_id": run})).await;
    two.say(&json!({"type": "run.cancel", "run_id": run, "reason": "enough", "id": "x"})).await;
    let frames = two.hear_until("run.closed").await;
    let events = dense(&frames, 0);
    let asked = events.iter().find(|event| event["kind"] == "cancel.requested").expect("the request is journaled");
    assert_eq!(asked["data"]["reason"], "enough");
    assert_eq!(frames.last().unwrap()["outcome"], "cancelled");
    two.say(&json!({"type": "run.cancel", "run_id": run, "id": "late"})).await;
    assert_eq!(two.hear().await["problem"], "urn:l9:error:conflict");
    // Who left hears nothing of it.
    one.say(&json!({"type": "ping", "id": "quiet"})).await;
    assert_eq!(one.hear().await, json!({"type": "pong", "id": "quiet"}));
}

#[tokio::test]
async fn a_connection_follows_so_many_runs() {
    let provider = Provider::start(&["never"], Duration::from_secs(30)).await;
    let environment =
        [provider.environment().as_slice(), &[("L9__SERVER__HTTP__WEBSOCKET__SUBSCRIPTIONS", "2")]].concat();
    let served = Served::start_with(&environment, Provider::prepare).await;
    let mut socket = served.socket().await;
    for _ in 0..3 {
        socket.say(&json!({"type": "agent.execute", "agent_id": "talker", "input": "talk", "id": "x"})).await;
    }
    let frames = socket.hear_until("error").await;
    assert_eq!(frames.iter().filter(|frame| frame["type"] == "run.accepted").count(), 2);
    assert_eq!(frames.last().unwrap()["problem"], "urn:l9:error:exhausted");
    let runs = served.get("/runs").await.json();
    assert_eq!(runs["runs"].as_array().unwrap().len(), 2, "the third run was not begun");
}

#[tokio::test]
async fn oversized_garbled_and_broken_messages_end_the_connection_with_their_code() {
    let served = Served::start().await;
    let mut socket = served.socket().await;
    let _ = socket.socket.send(Message::text("x".repeat((1 << 20) + 1))).await;
    assert_eq!(socket.closed().await, Some(1009));
    let mut socket = served.socket().await;
    // Much more than the limit, in one go: the goodbye still arrives.
    let _ = socket.socket.send(Message::text("x".repeat(8 << 20))).await;
    assert_eq!(socket.closed().await, Some(1009));

    for (frame, code) in [
        (&[0x81, 0x81, 0, 0, 0, 0, 0xff][..], 1007_u16),
        (&[0x83, 0x80, 0, 0, 0, 0], 1002),
        (&[0x81, 0x02, b'{', b'}'], 1002),
    ] {
        let mut socket = served.socket().await;
        let tokio_tungstenite::MaybeTlsStream::Plain(stream) = socket.socket.get_mut() else { panic!("no TLS here") };
        stream.write_all(frame).await.unwrap();
        assert_eq!(socket.closed().await, Some(code), "{frame:?}");
    }
    assert_eq!(served.get("/livez").await.status, 200);
}

#[tokio::test]
async fn floods_and_silence_end_the_connection() {
    let environment = [
        ("L9__SERVER__HTTP__WEBSOCKET__BURST", "20"),
        ("L9__SERVER__HTTP__WEBSOCKET__RATE", "10"),
        ("L9__SERVER__HTTP__WEBSOCKET__PING", "1"),
        ("L9__SERVER__HTTP__WEBSOCKET__IDLE", "3"),
    ];
    let served = Served::start_with(&environment, |_| {}).await;
    let mut socket = served.socket().await;
    for _ in 0..100 {
        if socket.socket.feed(Message::text(r#"{"type":"ping"}"#)).await.is_err() {
            break;
        }
    }
    let _ = socket.socket.flush().await;
    let mut pongs = 0;
    let code = loop {
        match socket.next().await {
            Ok(frame) => pongs += u32::from(frame["type"] == "pong"),
            Err(code) => break code,
        }
    };
    assert_eq!(code, Some(1008));
    assert!((20..40).contains(&pongs), "the burst was answered: {pongs}");

    // Who reads answers pings, and stays.
    let mut alive = served.socket().await;
    assert!(tokio::time::timeout(Duration::from_secs(5), alive.socket.next()).await.is_ok(), "a ping comes");
    // Who does not, is let go.
    let mut silent = served.socket().await;
    for _ in 0..5 {
        let _ = tokio::time::timeout(Duration::from_secs(1), alive.next()).await;
    }
    alive.say(&json!({"type": "ping", "id": "alive"})).await;
    assert_eq!(alive.hear().await["id"], "alive");
    // What it was sent lies unread: pings, and then the close with its code.
    let tokio_tungstenite::MaybeTlsStream::Plain(stream) = silent.socket.get_mut() else { panic!("no TLS here") };
    let mut unread = Vec::new();
    stream.read_to_end(&mut unread).await.unwrap();
    assert!(unread.starts_with(&[0x89, 0]), "pings came: {unread:?}");
    let close = unread.iter().position(|byte| *byte == 0x88).expect("a close came");
    assert_eq!(unread[close + 2..close + 4], 1001_u16.to_be_bytes());
}

#[tokio::test]
async fn the_handshake_is_checked() {
    let served = Served::start().await;
    let refused = |name: &'static str, value: &'static str| {
        let mut request = format!("ws://{}/ws", served.address).into_client_request().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
        async move {
            match connect_async(request).await {
                Err(Error::Http(response)) => response.status().as_u16(),
                other => panic!("not refused: {other:?}"),
            }
        }
    };
    assert_eq!(refused("origin", "http://evil.example").await, 403);
    assert_eq!(refused("host", "evil.example").await, 403);
    assert_eq!(refused("sec-websocket-version", "8").await, 426);
    assert_eq!(refused("sec-websocket-key", "short").await, 426);
}

#[tokio::test]
async fn who_never_reads_is_let_go_and_holds_up_nobody() {
    let served = Served::start_with(&[("L9__SERVER__HTTP__WEBSOCKET__WRITE", "2")], |_| {}).await;
    let entries: Vec<Value> =
        (0..8).map(|number| json!({"text": format!("crash {number} {}", "words ".repeat(80_000))})).collect();
    assert_eq!(served.post("/memory", &json!(entries)).await.status, 201);
    let search = json!({"type": "memory.search", "q": "crash", "k": 8});
    let mut stuck = served.socket().await;
    // Answers of some megabytes each, of which not a byte is read.
    for _ in 0..20 {
        stuck.say(&search).await;
    }
    let mut quick = served.socket().await;
    quick.say(&json!({"type": "ping"})).await;
    assert_eq!(quick.hear().await["type"], "pong");
    for _ in 0..100 {
        if served.get("/metrics").await.text.contains("l9_websocket_closed_total{reason=\"stuck\"} 1") {
            quick.say(&json!({"type": "ping"})).await;
            assert_eq!(quick.hear().await["type"], "pong");
            return;
        }
        pause(200).await;
    }
    panic!("it was never let go: {}", served.log());
}

#[tokio::test]
async fn a_slow_reader_misses_nothing() {
    let served = Served::start_with(&[("L9__SERVER__HTTP__WEBSOCKET__QUEUE", "1")], |_| {}).await;
    served.remember().await;
    let (one, two) = (served.research().await, served.research().await);
    let mut slow = served.socket().await;
    for run in [&one, &two] {
        slow.say(&json!({"type": "run.subscribe", "run_id": run})).await;
    }
    let mut frames = Vec::new();
    while frames.iter().filter(|frame: &&Value| frame["type"] == "run.closed").count() < 2 {
        pause(20).await;
        frames.push(slow.hear().await);
    }
    for run in [one, two] {
        let told: Vec<Value> = frames.iter().filter(|frame| frame["run_id"] == *run).cloned().collect();
        let page = served.get(&format!("/runs/{run}/events")).await.json();
        assert_eq!(json!(dense(&told, 0).len()), page["next"]);
    }
}

#[tokio::test]
async fn a_hundred_clients_execute_at_once() {
    let served = Served::start().await;
    served.remember().await;
    let clients = (0..100).map(|number| {
        let address = served.address.clone();
        async move {
            let (socket, _) = connect_async(format!("ws://{address}/ws")).await.unwrap();
            let mut socket = Socket { socket };
            socket.say(&execute(&format!("How does L9 resume run {number} after a crash?"), &number.to_string())).await;
            let frames = socket.hear_until("run.closed").await;
            assert_eq!(frames[0]["id"], number.to_string());
            let run = frames[0]["run_id"].as_str().unwrap().to_owned();
            assert!(frames.iter().all(|frame| frame["run_id"] == *run), "only its own run is told");
            assert_eq!(frames.last().unwrap()["outcome"], "succeeded", "{:?}", frames.last());
            (run, dense(&frames, 0).len())
        }
    });
    let told: BTreeMap<String, usize> = futures_util::future::join_all(clients).await.into_iter().collect();
    assert_eq!(told.len(), 100);
    for (run, events) in told.iter().take(5) {
        let page = served.get(&format!("/runs/{run}/events")).await.json();
        assert_eq!(page["next"], json!(events));
    }
    let metrics = served.get("/metrics").await.text;
    assert!(metrics.contains("l9_websocket_subscriptions 0"), "every subscription ended");
}

#[tokio::test]
async fn a_stop_says_goodbye() {
    let provider = Provider::start(&["never"], Duration::from_secs(30)).await;
    let mut served = Served::start_with(&provider.environment(), Provider::prepare).await;
    let (mut idle, mut busy) = (served.socket().await, served.socket().await);
    busy.say(&json!({"type": "agent.execute", "agent_id": "talker", "input": "talk"})).await;
    busy.hear_until("run.event").await;
    served.terminate();
    assert_eq!(idle.closed().await, Some(1001));
    assert_eq!(busy.closed().await, Some(1001));
    assert_eq!(served.ended().await, Some(0), "{}", served.log());
}
