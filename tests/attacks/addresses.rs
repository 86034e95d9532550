//! Attacks 1 to 7: addresses that the egress must not connect to, and names that lead there.

use std::sync::Arc;

use serde_json::json;

use super::setup::{fetch, fetch_unguarded, reached, refused};
use super::world::{PUBLIC, Server, World, ok, tool};

/// A name that leads to a special address is refused; without the rule it gets there.
async fn by_name(addresses: &[&str], why: &str) {
    let world = || Arc::new(World::of(&[("evil.test", addresses)]));
    let server = Server::start(|_| ok()).await;
    let called = fetch(tool("evil.test", server.port), &world()).await;
    refused(&called, &server);
    assert!(called.journal.contains(why), "{addresses:?} {}", called.journal);
    reached(&fetch_unguarded(tool("evil.test", server.port), &world()).await, &server);
}

#[tokio::test]
async fn attack_01_loopback_in_every_spelling() {
    for host in ["127.0.0.1", "2130706433", "0177.0.0.1", "017700000001", "0x7f.1", "0x7f000001", "127.1", "127.0.1"] {
        let server = Server::start(|_| ok()).await;
        let world = Arc::new(World::default());
        let mut manifest = tool(host, server.port);
        let called = fetch(manifest.clone(), &world).await;
        refused(&called, &server);
        assert!(called.journal.contains("127.0.0.1 is not a public address (loopback)"), "{}", called.journal);
        manifest["net"][0]["allow_private"] = json!(true);
        reached(&fetch(manifest, &world).await, &server);
    }
}

#[tokio::test]
async fn attack_02_ipv4_mapped_addresses() {
    by_name(&["::ffff:7f00:1"], "IPv4-mapped").await;
}

#[tokio::test]
async fn attack_03_nat64_addresses() {
    by_name(&["64:ff9b::7f00:1"], "NAT64").await;
    by_name(&["64:ff9b:1::a00:1"], "NAT64").await;
}

#[tokio::test]
async fn attack_04_tunnels_that_hold_an_ipv4_address() {
    by_name(&["2002:7f00:1::"], "6to4").await;
    by_name(&["2001:0:53aa:64c::1"], "Teredo").await;
    by_name(&["::7f00:1"], "IPv4-compatible").await;
}

#[tokio::test]
async fn attack_05_special_addresses_and_metadata() {
    for (address, why) in [
        ("100.64.0.1", "carrier-grade NAT"),
        ("198.18.0.1", "benchmarking"),
        ("240.0.0.1", "reserved"),
        ("0.0.0.0", "this network"),
        ("169.254.169.254", "link-local"),
        ("fd00:ec2::254", "unique local"),
        ("fe80::1", "link-local"),
        ("10.0.0.1", "private use"),
        ("224.0.0.1", "multicast"),
    ] {
        by_name(&[address], why).await;
    }
}

#[tokio::test]
async fn attack_06_rebinding_between_check_and_connection() {
    let public = Server::start(|_| ok()).await;
    let victim = Server::at(&format!("127.0.0.2:{}", public.port), |_| vec![(0, ok())]).await;
    let rebinding = || {
        let world = World::of(&[("evil.test", &[PUBLIC])]).then("evil.test", &["10.0.0.1"]);
        world.leading("10.0.0.1", "127.0.0.2")
    };
    let world = Arc::new(rebinding());
    reached(&fetch(tool("evil.test", public.port), &world).await, &public);
    assert_eq!((world.asked().len(), victim.seen().len()), (1, 0), "looked up once, connected to what was looked at");
    let called = fetch(tool("evil.test", public.port), &world).await;
    assert_eq!(
        (called.code.as_str(), world.asked().len(), victim.seen().len()),
        ("refused", 2, 0),
        "{}",
        called.journal
    );
    // Where the connection goes to what the name answers then, the same call gets to the victim.
    let world = Arc::new(rebinding().looking_again("evil.test"));
    reached(&fetch(tool("evil.test", victim.port), &world).await, &victim);
}

#[tokio::test]
async fn attack_07_public_and_private_addresses_in_one_answer() {
    for addresses in [[PUBLIC, "10.0.0.1"], ["10.0.0.1", PUBLIC], [PUBLIC, "::1"]] {
        by_name(&addresses, "is not a public address").await;
    }
}
