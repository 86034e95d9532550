//! What long, interrupted and waiting runs cost: opening a long run from its snapshot,
//! taking up what a dead process left, memory and waking of runs that wait; and how soon an idle
//! system begins what it accepted. Prints figures; asserts only that nothing was lost.
//!
//! Run with `cargo bench -p l9 --bench lifecycle [-- long|recovery|waiting|held|started [N]]`.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a benchmark may fail, and reads the real clock")]

mod machine;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use l9::journal::{RunFilter, Status};
use l9::kernel::StartOptions;
use l9::model::scripted::{Scripted, Turn};
use l9::{AgentProfile, Builder, Runtime, Settings};
use machine::{kilobytes, sqlite};
use sqlx::{Connection as _, SqliteConnection};
use tokio::sync::Semaphore;

fn main() {
    let only = std::env::args().nth(1).filter(|name| !name.starts_with('-'));
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    let count = |default: usize| std::env::args().nth(2).and_then(|count| count.parse().ok()).unwrap_or(default);
    if wanted("long") {
        threads().block_on(long(count(200)));
    }
    if wanted("recovery") {
        recovery(count(1_000));
    }
    if wanted("waiting") {
        threads().block_on(waiting(count(100_000)));
    }
    if wanted("held") {
        threads().block_on(held(count(5_000)));
    }
    if wanted("started") {
        threads().block_on(started(count(500)));
    }
}

fn threads() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().unwrap()
}

/// Does nothing.
#[derive(serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
struct Nothing {}

fn system(folder: &Path, turns: Vec<Turn>, concurrency: usize) -> Builder {
    let nothing = l9::native::tool("bench/nothing", "1.0.0", "Does nothing.")
        .effect(l9::tool::EffectClass::Read)
        .handler(|_, _: Nothing| async move { Ok(Nothing {}) });
    let mut agent =
        AgentProfile::new("bench").unwrap().with_model("script").unwrap().with_tool("bench/nothing").unwrap();
    (agent.limits.turns, agent.limits.parallel_tools) = (10_000, 256);
    let mut settings = Settings { data_dir: folder.to_owned(), ..Settings::default() };
    settings.worker.concurrency = concurrency;
    settings.queue.capacity = 1_000_000;
    Runtime::builder().settings(settings).model("script", Arc::new(Scripted::new(turns))).agent(agent).tool(nothing)
}

/// One run of `turns` turns with 249 calls each: about 500 events a turn.
async fn long(turns: usize) {
    for turns in [turns / 100, turns / 10, turns] {
        let folder = tempfile::tempdir().unwrap();
        let mut script: Vec<Turn> = (0..turns).map(|_| Turn::call(vec![("bench/nothing", "{}"); 249])).collect();
        script.push(Turn::say("done"));
        let runtime = system(folder.path(), script, 4).build().await.unwrap();
        let tenant = runtime.principal().tenant;
        let began = Instant::now();
        let handle = runtime.run("bench", "go").await.unwrap();
        let run = handle.run();
        assert_eq!(handle.outcome().await.unwrap().status, Status::Succeeded);
        let took = began.elapsed();
        let (row, _) = runtime.engine().show(&tenant, run).await.unwrap();
        let snapshot = runtime.store().snapshot(&tenant, run).await.unwrap();
        let opened: Vec<Duration> = futures(9, || async {
            let began = Instant::now();
            let shown = runtime.engine().show(&tenant, run).await.unwrap();
            let took = began.elapsed();
            drop(shown);
            took
        })
        .await;
        println!(
            "a run of {} events (made in {:.1} s): opens in {:.1} ms at the median; its snapshot is of {} and has {} KB",
            row.head.next,
            took.as_secs_f64(),
            median(opened).as_secs_f64() * 1e3,
            snapshot.as_ref().map_or(0, |snapshot| snapshot.head.next),
            snapshot.map_or(0, |snapshot| snapshot.sealed.len() / 1024)
        );
        runtime.shutdown().await;
    }
}

async fn futures<F: Future<Output = Duration>>(count: usize, work: impl Fn() -> F) -> Vec<Duration> {
    let mut took = Vec::new();
    for _ in 0..count {
        took.push(work().await);
    }
    took
}

