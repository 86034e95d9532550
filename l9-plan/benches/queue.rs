//! How close the queue comes to what Redis itself can do, measured in one program: the same
//! driver, server and durability (AOF, every second), first three bare scripts, then the queue.
//!
//! Run with `cargo bench -p l9-plan --features redis --bench queue [-- SECONDS]`.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the ambient clock")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use l9_core::conformance::queue::task_of;
use l9_core::entropy::SystemEntropy;
use l9_core::queue::{Finished, TaskQueue};
use l9_core::time::SystemClock;
use l9_memory::redis::Settings as Servers;
use l9_plan::redis::{Queue, Settings};
use l9_services::Redis;
use redis::aio::ConnectionManager;
use redis::{Client, Script};
use tokio::task::JoinSet;

#[path = "../tests/support/way.rs"]
mod way;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The least that enqueuing, claiming and acknowledging can be, each a script and a round trip.
const BARE: [&str; 3] = [
    "redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1]) return 1",
    "local next = redis.call('ZPOPMIN', KEYS[1])[1] redis.call('HSET', KEYS[2], next, '1') return next",
    "return redis.call('HDEL', KEYS[2], ARGV[1])",
];

#[expect(clippy::print_stdout, reason = "a benchmark prints")]
fn main() -> Outcome {
    let seconds = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(6.0);
    let time = Duration::from_secs_f64(seconds);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    println!("tasks per second through enqueue, claim and acknowledgement, AOF every second");
    for clients in [1, 16, 64] {
        let redis = Redis::start();
        let (bare, ours) = runtime.block_on(async {
            let client = Client::open(redis.url())?;
            let manager = ConnectionManager::new(client).await?;
            let set = ["SET", "appendfsync", "everysec"];
            redis::cmd("CONFIG").arg(&set).query_async::<()>(&mut manager.clone()).await?;
            let bare = rate(clients, time, {
                let manager = manager.clone();
                move |client, at| bare(manager.clone(), client, at)
            })
            .await?;
            let way = way::to(&Servers::at(redis.url()));
            let (clock, entropy) = (Arc::new(SystemClock::default()), Arc::new(SystemEntropy));
            let queue = Arc::new(Queue::new(way, "bench", Settings::default(), clock, entropy));
            let ours = rate(clients, time, move |client, at| through(Arc::clone(&queue), client, at)).await?;
            Outcome::Ok((bare, ours))
        })?;
        println!("{clients:>3} at once   bare {bare:>8.0}   queue {ours:>8.0}   ratio {:.2}", ours / bare);
    }
    Ok(())
}

/// What so many clients do in a second.
async fn rate<F>(clients: u64, time: Duration, work: impl Fn(u64, u64) -> F + Clone + Send + 'static) -> Outcome<f64>
where
    F: Future<Output = Outcome> + Send,
{
    let done = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let mut working = JoinSet::new();
    for client in 0..clients {
        let (done, work) = (Arc::clone(&done), work.clone());
        working.spawn(async move {
            let mut at = 0;
            while begun.elapsed() < time {
                work(client, at).await?;
                at += 1;
            }
            done.fetch_add(at, Ordering::Relaxed);
            Outcome::Ok(())
        });
    }
    while let Some(ended) = working.join_next().await {
        ended??;
    }
    Ok(done.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64())
}

async fn bare(mut manager: ConnectionManager, client: u64, at: u64) -> Outcome {
    thread_local! {
        static SCRIPTS: [Script; 3] = BARE.map(Script::new);
    }
    let [enqueue, claim, finish] = SCRIPTS.with(Clone::clone);
    let run = task_of("bench", client << 32 | at, 0).run.to_string();
    let keys = ("{bare}:ready", "{bare}:claimed");
    enqueue.key(keys.0).arg(&run).arg(at).invoke_async::<u64>(&mut manager).await?;
    let next: String = claim.key(keys.0).key(keys.1).invoke_async(&mut manager).await?;
    finish.key(keys.0).key(keys.1).arg(&next).invoke_async::<u64>(&mut manager).await?;
    Ok(())
}

async fn through(queue: Arc<Queue>, client: u64, at: u64) -> Outcome {
    queue.enqueue(task_of("bench", client << 32 | at, 0), Duration::ZERO).await?;
    let claim = queue.claim().await.ok_or("the queue is open")?;
    if queue.finish(claim, Finished::Done).await { Ok(()) } else { Err("the fence was current".into()) }
}
