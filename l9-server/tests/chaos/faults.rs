//! The loop that hurts: it kills at seeded times, freezes nodes past their leases, restarts
//! the database's server, cuts connections, and starts again whoever is dead.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use l9::time::Timestamp;
use l9_services::Stop;
use tokio::task::JoinSet;

use crate::clients::Clients;
use crate::journal::{self, Stood, Verdict};
use crate::node::Node;
use crate::schedules::{self, HeldUp};
use crate::settings::Settings;
use crate::site::{LEASE_MS, Site};

/// A lease, the interval at which others look for what is due, and some.
const FROZEN: Duration = Duration::from_millis(LEASE_MS + 1_500);
/// How long a thawed node is left alone, at the least and at the most, so that it shows what
/// it does.
const THAWED: Duration = Duration::from_millis(1_500);
const SHOWN: Duration = Duration::from_secs(30);
/// How long a kill or a freeze waits for its moment.
const AIM: Duration = Duration::from_millis(1_500);
/// How many bytes on their way to the database are an append.
const APPEND: usize = 2_000;
/// How long the last nodes may take to end every run.
const LAST: Duration = Duration::from_secs(90);
/// How many kills there are for each batch of schedules whose ticks were missed.
const BATCH: u32 = 10;
/// How long the last nodes are left alone before somebody looks again whether all has ended.
const LOOK: Duration = Duration::from_millis(200);
/// What a node says whose lease is over: by itself, or refused by the store.
const REFUSED: [&str; 4] = ["was not renewed in time", "is about to end", "is over: the newest is", "has ended"];
const REFUSALS: &str = "l9_journal_refusals_total";

/// What was done.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) kills: u32,
    pub(crate) stood: BTreeMap<Stood, u32>,
    pub(crate) freezes: u32,
    /// Thawed nodes that said that their lease is over.
    pub(crate) let_go: u32,
    /// Thawed nodes whose appends the store refused, and how many those were.
    pub(crate) refused: u32,
    pub(crate) refusals: u64,
    pub(crate) restarts: u32,
    pub(crate) cuts: u32,
    pub(crate) wipes: u32,
    /// Keys that were in Redis when it was wiped.
    pub(crate) wiped: u64,
    /// Batches of schedules whose ticks were missed.
    pub(crate) batches: u32,
    pub(crate) failed_starts: u32,
    pub(crate) took: Duration,
}

/// A frozen or thawed node: nobody else touches it meanwhile.
struct Frozen {
    node: usize,
    held: Timestamp,
    since: Instant,
    thawed: Option<Instant>,
}

struct Faults<'a> {
    settings: &'a Settings,
    site: Site,
    clients: Arc<Clients>,
    nodes: Vec<Node>,
    random: u64,
    frozen: Option<Frozen>,
    held_up: Vec<HeldUp>,
    figures: Figures,
}

/// Does everything and looks at what is left.
pub(crate) async fn run(settings: &Settings) -> (Figures, Verdict) {
    let begun = Instant::now();
    let site = Site::build(settings).await;
    let clients = Arc::new(Clients::new());
    let mut working = JoinSet::new();
    for _ in 0..settings.clients {
        let clients = Arc::clone(&clients);
        working.spawn(async move { clients.work().await });
    }
    schedules::tick(&site.observer).await;
    let nodes = (0..settings.nodes).map(|place| Node::new(place, &site.lives())).collect();
    let (random, figures) = (settings.seed, Figures::default());
    let held_up = Vec::new();
    let mut faults = Faults { settings, site, clients, nodes, random, frozen: None, held_up, figures };
    while faults.is_unfinished() {
        faults.round().await;
    }
    faults.last(working).await;
    let (site, clients) = (&faults.site, &faults.clients);
    let verdict = journal::verdict(&site.observer, &site.ledger.lines(), clients, &faults.held_up).await;
    site.observer.shutdown().await;
    site.ancient.shutdown().await;
    faults.figures.took = begun.elapsed();
    (faults.figures, verdict)
}