fn median(mut took: Vec<Duration>) -> Duration {
    took.sort();
    took[took.len() / 2]
}

/// Runs of about 100 events, all in the middle of a model call when their process dies.
fn recovery(count: usize) {
    let folder = tempfile::tempdir().unwrap();
    let script = |last: Turn| {
        let mut turns: Vec<Turn> = (0..24).map(|_| Turn::call([("bench/nothing", "{}")])).collect();
        turns.push(last);
        turns
    };
    let threads = threads();
    threads.block_on(async {
        let hangs = Turn::say("never").after(Duration::from_secs(3600));
        let runtime = system(folder.path(), script(hangs), count).build().await.unwrap();
        runtime.start().await;
        for n in 0..count {
            let (principal, agent) = (runtime.principal(), "bench".parse().unwrap());
            let options = StartOptions { idempotency_key: Some(n.to_string()), ..StartOptions::default() };
            runtime.engine().start_agent(&principal, &agent, "go", options).await.unwrap();
        }
        while rows(&runtime).await.iter().any(|row| row.head.next < 99) {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    threads.shutdown_timeout(Duration::from_secs(1));
    self::threads().block_on(async {
        let began = Instant::now();
        let runtime = system(folder.path(), script(Turn::say("done")), 256).build().await.unwrap();
        runtime.start().await;
        let ready = began.elapsed();
        let events: u64 = rows(&runtime).await.iter().map(|row| row.head.next).sum();
        let (mut taken, mut looked) = (None, 0);
        loop {
            let rows = rows(&runtime).await;
            looked += 1;
            if taken.is_none() && rows.iter().all(|row| row.epoch > 1) {
                taken = Some(began.elapsed());
            }
            if rows.iter().all(|row| row.status == Status::Succeeded) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        println!(
            "{count} interrupted runs of {} events on average: ready after {:.0} ms, all taken up after {:.2} s, all ended \
             after {:.2} s ({looked} looks)",
            events / count as u64,
            ready.as_secs_f64() * 1e3,
            taken.unwrap_or_else(|| began.elapsed()).as_secs_f64(),
            began.elapsed().as_secs_f64()
        );
        assert_eq!(runtime.verify().await.unwrap().faults, []);
        runtime.shutdown().await;
    });
}

async fn rows(runtime: &Runtime) -> Vec<l9::journal::RunRow> {
    let tenant = runtime.principal().tenant;
    runtime.store().runs(&tenant, &RunFilter::default(), 1_000_000).await.unwrap()
}

/// Runs that wait for a signal, then for nothing but it.
async fn waiting(count: usize) {
    let folder = tempfile::tempdir().unwrap();
    let runtime = system(folder.path(), vec![Turn::say("done")], 256).build().await.unwrap();
    runtime.start().await;
    let (principal, tool) = (runtime.principal(), "run/wait".parse().unwrap());
    // One of each kind first, so that what everybody needs once is not counted.
    runtime.call("calc/evaluate", r#"{"expression":"1+1"}"#).await.unwrap().outcome().await.unwrap();
    let before = kilobytes("VmRSS:");
    let began = Instant::now();
    let seconds = 30 + count / 600;
    let arguments = format!(r#"{{"signal":"go","seconds":{seconds}}}"#);
    let mut starts = tokio::task::JoinSet::new();
    for n in 0..count {
        let (engine, principal, tool) = (runtime.engine().clone(), principal.clone(), l9::tool::ToolName::clone(&tool));
        let arguments = arguments.clone();
        starts.spawn(async move {
            let options = StartOptions { idempotency_key: Some(n.to_string()), ..StartOptions::default() };
            engine.start_tool(&principal, &tool, &arguments, options).await.unwrap();
        });
        if starts.len() >= 256 {
            starts.join_next().await.unwrap().unwrap();
        }
    }
    while starts.join_next().await.is_some() {}
    // One row at a time, so that the measuring itself takes no memory.
    let any = async |status| {
        let filter = RunFilter { status: Some(status), ..RunFilter::default() };
        !runtime.store().runs(&principal.tenant, &filter, 1).await.unwrap().is_empty()
    };
    while any(Status::Queued).await || any(Status::Running).await {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let parked = began.elapsed();
    let after = kilobytes("VmRSS:");
    println!(
        "{count} runs wait after {:.1} s: {:.2} KB resident each ({} MB before, {} MB with them)",
        parked.as_secs_f64(),
        after.saturating_sub(before) as f64 / count as f64,
        before / 1024,
        after / 1024
    );
    while any(Status::Waiting).await || any(Status::Queued).await || any(Status::Running).await {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    println!("all woken by their time and ended {:.1} s after the first start", began.elapsed().as_secs_f64());
    let rows = rows(&runtime).await;
    assert_eq!(rows.iter().filter(|row| row.status == Status::Succeeded).count(), count + 1);
    runtime.shutdown().await;
}

/// Runs that are in the middle of a call, all at once.
async fn held(count: usize) {
    let folder = tempfile::tempdir().unwrap();
    let (gate, inside) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let (held, entered) = (Arc::clone(&gate), Arc::clone(&inside));
    let limits = l9::tool::Limits { wall_ms: 120_000, ..l9::tool::Limits::default() };
    let tool = l9::native::tool("bench/hold", "1.0.0", "Is held.").effect(l9::tool::EffectClass::Read).limits(limits);
    let tool = tool.handler(move |_, _: Nothing| {
        let held = Arc::clone(&held);
        entered.fetch_add(1, Ordering::Relaxed);
        async move {
            held.acquire().await.unwrap().forget();
            Ok(Nothing {})
        }
    });
    let runtime = system(folder.path(), Vec::new(), count + 1).tool(tool).build().await.unwrap();
    runtime.start().await;
    gate.add_permits(1);
    runtime.call("bench/hold", "{}").await.unwrap().outcome().await.unwrap();
    let (before, began) = (kilobytes("VmRSS:"), Instant::now());
    for _ in 0..count {
        runtime.call("bench/hold", "{}").await.unwrap();
    }
    while inside.load(Ordering::Relaxed) <= count {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!(
        "{count} runs are in the middle of a call after {:.1} s: {:.1} KB resident each",
        began.elapsed().as_secs_f64(),
        kilobytes("VmRSS:").saturating_sub(before) as f64 / count as f64
    );
    gate.add_permits(count);
    while rows(&runtime).await.iter().any(|row| !row.status.is_closed()) {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(rows(&runtime).await.iter().all(|row| row.status == Status::Succeeded));
    runtime.shutdown().await;
}

/// From the answer to a start until the run's first effect is carried out, one run after another,
/// beside a commit of SQLite alone.
async fn started(count: usize) {
    let (folder, alone) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (said, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let tool = l9::native::tool("bench/now", "1.0.0", "Says when it is called.").effect(l9::tool::EffectClass::Read);
    let tool = tool.handler(move |_, _: Nothing| {
        said.send(Instant::now()).unwrap();
        async move { Ok(Nothing {}) }
    });
    let runtime = system(folder.path(), Vec::new(), 4).tool(tool).build().await.unwrap();
    runtime.start().await;
    let mut raw = SqliteConnection::connect_with(&sqlite(&alone.path().join("raw.db"))).await.unwrap();
    sqlx::raw_sql("CREATE TABLE rows (body BLOB NOT NULL)").execute(&mut raw).await.unwrap();
    let (mut begun, mut commits) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let handle = runtime.call("bench/now", "{}").await.unwrap();
        let accepted = Instant::now();
        begun.push(heard.recv().await.unwrap().saturating_duration_since(accepted));
        assert_eq!(handle.outcome().await.unwrap().status, Status::Succeeded);
        let began = Instant::now();
        let row = sqlx::query("INSERT INTO rows (body) VALUES (?)").bind(vec![7_u8; 512]);
        row.execute(&mut raw).await.unwrap();
        commits.push(began.elapsed());
    }
    begun.sort();
    commits.sort();
    let of = |times: &[Duration], hundredths: usize| times[times.len() * hundredths / 100].as_secs_f64() * 1e3;
    println!(
        "from accepted to started: {:.2} ms at the median, {:.2} ms at 99 %; a commit of SQLite alone {:.2} and {:.2} ms",
        of(&begun, 50),
        of(&begun, 99),
        of(&commits, 50),
        of(&commits, 99)
    );
    runtime.shutdown().await;
}
