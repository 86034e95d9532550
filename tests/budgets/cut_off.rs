//! Crashes: what was open stays charged at its reservation, and finding out what became of it
//! has to fit into what is left.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use l9::kernel::Advance as _;
use l9::native::NativeTool;
use l9::queue::Task;
use l9::run::{Event, RunState};
use l9::tool::{EffectClass, Limits, Probed};
use l9::{Budget, Engine, Principal, Runtime, StartOptions, native};
use l9_memory::in_memory::Store;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::Nothing;
use crate::clock::Hand;
use crate::nodes::{LEASE, engine};

/// A write that hangs at its first attempt, and two nodes that may perform it.
struct Cut {
    hand: Arc<Hand>,
    nodes: [Engine; 2],
    began: Arc<Notify>,
    calls: Arc<AtomicU32>,
    probes: Arc<AtomicU32>,
}

impl Cut {
    async fn new(class: EffectClass) -> Self {
        let (began, calls, probes) =
            (Arc::<Notify>::default(), Arc::<AtomicU32>::default(), Arc::<AtomicU32>::default());
        let write = write(class, &began, &calls, &probes);
        let runtime = Runtime::builder().in_memory().tool(write).build().await.unwrap();
        Self::of(&runtime, began, calls, probes)
    }

    fn of(runtime: &Runtime, began: Arc<Notify>, calls: Arc<AtomicU32>, probes: Arc<AtomicU32>) -> Self {
        let hand = Arc::new(Hand::default());
        let store = Arc::new(Store::new(Arc::<Hand>::clone(&hand)));
        let nodes = ["first", "second"].map(|name| engine(runtime, &store, &hand, name));
        Self { hand, nodes, began, calls, probes }
    }

    /// Cuts the write off in the middle under this budget, and has another node take it up.
    async fn over(&self, budget: Budget) -> (RunState, Vec<Event>) {
        let [first, second] = &self.nodes;
        let (principal, tool) = (Principal::local(), "ledger/write".parse().unwrap());
        let options = StartOptions { budget, ..StartOptions::default() };
        let run = first.start_tool(&principal, &tool, "{}", options).await.unwrap().run;
        let task = Task { tenant: principal.tenant.clone(), run, priority: 0 };
        tokio::select! {
            biased;
            () = self.began.notified() => {}
            ended = first.advance(&task) => panic!("it hangs: {ended:?}"),
        }
        self.hand.go_on(2 * LEASE);
        second.advance(&task).await.unwrap();
        let events = second.feed(&principal.tenant, run, 0).await.unwrap().page().await.unwrap();
        let (_, state) = second.show(&principal.tenant, run).await.unwrap();
        assert_eq!(budget.exceeded_by(&state.spent.plus(state.reserved)), None);
        (state, events.into_iter().map(|(_, event)| event).collect())
    }
}

fn write(class: EffectClass, began: &Arc<Notify>, calls: &Arc<AtomicU32>, probes: &Arc<AtomicU32>) -> NativeTool {
    let (began, calls, probes) = (Arc::clone(began), Arc::clone(calls), Arc::clone(probes));
    let write = native::tool("ledger/write", "1.0.0", "Writes; hangs the first time.").effect(class);
    let write = write.handler(move |_, _: Nothing| {
        let (began, hangs) = (Arc::clone(&began), calls.fetch_add(1, Ordering::Relaxed) == 0);
        async move {
            if hangs {
                began.notify_one();
                std::future::pending::<()>().await;
            }
            Ok(Nothing {})
        }
    });
    write.with_probe(move |_, _: Nothing| {
        probes.fetch_add(1, Ordering::Relaxed);
        async move { Ok(Probed::Happened(json!({}))) }
    })
}

fn millis(time_ms: u64) -> Budget {
    Budget { time_ms: Some(time_ms), ..Budget::default() }
}

/// What one call reserves.
fn wall() -> u64 {
    Limits::default().wall_ms
}

#[tokio::test]
async fn an_attempt_that_a_crash_cut_off_stays_charged_at_its_reservation() {
    let cut = Cut::new(EffectClass::KeyedWrite).await;
    let (state, events) = cut.over(millis(2 * wall())).await;
    let reserved: Vec<u64> = events.iter().filter_map(reserved).collect();
    assert_eq!(reserved, [wall(), wall()]);
    assert_eq!(cut.calls.load(Ordering::Relaxed), 2);
    assert_eq!(state.spent.calls, 2);
    assert!((wall()..wall() + 1_000).contains(&state.spent.time_ms), "{:?}", state.spent);
}

