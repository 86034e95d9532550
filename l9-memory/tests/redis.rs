//! Short-term memories in a real Redis: what every memory does, and what is Redis's own.
#![cfg(feature = "redis")]
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may fail, and waits for a real server")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use l9_core::entropy::SystemEntropy;
use l9_core::id::TenantId;
use l9_core::memory::{
    Curation, Layer, Listing, MemoryStore, NewEntry, NewQuarantine, Order, Query, Scope, Shown, Standing, Suspect,
};
use l9_core::run::{Heard, HintWire as _, Word};
use l9_core::time::{SystemClock, Timestamp};
use l9_core::vault::Vault as _;
use l9_core::{ErrorKind, conformance};
use l9_memory::embed::{Asking, Hashing, Worker};
use l9_memory::in_memory;
use l9_memory::redis::{HintChannel, Layers, Memory, Server, Settings};
use l9_memory::vault::Keyring;
use l9_services::{Redis, RedisCluster};
use secrecy::ExposeSecret as _;

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
    let short: Arc<dyn MemoryStore> = Arc::new(node(&redis, &Arc::new(Keyring::ephemeral()), DAY));
    conformance::memory::entries(&short).await;
    let bounded = node(&redis, &Arc::new(Keyring::ephemeral()), DAY).with_quota(conformance::quotas::QUOTA);
    conformance::quotas::all(Arc::new(bounded)).await;
    // With one beside that lasts, everything else holds too.
    conformance::memory::all(Arc::new(layers(&redis, &Arc::new(Keyring::ephemeral())))).await;
}

