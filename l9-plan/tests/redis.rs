//! The queue in a real Redis: what every queue does, and what is Redis's own.
#![cfg(feature = "redis")]
#![expect(clippy::unwrap_used, reason = "a test may fail")]

#[path = "support/mod.rs"]
mod support;
#[path = "support/way.rs"]
mod way;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use l9_core::conformance::queue::{Bounds, next, task, task_of};
use l9_core::entropy::SystemEntropy;
use l9_core::queue::{Claim, Depth, Finished, TaskQueue};
use l9_core::time::{Clock, SystemClock};
use l9_core::{ErrorKind, conformance};
use l9_memory::redis::Settings as Servers;
use l9_plan::redis::{Queue, Settings};
use l9_services::{Redis, RedisCluster};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

fn queue(redis: &Redis, name: &str, settings: Settings) -> Arc<Queue> {
    on(Servers::at(redis.url()), name, settings)
}

fn queue_in(cluster: &RedisCluster, name: &str, settings: Settings) -> Arc<Queue> {
    let servers =
        Servers { cluster: true, password: Some(cluster.password().into()), ..Servers::at(cluster.bare_url()) };
    on(servers, name, settings)
}

fn on(servers: Servers, name: &str, settings: Settings) -> Arc<Queue> {
    let servers = Servers { connect_timeout_ms: 500, answer_timeout_ms: 500, ..servers };
    let (clock, entropy) = (Arc::new(SystemClock::default()), Arc::new(SystemEntropy));
    Arc::new(Queue::new(way::to(&servers), name, settings, clock, entropy))
}

/// Claims that end soon.
fn short() -> Settings {
    Settings { claim_ms: 600, ..Settings::default() }
}

async fn sleep(millis: u64) {
    SystemClock::default().sleep(Duration::from_millis(millis)).await;
}

