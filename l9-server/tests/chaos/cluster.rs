//! A cluster over PostgreSQL and Redis: a client of one node follows runs that another executes
//! when it is killed; and all nodes are restarted one after another under a stream of runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

use crate::clients::Clients;
use crate::journal::{self, Verdict};
use crate::node::Node;
use crate::script;
use crate::settings::Settings;
use crate::site::{LEASE_MS, Site};
use crate::support;

/// No wait is longer.
const PATIENCE: Duration = Duration::from_secs(90);

/// How many runs are followed at once.
const FOLLOWED: u32 = 16;

/// Everybody is killed after this many events were seen.
const SEEN: usize = 100;

/// How long the stream of runs goes on around each restart.
const BETWEEN: Duration = Duration::from_secs(2);

/// A cluster's nodes, each at its place.
struct Cluster {
    settings: Settings,
    site: Site,
    nodes: Vec<Node>,
}

impl Cluster {
    /// Builds one whose nodes have these roles; everything where nothing is said.
    async fn build(roles: &[Option<&'static str>]) -> Self {
        let settings = Settings { nodes: roles.len(), ..Settings::cluster() };
        let site = Site::build(&settings).await;
        let node = |(place, roles): (usize, &Option<&'static str>)| {
            let node = Node::new(place, &site.lives());
            roles.iter().fold(node, |node, roles| node.with_roles(roles))
        };
        let nodes = roles.iter().enumerate().map(node).collect();
        let mut cluster = Self { settings, site, nodes };
        for place in 0..roles.len() {
            cluster.start(place).await;
        }
        cluster
    }

    /// Begins another life at a place, and waits until it serves.
    async fn start(&mut self, place: usize) {
        let node = &mut self.nodes[place];
        node.start(&self.settings.program, self.site.environment(place, &node.next_name()), true);
        let begun = Instant::now();
        while node.address().is_none() {
            assert!(node.lives() && begun.elapsed() < PATIENCE, "{} does not serve: {}", node.name(), node.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The place of the node of that name.
    fn place(&self, name: &str) -> usize {
        self.nodes.iter().position(|node| node.name() == name).unwrap_or_else(|| panic!("no node {name}"))
    }
}

/// The events of the runs that a client follows, as they came.
#[derive(Default)]
struct Seen {
    runs: BTreeMap<String, Vec<Value>>,
    closed: BTreeMap<String, Value>,
}

impl Seen {
    fn take(&mut self, frame: Value) {
        let run = frame["run_id"].as_str().unwrap_or_default().to_owned();
        match frame["type"].as_str().unwrap() {
            "run.event" => self.runs.entry(run).or_default().push(frame),
            "run.closed" => assert!(self.closed.insert(run, frame).is_none(), "a run ends once"),
            "run.accepted" | "run.delta" => {}
            _ => panic!("{frame}"),
        }
    }

    fn events(&self) -> usize {
        self.runs.values().map(Vec::len).sum()
    }

    /// The nodes that had a run, in their order.
    fn owners(events: &[Value]) -> Vec<&str> {
        let taken = events.iter().filter(|event| event["kind"] == "lease.taken");
        taken.map(|event| event["data"]["node"].as_str().unwrap()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_one_node_sees_runs_move_from_a_dead_node_to_another() {
    let mut cluster = Cluster::build(&[Some("api"), None, None]).await;
    let address = cluster.nodes[0].address().unwrap();
    let (mut socket, _) = connect_async(format!("ws://{address}/ws")).await.unwrap();
    for n in 0..FOLLOWED {
        let ask =
            json!({"type": "agent.execute", "agent_id": "scribe", "input": script::input(n), "id": n.to_string()});
        socket.send(Message::text(ask.to_string())).await.unwrap();
    }
    let (mut seen, mut killed) = (Seen::default(), None);
    while seen.closed.len() < FOLLOWED as usize {
        let message = tokio::time::timeout(PATIENCE, socket.next()).await.expect("a frame").unwrap().unwrap();
        let Message::Text(text) = message else { continue };
        seen.take(serde_json::from_str(&text).unwrap());
        if killed.is_none() && seen.events() >= SEEN {
            // Whoever has a run that has not ended.
            let open = seen.runs.iter().filter(|(run, _)| !seen.closed.contains_key(*run));
            let owner = open.filter_map(|(_, events)| Seen::owners(events).last().copied()).next();
            let place = cluster.place(owner.expect("a run is under way"));
            assert!(place > 0 && cluster.nodes[place].kill());
            killed = Some((cluster.nodes[place].name(), Instant::now()));
        }
    }
    let (dead, since) = killed.expect("a node was killed");
    let took = since.elapsed();
    let mut moved = 0;
    for (run, events) in &seen.runs {
        support::chained(events, 0);
        assert_eq!(events.last().unwrap()["kind"], "run.closed");
        assert_eq!(seen.closed[run]["outcome"], "succeeded", "{run}");
        let owners = Seen::owners(events);
        assert!(owners.iter().skip_while(|name| **name != dead).skip(1).all(|name| *name != dead), "{owners:?}");
        moved += u32::from(owners.iter().collect::<BTreeSet<_>>().len() > 1);
    }
    println!(
        "{} events of {FOLLOWED} runs, each once and in order; {moved} moved, the last ended {took:.1?} after the kill",
        seen.events()
    );
    assert!(moved > 0, "no run was under way on {dead}");
    // The lease, a look into the journal, and what was left to do.
    assert!(took < Duration::from_millis(LEASE_MS) + Duration::from_secs(10), "{took:?}");
    let lines = cluster.site.ledger.lines();
    let at_most_once = |line: &&l9_services::Line| match &*line.kind {
        "opaque" => line.requests <= 1,
        "keyed" | "queryable" => line.applied <= 1,
        _ => true,
    };
    assert!(lines.values().all(|line| at_most_once(&line)), "{lines:?}");
    let keyed = lines.values().filter(|line| line.kind == "keyed" && line.applied == 1).count();
    assert_eq!(keyed, 2 * FOLLOWED as usize, "every keyed write was applied");
    cluster.site.observer.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_loses_nothing_and_repeats_nothing() {
    let mut cluster = Cluster::build(&[None, None, None]).await;
    let clients = Arc::new(Clients::new());
    let mut working = JoinSet::new();
    for _ in 0..cluster.settings.clients {
        let clients = Arc::clone(&clients);
        working.spawn(async move { clients.work().await });
    }
    let (mut left, mut slowest) = (0, Duration::ZERO);
    for place in [0, 1, 2, 0, 1, 2] {
        clients.find(cluster.nodes.iter_mut().map(Node::address).collect());
        tokio::time::sleep(BETWEEN).await;
        let begun = Instant::now();
        let name = cluster.nodes[place].name();
        let code = cluster.nodes[place].leave(PATIENCE).await;
        assert_eq!(code, Some(0), "{name}: {}", cluster.nodes[place].log());
        (left, slowest) = (left + 1, slowest.max(begun.elapsed()));
        clients.find(cluster.nodes.iter_mut().map(Node::address).collect());
        cluster.start(place).await;
    }
    clients.find(cluster.nodes.iter_mut().map(Node::address).collect());
    tokio::time::sleep(BETWEEN).await;
    clients.stop();
    let all = async { while working.join_next().await.is_some() {} };
    tokio::time::timeout(PATIENCE, all).await.expect("every run ends");
    // One that every node says is here, and none that left.
    let here: Vec<String> =
        cluster.site.observer.nodes().await.unwrap().into_iter().map(|node| node.presence.name).collect();
    assert_eq!(here, cluster.nodes.iter().map(Node::name).collect::<Vec<_>>());
    for node in &mut cluster.nodes {
        assert_eq!(node.leave(PATIENCE).await, Some(0));
    }
    let verdict = journal::verdict(&cluster.site.observer, &cluster.site.ledger.lines(), &clients, &[]).await;
    let moved = journal::moved(&cluster.site.observer).await;
    println!("{left} restarts, the slowest node left within {slowest:.1?}; {moved} runs moved; {verdict:?}");
    let good = Verdict { runs: verdict.runs, requests: verdict.requests, ..Verdict::default() };
    assert_eq!(verdict, good);
    assert!(verdict.runs > 100 && moved > 0, "{} runs, {moved} moved", verdict.runs);
    cluster.site.observer.shutdown().await;
}