fn reserved(event: &Event) -> Option<u64> {
    match event {
        Event::EffectIntent(intent) => Some(intent.reserved.time_ms),
        _ => None,
    }
}

#[tokio::test]
async fn what_a_crash_used_up_is_not_there_for_another_attempt() {
    let cut = Cut::new(EffectClass::KeyedWrite).await;
    let (state, _) = cut.over(millis(wall())).await;
    assert_eq!(cut.calls.load(Ordering::Relaxed), 1, "nothing is begun");
    assert_eq!(state.undecided().count(), 1, "it may have happened, so it is not denied");
    assert_eq!((state.spent.time_ms, state.spent.calls), (wall(), 1));
}

#[tokio::test]
async fn a_question_about_a_write_takes_of_what_is_left_beside_its_reservation() {
    let cut = Cut::new(EffectClass::QueryableWrite).await;
    let (state, _) = cut.over(millis(wall() + 1_000)).await;
    assert_eq!((cut.calls.load(Ordering::Relaxed), cut.probes.load(Ordering::Relaxed)), (1, 1));
    assert!(state.closed.is_some());
    assert!((wall() + 1..=wall() + 1_000).contains(&state.spent.time_ms), "{:?}", state.spent);

    let cut = Cut::new(EffectClass::QueryableWrite).await;
    let (state, _) = cut.over(millis(wall())).await;
    assert_eq!((cut.calls.load(Ordering::Relaxed), cut.probes.load(Ordering::Relaxed)), (1, 0), "nobody is asked");
    let why: Vec<&str> = state.undecided().map(|(_, why)| why).collect();
    assert!(matches!(why[..], [why] if why.contains("no time_ms left")), "{why:?}");
}

/// An outside that never answers a write, and answers what asks about it; keeps the bytes of
/// every request.
async fn outside(began: &Arc<Notify>) -> (u16, Arc<Mutex<Vec<u64>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, seen) = (listener.local_addr().unwrap().port(), Arc::<Mutex<Vec<u64>>>::default());
    let (began, saw) = (Arc::clone(began), Arc::clone(&seen));
    tokio::spawn(async move {
        let mut hanging = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let (mut bytes, body) = (Vec::new(), r#"{"text":"hello"}"#);
            let is_whole = |bytes: &[u8]| bytes.starts_with(b"GET ") && bytes.ends_with(b"\r\n\r\n");
            while !is_whole(&bytes) && !bytes.ends_with(body.as_bytes()) {
                assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
            }
            saw.lock().unwrap().push(bytes.len() as u64);
            if bytes.starts_with(b"GET ") {
                let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                stream.write_all(answer.as_bytes()).await.unwrap();
            } else {
                hanging.push(stream);
                began.notify_one();
            }
        }
    });
    (port, seen)
}

#[tokio::test]
async fn a_question_about_a_write_sends_no_more_than_is_left() {
    let began = Arc::<Notify>::default();
    let (port, seen) = outside(&began).await;
    let grant = |method| json!({"scheme": "http", "host": "127.0.0.1", "port": port, "methods": [method], "allow_private": true});
    let manifest = json!({
        "schema_version": 1, "id": "ledger/write", "version": "1.0.0", "title": "Write", "description": "Writes.",
        "effect": "queryable_write", "input_schema": {"type": "object"},
        "runtime": {
            "kind": "http", "method": "POST", "url": format!("http://127.0.0.1:{port}/notes"), "body": {"text": "hello"},
            "probe": {"method": "GET", "url": format!("http://127.0.0.1:{port}/by-key/{{$idempotency_key}}")},
        },
        "net": [grant("POST"), grant("GET")],
    });
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("write.json"), manifest.to_string()).unwrap();
    let runtime = Runtime::builder().in_memory().tools_dir(folder.path()).build().await.unwrap();
    let cut = || Cut::of(&runtime, Arc::clone(&began), Arc::default(), Arc::default());
    let bytes = |egress_bytes| Budget { egress_bytes: Some(egress_bytes), ..Budget::default() };

    let (state, _) = cut().over(Budget::default()).await;
    let [written, asked] = seen.lock().unwrap()[..] else { panic!("a write and a question") };
    assert_eq!((state.closed.is_some(), state.spent.egress_bytes), (true, written + asked));
    let (state, _) = cut().over(bytes(written + asked)).await;
    assert_eq!((state.closed.is_some(), state.spent.egress_bytes), (true, written + asked));
    let (state, _) = cut().over(bytes(written + asked - 1)).await;
    assert_eq!((state.undecided().count(), state.spent.egress_bytes), (1, written));
    assert_eq!(*seen.lock().unwrap(), [written, asked, written, asked, written], "the last question did not leave");
}