/// Has the server itself do something.
async fn command(redis: &Redis, words: &[&str]) {
    let client = redis::Client::open(redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command.query_async::<()>(&mut connection).await.unwrap();
}

async fn claimed(queue: &Queue, within: u64) -> Option<Claim> {
    tokio::select! {
        claim = queue.claim() => claim,
        () = sleep(within) => None,
    }
}

/// What every queue does, by queues of names of their own.
async fn conforms(queue: impl Fn(&str, Settings) -> Arc<Queue>) {
    let made = AtomicU32::new(0);
    let make = |bounds: Bounds| -> Arc<dyn TaskQueue> {
        let name = made.fetch_add(1, Ordering::Relaxed).to_string();
        // What is not heard of would be found too late for the cases.
        queue(&name, Settings { poll_ms: 60_000, ..support::settings(bounds) })
    };
    conformance::queue::all(&make).await;
}

#[tokio::test]
async fn the_queue_in_redis() {
    let redis = Redis::start();
    conforms(|name, settings| queue(&redis, name, settings)).await;
}

#[tokio::test]
async fn the_queue_in_a_cluster() {
    let cluster = RedisCluster::start();
    conforms(|name, settings| queue_in(&cluster, name, settings)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_of_a_cluster_that_dies_takes_no_more_than_its_last_moment_with_it() {
    let cluster = RedisCluster::start();
    let settings = Settings { poll_ms: 60_000, ..short() };
    let (queue, node) = (queue_in(&cluster, "dies", settings.clone()), queue_in(&cluster, "dies", settings));
    for n in 0..20 {
        queue.enqueue(task(n, 0), Duration::ZERO).await.unwrap();
    }
    let held = next(&*queue).await;
    let waiting = tokio::spawn({
        let node = Arc::clone(&node);
        async move {
            let mut seen = BTreeSet::new();
            while seen.len() < 21 {
                let claim = node.claim().await.unwrap();
                seen.insert(claim.task.run);
                node.finish(claim, Finished::Done).await;
            }
            seen
        }
    });
    // All that is left by now is what `held` has: the other node waits to hear of more.
    while queue.depth(None).await.unwrap().ready > 0 {
        sleep(20).await;
    }
    let key = "l9:{dies}:queue:tasks";
    sleep(100).await;
    cluster.owner(key).stop();
    let refused = queue.enqueue(task(20, 0), Duration::ZERO).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable, "{refused}");
    assert!(!refused.to_string().contains(cluster.password()));
    cluster.wait_for_another(key);
    let mut tries = 0;
    while let Err(error) = queue.enqueue(task(20, 0), Duration::ZERO).await {
        tries += 1;
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(tries < 100, "the queue does not find its new server");
        sleep(50).await;
    }
    // What was not given back is the other node's once it has run out, and it hears of the new one.
    drop((queue, held));
    let seen = tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap().unwrap();
    assert_eq!(seen, (0..21).map(|n| task(n, 0).run).collect());
}

#[tokio::test]
async fn a_crowd_of_ten_thousand_keeps_nobody_waiting() {
    let redis = Redis::start();
    support::a_crowd_keeps_nobody_waiting(&*queue(&redis, "crowd", Settings::default()), 10_000).await;
}

#[test]
fn accepted_tasks_are_neither_lost_nor_handed_out_twice() {
    let (redis, made) = (Redis::start(), AtomicU32::new(0));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut runner = TestRunner::new(ProptestConfig::with_cases(24));
    let property = |steps| {
        runtime.block_on(async {
            let name = made.fetch_add(1, Ordering::Relaxed).to_string();
            support::none_is_lost_or_handed_out_twice(&*queue(&redis, &name, Settings::default()), steps).await;
        });
        Ok(())
    };
    runner.run(&support::steps(), property).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_processes_share_it_and_none_gets_what_another_has() {
    let redis = Redis::start();
    let nodes: Vec<Arc<Queue>> = (0..4).map(|_| queue(&redis, "shared", Settings::default())).collect();
    let working: Vec<_> = nodes
        .iter()
        .cloned()
        .map(|node| {
            tokio::spawn(async move {
                let mut done = Vec::new();
                while let Some(claim) = claimed(&node, 1_000).await {
                    done.push(claim.task.run);
                    assert!(node.finish(claim, Finished::Done).await);
                }
                done
            })
        })
        .collect();
    for n in 0..400 {
        nodes[n % 4].enqueue(task(n as u64, 0), Duration::ZERO).await.unwrap();
    }
    let mut done = Vec::new();
    for worker in working {
        done.extend(worker.await.unwrap());
    }
    assert_eq!(done.len(), 400);
    assert_eq!(done.into_iter().collect::<BTreeSet<_>>().len(), 400);
    assert_eq!(nodes[0].depth(None).await.unwrap(), Depth::default());
    let other = queue(&redis, "another", Settings::default());
    nodes[0].enqueue(task(1, 0), Duration::ZERO).await.unwrap();
    assert_eq!(other.depth(None).await.unwrap(), Depth::default(), "another name is another queue");
}

#[tokio::test]
async fn claims_of_the_dead_come_back_and_those_of_the_living_do_not() {
    let redis = Redis::start();
    let (living, dying) = (queue(&redis, "claims", short()), queue(&redis, "claims", short()));
    for n in 1..=2 {
        living.enqueue(task(n, 0), Duration::ZERO).await.unwrap();
    }
    let (kept, lost) = (next(&*living).await, next(&*dying).await);
    drop(dying);
    let back = next(&*living).await;
    assert_eq!((&back.task, back.attempt), (&lost.task, 2));
    assert!(back.fence > lost.fence);
    assert!(claimed(&living, 1_500).await.is_none(), "what is renewed is held");
    let late = queue(&redis, "claims", short());
    assert!(!late.finish(lost, Finished::Done).await, "whoever lost it has nothing to say");
    assert_eq!(living.depth(None).await.unwrap().claimed, 2);
    assert!(living.finish(kept, Finished::Done).await && living.finish(back, Finished::Done).await);
    assert_eq!(living.depth(None).await.unwrap(), Depth::default());
}

#[tokio::test]
async fn a_flushed_server_knows_no_fence_of_before() {
    let redis = Redis::start();
    let queue = queue(&redis, "flushed", Settings::default());
    queue.enqueue(task(1, 0), Duration::ZERO).await.unwrap();
    let before = next(&*queue).await;
    assert!(redis.flush() >= 4);
    assert_eq!(queue.depth(None).await.unwrap(), Depth::default());
    // As the reconciler does.
    queue.enqueue(task(1, 0), Duration::ZERO).await.unwrap();
    let after = next(&*queue).await;
    assert!(after.fence > before.fence);
    assert!(!queue.finish(before, Finished::Done).await);
    assert!(queue.finish(after, Finished::Done).await);
}

#[tokio::test]
async fn whatever_key_is_lost_the_next_enqueue_brings_the_task_back() {
    let redis = Redis::start();
    for key in ["tasks", "ready", "delayed", "claimed", "places", "turns", "meta", "rates", "held"] {
        let settings = Settings { tenant_rate_claims: 2, rate_ms: 200, ..Settings::default() };
        let queue = queue(&redis, key, settings);
        queue.enqueue(task_of("a", 1, 0), Duration::ZERO).await.unwrap();
        queue.enqueue(task_of("b", 1, 0), Duration::ZERO).await.unwrap();
        queue.enqueue(task_of("c", 1, 0), Duration::from_secs(3600)).await.unwrap();
        let held = next(&*queue).await;
        command(&redis, &["DEL", &format!("l9:{{{key}}}:queue:{key}")]).await;
        for tenant in ["a", "b", "c"] {
            queue.enqueue(task_of(tenant, 1, 0), Duration::ZERO).await.unwrap();
        }
        let mut seen = BTreeSet::new();
        if queue.finish(held.clone(), Finished::Done).await {
            seen.insert(held.task.tenant.to_string());
        }
        while seen.len() < 3 {
            let claim = claimed(&queue, 3_000).await.unwrap_or_else(|| panic!("without {key} only {seen:?} came"));
            seen.insert(claim.task.tenant.to_string());
            assert!(queue.finish(claim, Finished::Done).await);
        }
    }
}

#[tokio::test]
async fn a_server_that_is_away_is_waited_for() {
    let redis = Redis::start();
    let settings = Settings { poll_ms: 60_000, ..short() };
    let (queue, node) = (queue(&redis, "away", settings.clone()), queue(&redis, "away", settings));
    queue.enqueue(task(1, 0), Duration::ZERO).await.unwrap();
    let held = next(&*queue).await;
    let waiting = tokio::spawn(async move { node.claim().await });
    sleep(100).await;
    redis.stop();
    let refused = queue.enqueue(task(2, 0), Duration::ZERO).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable, "{refused}");
    assert!(!refused.to_string().contains(redis.password()));
    assert!(refused.is_retryable());
    assert_eq!(queue.depth(None).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(!queue.finish(held, Finished::Done).await, "it could not be said");
    redis.resume();
    let mut tries = 0;
    while queue.enqueue(task(2, 0), Duration::ZERO).await.is_err() {
        tries += 1;
        assert!(tries < 100, "the connection does not come back");
        sleep(50).await;
    }
    let found = tokio::time::timeout(Duration::from_secs(10), waiting).await.unwrap().unwrap().unwrap();
    // What was not given back runs out.
    let other = claimed(&queue, 10_000).await.unwrap();
    let both: BTreeSet<_> = [found.task.run, other.task.run].into();
    assert_eq!(both, [task(1, 0).run, task(2, 0).run].into());
}

#[tokio::test]
async fn whoever_asks_together_gets_an_answer_of_its_own() {
    let redis = Redis::start();
    let queue = queue(&redis, "together", Settings { capacity: 40, ..Settings::default() });
    let all = (0..64).map(|n| {
        let queue = Arc::clone(&queue);
        async move { (n, queue.enqueue(task(n, 0), Duration::ZERO).await) }
    });
    let mut taken = BTreeSet::new();
    for (n, answer) in join_all(all).await {
        match answer {
            Ok(()) => drop(taken.insert(task(n, 0).run)),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Exhausted),
        }
    }
    assert_eq!(taken.len(), 40);
    let claims = join_all((0..40).map(|_| next(&*queue))).await;
    assert_eq!(claims.iter().map(|claim| claim.task.run).collect::<BTreeSet<_>>(), taken);
    let fences: BTreeSet<u64> = claims.iter().map(|claim| claim.fence).collect();
    assert_eq!(fences.len(), 40);
    // Every other one comes with a fence that was never given out.
    let ends = claims.into_iter().enumerate().map(|(at, claim)| {
        let (queue, stale) = (Arc::clone(&queue), at % 2 == 1);
        let claim = Claim { fence: if stale { 1 } else { claim.fence }, ..claim };
        async move { (stale, queue.finish(claim, Finished::Done).await) }
    });
    for (stale, current) in join_all(ends).await {
        assert_eq!(current, !stale);
    }
    assert_eq!(queue.depth(None).await.unwrap().claimed, 20);
}

#[tokio::test]
async fn a_claim_that_nobody_waits_for_any_more_is_somebody_else_s() {
    let redis = Redis::start();
    let queue = queue(&redis, "dropped", Settings { claim_ms: 60_000, ..Settings::default() });
    for n in 0..20 {
        queue.enqueue(task(n, 0), Duration::ZERO).await.unwrap();
    }
    // Each goes away before its answer can be there.
    for _ in 0..20 {
        let asks = queue.claim();
        tokio::select! {
            biased;
            _ = asks => panic!("it was answered before it could be"),
            () = tokio::task::yield_now() => {}
        }
        sleep(2).await;
    }
    let mut seen = BTreeSet::new();
    while seen.len() < 20 {
        let claim = claimed(&queue, 5_000).await.expect("long before the claims end");
        assert!(seen.insert(claim.task.run), "{} came twice", claim.task.run);
    }
    assert_eq!(queue.depth(None).await.unwrap().claimed, 20);
}

#[tokio::test]
async fn a_task_that_nobody_can_read_keeps_no_other_from_its_worker() {
    let redis = Redis::start();
    let queue = queue(&redis, "foreign", Settings { claim_ms: 60_000, ..Settings::default() });
    for n in 0..10 {
        queue.enqueue(task(n, 0), Duration::ZERO).await.unwrap();
    }
    let (key, run, ticket) = (|name: &str| format!("l9:{{foreign}}:queue:{name}"), task(99, 0).run, "0000000000000001");
    command(&redis, &["HSET", &key("tasks"), &run.to_string(), &format!("No Tenant|0|0|r|{ticket}|")]).await;
    command(&redis, &["ZADD", &key("ready"), "0", &format!("No Tenant|2147483647{ticket}{run}")]).await;
    command(&redis, &["ZADD", &key("turns"), "1", "No Tenant"]).await;
    let claims = join_all((0..10).map(|_| next(&*queue))).await;
    assert_eq!(claims.iter().map(|claim| claim.task.run).collect::<BTreeSet<_>>().len(), 10);
    assert_eq!(queue.depth(None).await.unwrap().claimed, 11, "the one that cannot be read was met");
}
