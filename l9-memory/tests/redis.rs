//! Short-term memories in a real Redis: what every memory does, and what is Redis's own.
#![cfg(feature = "redis")]
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may fail, and waits for a real server")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use l9_core::entropy::SystemEntropy;
use l9_core::id::TenantId;
use l9_core::memory::{MemoryStore, NewEntry, Query, Scope};
use l9_core::time::SystemClock;
use l9_core::{ErrorKind, conformance};
use l9_memory::redis::{Memory, Server, Settings};
use l9_memory::vault::Keyring;
use l9_services::Redis;

const DAY: Duration = Duration::from_secs(86_400);

fn node(redis: &Redis, keyring: &Arc<Keyring>, ttl: Duration) -> Memory {
    let settings = Settings {
        password: Some(redis.password().into()),
        connect_timeout_ms: 500,
        answer_timeout_ms: 500,
        ..Settings::at(redis.bare_url())
    };
    let server = Server::new(&settings).unwrap();
    Memory::new(server, ttl, Arc::new(SystemClock::default()), Arc::new(SystemEntropy), keyring.clone())
}

fn entry(text: &str) -> NewEntry {
    NewEntry { text: text.into(), source: Some("said".into()), ..NewEntry::default() }
}

async fn found(memory: &Memory, words: &str) -> usize {
    let scope = Scope::tenant(TenantId::default_tenant());
    memory.search(&scope, &Query::new(words, 10)).await.unwrap().len()
}

#[tokio::test]
async fn memories_in_redis() {
    let redis = Redis::start();
    conformance::memory::all(Arc::new(node(&redis, &Arc::new(Keyring::ephemeral()), DAY))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_share_what_is_there_and_nothing_is_kept_twice() {
    let (redis, keyring) = (Redis::start(), Arc::new(Keyring::ephemeral()));
    let nodes: Vec<Arc<Memory>> = (0..4).map(|_| Arc::new(node(&redis, &keyring, DAY))).collect();
    let tenant = TenantId::default_tenant();
    let writes = nodes.iter().cloned().map(|node| {
        let tenant = tenant.clone();
        tokio::spawn(async move {
            let mut new = 0;
            for at in 0..25 {
                let kept = node.remember(&tenant, vec![entry(&format!("kestrel {at}")), entry("the same")]).await;
                new += kept.unwrap().iter().filter(|one| !one.duplicate).count();
            }
            new
        })
    });
    let mut new = 0;
    for write in writes.collect::<Vec<_>>() {
        new += write.await.unwrap();
    }
    assert_eq!(new, 26);
    for node in &nodes {
        assert_eq!(node.count(&Scope::tenant(tenant.clone())).await.unwrap(), 26);
    }
    let same = nodes[0].of_source(&tenant, "said").await.unwrap();
    assert!(nodes[1].forget(&tenant, same[0].id).await.unwrap());
    assert!(!nodes[2].forget(&tenant, same[0].id).await.unwrap());
    assert_eq!(nodes[3].get(&tenant, same[0].id).await.unwrap(), None);
    assert_eq!(nodes[0].forget_source(&tenant, "said").await.unwrap(), 25);
    assert_eq!(found(&nodes[2], "kestrel").await, 0);
}

#[tokio::test]
async fn what_is_there_goes_when_its_time_is_over() {
    let (redis, keyring) = (Redis::start(), Arc::new(Keyring::ephemeral()));
    let (short, long) = (node(&redis, &keyring, Duration::from_millis(400)), node(&redis, &keyring, DAY));
    let tenant = TenantId::default_tenant();
    let kept = short.remember(&tenant, vec![entry("a kestrel")]).await.unwrap()[0];
    long.remember(&tenant, vec![entry("a merlin")]).await.unwrap();
    assert_eq!((found(&long, "kestrel").await, found(&short, "merlin").await), (1, 1));
    tokio::time::sleep(Duration::from_millis(450)).await;
    assert_eq!((found(&long, "kestrel").await, found(&short, "merlin").await), (0, 1));
    assert_eq!(short.get(&tenant, kept.id).await.unwrap(), None);
    let again = short.remember(&tenant, vec![entry("a kestrel")]).await.unwrap()[0];
    assert!(!again.duplicate && again.id != kept.id);
}

#[tokio::test]
async fn nothing_that_was_said_can_be_read_in_redis() {
    let (redis, keyring) = (Redis::start(), Arc::new(Keyring::ephemeral()));
    let tenant = TenantId::new("velmora").unwrap();
    let secret = NewEntry { session: Some("sess-7".into()), key: Some("key-7".into()), ..entry("the kestrel hovers") };
    node(&redis, &keyring, DAY).remember(&tenant, vec![secret]).await.unwrap();
    let written = redis.written();
    assert!(written.windows(3).any(|part| part == b"l9:"), "nothing was written");
    for word in ["kestrel", "sess-7", "key-7", "velmora", "said"] {
        assert!(!written.windows(word.len()).any(|part| part == word.as_bytes()), "{word} stands there");
    }
    // Another key opens nothing, and says so.
    let other = node(&redis, &Arc::new(Keyring::ephemeral()), DAY);
    assert_eq!(other.count(&Scope::tenant(tenant)).await.unwrap(), 0);
}

#[tokio::test]
async fn a_server_that_goes_away_is_told_and_its_return_is_noticed() {
    let (redis, keyring) = (Redis::start(), Arc::new(Keyring::ephemeral()));
    let memory = node(&redis, &keyring, DAY);
    let tenant = TenantId::default_tenant();
    memory.remember(&tenant, vec![entry("before")]).await.unwrap();
    redis.stop();
    let scope = Scope::tenant(tenant.clone());
    let begun = Instant::now();
    for error in [
        memory.remember(&tenant, vec![entry("meanwhile")]).await.unwrap_err(),
        memory.search(&scope, &Query::new("before", 1)).await.unwrap_err(),
        memory.count(&scope).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("Redis at 127.0.0.1"), "{error}");
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    redis.resume();
    let again = async || {
        for _ in 0..100 {
            if let Ok(kept) = memory.remember(&tenant, vec![entry("after")]).await {
                return kept;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("it does not come back");
    };
    again().await;
    assert_eq!((found(&memory, "before").await, found(&memory, "after").await), (1, 1));
    assert_eq!(found(&memory, "meanwhile").await, 0);
    // What no file kept is gone, and the process does not go on to answer with it.
    let client = redis::Client::open(redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd("FLUSHALL").query_async::<()>(&mut connection).await.unwrap();
    assert_eq!((found(&memory, "before").await, found(&memory, "after").await), (0, 0));
}

#[tokio::test]
async fn a_wrong_password_and_a_full_server_are_named() {
    let redis = Redis::start();
    let wrong = Server::new(&Settings { password: Some("wrong".into()), ..Settings::at(redis.bare_url()) }).unwrap();
    let error = wrong.ping().await.unwrap_err();
    assert!(error.kind() == ErrorKind::Denied && error.to_string().contains("REDIS_PASSWORD"), "{error}");
    assert!(Server::new(&Settings::at("http://:secret@host")).unwrap_err().to_string().contains("rediss://"));
    let server = Server::new(&Settings::at(redis.url())).unwrap();
    assert!(server.ping().await.unwrap() > 100_000);
    let client = redis::Client::open(redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg("1").query_async::<()>(&mut connection).await.unwrap();
    let memory = node(&redis, &Arc::new(Keyring::ephemeral()), DAY);
    let error = memory.remember(&TenantId::default_tenant(), vec![entry("no room")]).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Exhausted && error.to_string().contains("maxmemory"), "{error}");
}