impl Faults<'_> {
    fn is_unfinished(&self) -> bool {
        let (done, asked) = (&self.figures, self.settings);
        done.kills < asked.kills
            || done.freezes < asked.freezes
            || done.restarts < asked.restarts
            || done.cuts < asked.cuts
            || done.wipes < asked.wipes
            || self.frozen.is_some()
    }

    async fn round(&mut self) {
        self.revive();
        self.thaw().await;
        self.miss().await;
        let pause = Duration::from_millis(20 + self.draw(100));
        tokio::time::sleep(pause).await;
        let node = self.any_node();
        let (done, asked) = (&self.figures, self.settings);
        // A late append arrives by the connection it was sent by, so that one is left whole.
        if self.frozen.is_none() && self.is_behind(done.restarts, asked.restarts) {
            self.restart().await;
        } else if self.is_behind(done.cuts, asked.cuts) {
            self.cut(node);
        } else if self.is_behind(done.wipes, asked.wipes) {
            self.wipe().await;
        } else if self.is_frozen(node) {
            // Nobody else touches it.
        } else if self.frozen.is_none() && self.is_behind(done.freezes, asked.freezes) {
            self.freeze(node).await;
        } else if done.kills < asked.kills && (self.nodes[node].address().is_some() || self.draw(8) == 0) {
            self.kill(node).await;
        }
    }

    /// Has schedules come to light whose ticks were missed. A frozen node may keep all others
    /// from writing.
    async fn miss(&mut self) {
        if self.frozen.is_none() && self.figures.kills >= self.figures.batches * BATCH {
            schedules::miss(&self.site.ancient, &self.site.observer, self.figures.batches).await;
            self.figures.batches += 1;
        }
    }

    /// Whether a fault is due: all others are spread over the kills.
    fn is_behind(&self, done: u32, asked: u32) -> bool {
        let share = (f64::from(done) + 0.5) / f64::from(asked.max(1));
        done < asked && share <= f64::from(self.figures.kills) / f64::from(self.settings.kills.max(1))
    }

    /// Kills a node: two times of three whichever the journal shows to have a write under way.
    async fn kill(&mut self, mut node: usize) {
        let begun = Instant::now();
        while self.figures.kills % 3 != 2 && begun.elapsed() < AIM {
            let standing = journal::standing(&self.site.observer).await;
            let is_writing = |place: &usize| standing.get(&self.nodes[*place].name()) == Some(&Stood::Between);
            // From the drawn one on, so that all take their turns.
            let mut places = (node..self.nodes.len()).chain(0..node).filter(|place| !self.is_frozen(*place));
            if let Some(place) = places.find(is_writing) {
                node = place;
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if self.nodes[node].kill() {
            self.count_kill(node).await;
        }
    }

    async fn count_kill(&mut self, node: usize) {
        let stood = self.stood(node).await;
        *self.figures.stood.entry(stood).or_default() += 1;
        self.figures.kills += 1;
    }

    async fn stood(&self, node: usize) -> Stood {
        let standing = journal::standing(&self.site.observer).await;
        standing.get(&self.nodes[node].name()).copied().unwrap_or(Stood::BeforeIntent)
    }

    /// Starts whoever is dead, and tells the clients where everybody is.
    fn revive(&mut self) {
        for (place, node) in self.nodes.iter_mut().enumerate() {
            if !node.lives() {
                // Whoever was killed is no more; any other process ended by itself.
                if node.clear() {
                    self.figures.failed_starts += 1;
                    println!("{} ended by itself: {}", node.name(), node.log().trim_end());
                }
                let environment = self.site.environment(place, &node.next_name());
                node.start(&self.settings.program, environment, self.settings.fences);
            }
        }
        let addresses = self.nodes.iter_mut().map(Node::address).collect();
        self.clients.find(addresses);
    }

    /// Stops the database's server and starts it again; somebody may die meanwhile.
    async fn restart(&mut self) {
        let Some(database) = &self.site.database else { return };
        let server = Arc::clone(&database.server);
        let from = self.now();
        let (how, away) = ([Stop::Crash, Stop::Fast][self.below(2)], Duration::from_millis(self.draw(2_000)));
        let stopping = Arc::clone(&server);
        tokio::task::spawn_blocking(move || stopping.stop(how)).await.unwrap();
        tokio::time::sleep(away).await;
        let node = self.any_node();
        let dies = self.figures.kills < self.settings.kills && self.draw(2) == 0;
        let died = dies && self.nodes[node].kill();
        tokio::task::spawn_blocking(move || server.resume()).await.unwrap();
        self.held_up.push((from, self.now()));
        if died {
            self.count_kill(node).await;
        }
        self.figures.restarts += 1;
    }

    /// Has Redis lose everything; every third time it is away for a while as well.
    async fn wipe(&mut self) {
        let Some(redis) = self.site.redis.clone() else { return };
        let away = self.figures.wipes.is_multiple_of(3).then(|| Duration::from_millis(200 + self.draw(1_500)));
        let wiped = tokio::task::spawn_blocking(move || {
            let wiped = redis.flush();
            if let Some(away) = away {
                redis.stop();
                std::thread::sleep(away);
                redis.resume();
            }
            wiped
        });
        self.figures.wiped += wiped.await.unwrap();
        self.figures.wipes += 1;
    }

    /// Cuts what one node has of connections to the database, or all of them.
    fn cut(&mut self, node: usize) {
        let all = self.draw(3) == 0;
        let is_hit = |place: &usize| (all || *place == node) && !self.is_frozen(*place);
        if let Some(database) = &self.site.database {
            (0..self.nodes.len()).filter(is_hit).for_each(|place| database.proxies[place].cut());
        }
        self.held_up.push((self.now(), self.now()));
        self.figures.cuts += 1;
    }

    /// Freezes a node that has a write under way; over a network also one whose append is
    /// on its way, and will arrive when the lease is over.
    async fn freeze(&mut self, node: usize) {
        if self.nodes[node].address().is_none() {
            return;
        }
        let held = self.now();
        let proxy = self.site.database.as_ref().map(|database| &database.proxies[node]);
        if let Some(proxy) = proxy {
            proxy.hold();
            let begun = Instant::now();
            while proxy.held() < APPEND && begun.elapsed() < AIM {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        self.nodes[node].signal("-STOP");
        let underway = proxy.is_none_or(|proxy| proxy.held() >= APPEND);
        if underway && self.stood(node).await == Stood::Between {
            self.frozen = Some(Frozen { node, held, since: Instant::now(), thawed: None });
        } else {
            proxy.into_iter().for_each(l9_services::Proxy::release);
            self.nodes[node].signal("-CONT");
            self.held_up.push((held, self.now()));
        }
    }

    async fn thaw(&mut self) {
        let Some(frozen) = &mut self.frozen else { return };
        let node = &mut self.nodes[frozen.node];
        match frozen.thawed {
            None if frozen.since.elapsed() >= FROZEN => {
                if !journal::is_taken_over(&self.site.observer, &node.name()).await
                    && frozen.since.elapsed() < 2 * FROZEN
                {
                    return;
                }
                if let Some(database) = &self.site.database {
                    database.proxies[frozen.node].release();
                }
                node.signal("-CONT");
                frozen.thawed = Some(Instant::now());
                self.held_up.push((frozen.held, self.site.observer.clock().now()));
            }
            Some(thawed) if thawed.elapsed() >= THAWED => {
                let log = node.log();
                let said = REFUSED.iter().any(|words| log.contains(words));
                let address = node.address();
                let refusals = self.clients.metric(address, REFUSALS).await;
                let shown = said && (refusals > 0 || self.site.database.is_none());
                if !shown && thawed.elapsed() < SHOWN {
                    return;
                }
                self.figures.let_go += u32::from(said);
                self.figures.refused += u32::from(refusals > 0);
                self.figures.refusals += refusals;
                self.figures.freezes += 1;
                self.frozen = None;
            }
            _ => {}
        }
    }

    /// Lets every run end, unharmed, and the schedules rest.
    async fn last(&mut self, mut working: JoinSet<()>) {
        // Without fences a run may be damaged so that it never ends.
        let most = if self.settings.fences { LAST } else { LAST / 10 };
        self.clients.stop();
        let begun = Instant::now();
        while !working.is_empty() && begun.elapsed() < most {
            self.revive();
            let _ = tokio::time::timeout(Duration::from_millis(50), working.join_next()).await;
        }
        while !self.is_quiet().await && begun.elapsed() < most {
            self.revive();
            tokio::time::sleep(LOOK).await;
        }
        if !working.is_empty() {
            println!("{} clients wait for ends that do not come", working.len());
        }
        working.shutdown().await;
        for node in &mut self.nodes {
            node.kill();
        }
    }

    /// Whether no schedule starts anything any more, and nothing that was started goes on.
    async fn is_quiet(&self) -> bool {
        schedules::rest(&self.site.observer).await && journal::is_quiet(&self.site.observer).await
    }

    fn now(&self) -> Timestamp {
        self.site.observer.clock().now()
    }

    fn is_frozen(&self, node: usize) -> bool {
        self.frozen.as_ref().is_some_and(|frozen| frozen.node == node)
    }

    fn any_node(&mut self) -> usize {
        self.below(self.nodes.len())
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.draw(end as u64)).unwrap()
    }

    /// The next number below `end` (splitmix64).
    fn draw(&mut self, end: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.random;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % end.max(1)
    }
}