fn of_cluster(cluster: &RedisCluster) -> Settings {
    Settings {
        cluster: true,
        password: Some(cluster.password().into()),
        connect_timeout_ms: 500,
        answer_timeout_ms: 500,
        ..Settings::at(cluster.bare_url())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memories_in_a_cluster() {
    let (cluster, keyring) = (RedisCluster::start(), Arc::new(Keyring::ephemeral()));
    let server = || Server::new(&of_cluster(&cluster)).unwrap();
    let memory = |keyring: &Arc<Keyring>| {
        Memory::new(server(), DAY, Arc::new(SystemClock::default()), Arc::new(SystemEntropy), keyring.clone())
    };
    conformance::memory::entries(&(Arc::new(memory(&keyring)) as Arc<dyn MemoryStore>)).await;
    assert!(server().ping().await.unwrap() > 300_000, "of three servers");
    // Enough tenants that each server has some, and more entries than are read at once.
    let kept = memory(&keyring);
    for tenant in 0..12 {
        let tenant = TenantId::new(format!("tenant-{tenant}")).unwrap();
        let entries = (0..300).map(|at| entry(&format!("kestrel {at}"))).collect();
        kept.remember(&tenant, entries).await.unwrap();
        let other = memory(&keyring);
        assert_eq!(other.count(&Scope::tenant(tenant.clone())).await.unwrap(), 300);
        assert_eq!(other.forget_source(&tenant, "said").await.unwrap(), 300);
        assert_eq!(kept.count(&Scope::tenant(tenant)).await.unwrap(), 0);
    }
    // Hints, before and after the server that has their channel dies.
    let (tells, hears) = (HintChannel::new(server(), &*keyring), HintChannel::new(server(), &*keyring));
    let (heard, mut told) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let hear = |what: Heard<'_>| {
                if let Heard::Words(words) = what {
                    drop(heard.send(words.to_vec()));
                }
            };
            drop(hears.listen(&hear).await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let mut hint = async |next: u64| {
        let word = Word { run: l9_core::id::RunId::from_slice(&[7; 16]).unwrap(), next };
        for _ in 0..200 {
            drop(tells.send(&[word]).await);
            if let Ok(Some(words)) = tokio::time::timeout(Duration::from_millis(50), told.recv()).await
                && words == [word]
            {
                return;
            }
        }
        panic!("hint {next} was not heard");
    };
    hint(1).await;
    let token = keyring.token(&TenantId::default_tenant(), "hints between nodes", b"");
    let key = format!("l9:hints:{}", hex::encode(&token.as_bytes()[..8]));
    cluster.owner(&key).stop();
    let torn = server().ping().await.unwrap_err();
    assert!(torn.kind() == ErrorKind::Unavailable, "{torn}");
    cluster.wait_for_another(&key);
    hint(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_of_a_cluster_that_dies_or_hangs_is_away_until_another_has_its_place() {
    for hangs in [false, true] {
        let (cluster, keyring) = (RedisCluster::start(), Arc::new(Keyring::ephemeral()));
        let server = Server::new(&of_cluster(&cluster)).unwrap();
        let memory = Memory::new(
            server.clone(),
            DAY,
            Arc::new(SystemClock::default()),
            Arc::new(SystemEntropy),
            keyring.clone(),
        );
        let memory = Layers::new(Arc::new(long()), memory);
        let tenant = TenantId::default_tenant();
        memory.remember(&tenant, vec![of(Layer::ShortTerm, "a kestrel", "a")]).await.unwrap();
        memory.remember(&tenant, vec![of(Layer::LongTerm, "a merlin", "a")]).await.unwrap();
        let key = cluster.key_like(":version");
        if hangs {
            cluster.owner(&key).freeze();
        } else {
            cluster.owner(&key).stop();
        }
        let (begun, mut served) = (Instant::now(), false);
        loop {
            match memory.remember(&tenant, vec![of(Layer::ShortTerm, "a hobby", "a")]).await {
                Ok(_) => break,
                Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
            }
            // What lasts is found all the while.
            let found = memory.search(&Scope::tenant(tenant.clone()), &Query::new("merlin", 9)).await.unwrap();
            assert_eq!(found.len(), 1);
            if !served && begun.elapsed() > Duration::from_secs(3) {
                cluster.wait_for_another(&key);
                served = true;
            }
            assert!(begun.elapsed() < Duration::from_secs(40), "it is not found again");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        server.ping().await.unwrap();
    }
}

#[tokio::test]
async fn several_servers_are_a_cluster_or_a_mistake() {
    let (one, two) = ("redis://127.0.0.1:1", "redis://127.0.0.1:2");
    let both = Settings::at(format!("{one}, {two}"));
    let refused = Server::new(&both).unwrap_err();
    assert!(refused.kind() == ErrorKind::Invalid && refused.to_string().contains("redis.cluster"), "{refused}");
    let both = Settings { cluster: true, ..both };
    assert_eq!(Server::new(&both).unwrap().shown(), "127.0.0.1:1, 127.0.0.1:2");
    for (url, word) in [(format!("{one}/3"), "database"), (format!("{one},rediss://127.0.0.1:2"), "alike")] {
        let refused = Server::new(&Settings { cluster: true, ..Settings::at(url) }).unwrap_err();
        assert!(refused.kind() == ErrorKind::Invalid && refused.to_string().contains(word), "{refused}");
    }
    let secret = Settings { cluster: true, ..Settings::at("redis://:a@127.0.0.1:1,redis://:b@127.0.0.1:2") };
    let passwords = secret.passwords();
    assert_eq!(passwords.iter().map(|one| one.expose_secret().to_owned()).collect::<Vec<_>>(), ["a", "b"]);
    // Each is told from the other.
    let (redis, cluster) = (Redis::start(), RedisCluster::start());
    let quick = |settings| Settings { connect_timeout_ms: 500, answer_timeout_ms: 500, ..settings };
    let none = Server::new(&quick(Settings { cluster: true, ..Settings::at(redis.url()) })).unwrap();
    let error = none.ping().await.unwrap_err();
    assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains("is no cluster"), "{error}");
    let wrong = Server::new(&Settings { password: Some("wrong".into()), ..of_cluster(&cluster) }).unwrap();
    let error = wrong.ping().await.unwrap_err();
    assert!(error.kind() == ErrorKind::Denied && error.to_string().contains("REDIS_PASSWORD"), "{error}");
    let (tenants, mut refused) = (0..40, None);
    for tenant in tenants {
        let server = Server::new(&quick(Settings::at(cluster.one().url()))).unwrap();
        let memory = Memory::new(
            server,
            DAY,
            Arc::new(SystemClock::default()),
            Arc::new(SystemEntropy),
            Arc::new(Keyring::ephemeral()),
        );
        let tenant = TenantId::new(format!("tenant-{tenant}")).unwrap();
        refused = refused.or(memory.remember(&tenant, vec![entry("a kestrel")]).await.err());
    }
    let refused = refused.expect("one server has no more than its part");
    assert!(refused.kind() == ErrorKind::Invalid && refused.to_string().contains("redis.cluster"), "{refused}");
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

#[cfg(all(feature = "sqlite", unix))]
#[tokio::test]
async fn what_a_destroyed_root_key_sealed_is_left_out_and_the_rest_goes_on() {
    let redis = Redis::start();
    let folder = tempfile::tempdir().unwrap();
    let database = l9_memory::sqlite::Settings::at(folder.path().join("l9.db"));
    let database = l9_memory::sqlite::Database::open(&database).await.unwrap();
    let path = folder.path().join("root.key");
    let keyring = Arc::new(Keyring::open_or_create(&path).unwrap());
    database.bind_key(&keyring.key_id()).await.unwrap();
    let tenant = TenantId::default_tenant();
    let before = node(&redis, &keyring, DAY);
    before.remember(&tenant, vec![entry("a kestrel")]).await.unwrap();
    let keys = l9_memory::vault::Keys::new(Arc::clone(&keyring), Arc::new(database), Arc::new(SystemClock::default()));
    keys.rotate(&|_| {}).await.unwrap();
    before.remember(&tenant, vec![entry("a merlin")]).await.unwrap();
    // Another process has the keys of the file and no others.
    let after = node(&redis, &Arc::new(Keyring::open(&path).unwrap()), DAY);
    assert_eq!((found(&after, "kestrel").await, found(&after, "merlin").await), (0, 1));
    assert!(!after.remember(&tenant, vec![entry("a kestrel")]).await.unwrap()[0].duplicate);
    assert_eq!(found(&after, "kestrel").await, 1);
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

fn long() -> in_memory::Memory {
    in_memory::Memory::new(Arc::new(SystemClock::default()), Arc::new(SystemEntropy))
}

/// Two memories as one, over a memory in this process.
fn layers(redis: &Redis, keyring: &Arc<Keyring>) -> Layers {
    Layers::new(Arc::new(long()), node(redis, keyring, DAY))
}

fn of(layer: Layer, text: &str, source: &str) -> NewEntry {
    NewEntry { layer, source: Some(source.into()), ..entry(text) }
}

#[tokio::test]
async fn a_quarantine_of_a_source_hides_short_term_entries_and_its_release_shows_them() {
    let (redis, keyring, tenant) = (Redis::start(), Arc::new(Keyring::ephemeral()), TenantId::default_tenant());
    let (memory, scope) = (layers(&redis, &keyring), Scope::tenant(tenant.clone()));
    let new = vec![
        of(Layer::ShortTerm, "a kestrel that goes", "a.md"),
        of(Layer::LongTerm, "a kestrel that stays", "a.md"),
        of(Layer::ShortTerm, "a kestrel elsewhere", "b.md"),
    ];
    let kept = memory.remember(&tenant, new).await.unwrap();
    let found = async || {
        let hits = memory.search(&scope, &Query::new("kestrel", 10)).await.unwrap().len() as u64;
        assert_eq!(memory.count(&scope).await.unwrap(), hits);
        hits
    };
    assert_eq!(found().await, 3);
    let quarantine = |suspect| NewQuarantine { suspect, reason: "forged".into(), by: "a person".into() };
    let hidden = memory.quarantine(&tenant, quarantine(Suspect::Source("a.md".into()))).await.unwrap();
    assert_eq!((hidden.entries.len(), found().await), (2, 1));
    // What comes later is hidden as well, and one who asks for it sees why.
    let late = memory.remember(&tenant, vec![of(Layer::ShortTerm, "a late kestrel", "a.md")]).await.unwrap()[0];
    assert_eq!(found().await, 1);
    assert_eq!(memory.get(&tenant, late.id).await.unwrap().unwrap().standing, Standing::Quarantined);
    let all = Listing { shown: Shown::Hidden, ..Listing::new(Order::Oldest, 10) };
    assert_eq!(memory.list(&scope, &all).await.unwrap().items.len(), 3);
    let released = memory.release(&tenant, hidden.quarantine.id, "a person").await.unwrap();
    assert_eq!((released.entries.len(), found().await), (3, 4));
    // By itself it is refused, with the mend.
    for error in [
        memory.quarantine(&tenant, quarantine(Suspect::Entry(kept[0].id))).await.unwrap_err(),
        memory.supersede(&tenant, kept[0].id, entry("no kestrel")).await.unwrap_err(),
        memory.reinstate(&tenant, kept[0].id).await.unwrap_err(),
    ] {
        assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains("forget it"), "{error}");
    }
    memory.supersede(&tenant, kept[1].id, entry("no kestrel")).await.unwrap();
    for (layer, origin) in [(Layer::ShortTerm, kept[1].id), (Layer::LongTerm, kept[0].id)] {
        let derived = NewEntry { derived_from: vec![origin], ..of(layer, "of a kestrel", "c.md") };
        let error = memory.remember(&tenant, vec![derived]).await.unwrap_err();
        assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains("long_term"), "{error}");
    }
}

#[tokio::test]
async fn pages_and_conversations_are_of_both_layers_in_one_order() {
    let (redis, keyring, tenant) = (Redis::start(), Arc::new(Keyring::ephemeral()), TenantId::default_tenant());
    let (memory, scope) = (layers(&redis, &keyring), Scope::tenant(tenant.clone()));
    // Turns of three conversations, three at each time, in layers that vary.
    let said = |at: i64| NewEntry {
        text: format!("turn {at}"),
        session: Some(format!("s{}", at % 3)),
        layer: if (at * 7) % 5 < 2 { Layer::ShortTerm } else { Layer::LongTerm },
        at: Some(Timestamp::from_millis(1_000 + at / 3)),
        ..NewEntry::default()
    };
    for at in 0..30 {
        memory.remember(&tenant, vec![said(at)]).await.unwrap();
    }
    for order in [Order::Oldest, Order::Newest] {
        for limit in [1, 2, 3, 7, 30] {
            let (mut listing, mut seen) = (Listing::new(order, limit), Vec::new());
            loop {
                let page = memory.list(&scope, &listing).await.unwrap();
                assert!(page.items.len() <= limit);
                seen.extend(page.items.into_iter().map(|one| (one.entry.at.unwrap(), one.entry.text)));
                let Some(next) = page.next else { break };
                listing.after = Some(next);
            }
            let mut times: Vec<_> = seen.iter().map(|(at, _)| *at).collect();
            if order == Order::Newest {
                times.reverse();
            }
            assert!(times.is_sorted(), "{order:?} {limit}: {seen:?}");
            let unique: std::collections::HashSet<_> = seen.iter().map(|(_, text)| text).collect();
            assert_eq!((seen.len(), unique.len()), (30, 30), "{order:?} {limit}");
        }
    }
    for limit in [1, 2, 10] {
        let (mut after, mut seen) = (None, Vec::new());
        loop {
            let page = memory.sessions(&scope, after, limit).await.unwrap();
            seen.extend(page.items);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        seen.sort_by_key(|session| session.session.clone());
        let all: Vec<_> = seen.iter().map(|one| (one.session.as_str(), one.entries, one.first.as_millis())).collect();
        assert_eq!(all, [("s0", 10, 1_000), ("s1", 10, 1_000), ("s2", 10, 1_000)], "{limit}");
        assert!(seen.iter().all(|session| session.last == Timestamp::from_millis(1_009)));
    }
}

#[tokio::test]
async fn what_is_short_term_is_found_by_meaning_too() {
    let (redis, keyring) = (Redis::start(), Arc::new(Keyring::ephemeral()));
    let (embedder, tenant) = (Arc::new(Hashing::default()), TenantId::default_tenant());
    let clock = Arc::new(SystemClock::default());
    let asking = Asking::new(embedder.clone(), clock.clone(), Duration::from_secs(5)).unwrap();
    let memory = node(&redis, &keyring, DAY).with_embedder(Arc::new(asking));
    let kept = memory.remember(&tenant, vec![entry("the kestrel hovers")]).await.unwrap();
    let worker = Worker::new(memory.embeddable(), embedder, clock, "node").unwrap();
    assert_eq!(worker.status().await.unwrap().pending, 1);
    worker.finish().await.unwrap();
    let query = Query { explain: true, ..Query::new("hovering kestrels", 1) };
    let hits = memory.search(&Scope::tenant(tenant.clone()), &query).await.unwrap();
    assert_eq!(hits[0].why.as_ref().unwrap().meaning, Some(1.0));
    // What goes takes its vector along.
    memory.forget(&tenant, kept[0].id).await.unwrap();
    assert!(memory.search(&Scope::tenant(tenant), &query).await.unwrap().is_empty());
    assert_eq!(worker.status().await.unwrap().embedded, 0);
}
