//! The loop that hurts: it kills at seeded times, freezes nodes past their leases, starts
//! them again, and gives each new runs when those it had have ended.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use l9::Runtime;

use crate::journal::{self, Stood, Verdict};
use crate::ledger_agent;
use crate::node::Node;
use crate::settings::Settings;
use crate::support::Ledger;

/// The nodes' lease, and a second.
const FROZEN: Duration = Duration::from_millis(6_000);
/// How long a thawed node is left alone, so that it shows what it does.
const THAWED: Duration = Duration::from_millis(1_500);
/// How long a kill waits for its moment.
const AIM: Duration = Duration::from_millis(400);
/// How long the last nodes may take to end every run.
const LAST: Duration = Duration::from_secs(60);
/// What a node says whose lease is over: by itself, or refused by the store.
const REFUSED: [&str; 4] = ["was not renewed in time", "is about to end", "is over: the newest is", "has ended"];

/// What was done.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) kills: u32,
    pub(crate) stood: BTreeMap<Stood, u32>,
    pub(crate) freezes: u32,
    pub(crate) refused: u32,
    pub(crate) failed_starts: u32,
    pub(crate) took: Duration,
}

/// A frozen or thawed node: nobody else touches it meanwhile.
struct Frozen {
    node: usize,
    since: Instant,
    thawed: Option<Instant>,
}

struct Faults<'a> {
    settings: &'a Settings,
    observer: Runtime,
    ledger: Ledger,
    folder: tempfile::TempDir,
    nodes: Vec<Node>,
    next: u32,
    random: u64,
    frozen: Option<Frozen>,
    figures: Figures,
}

/// Does everything and looks at what is left.
pub(crate) async fn run(settings: &Settings) -> (Figures, Verdict) {
    let begun = Instant::now();
    let folder = tempfile::tempdir().unwrap();
    let lives = folder.path().join("lives");
    std::fs::create_dir(&lives).unwrap();
    let data = folder.path().join("data");
    let observer = ledger_agent::build(&data.display().to_string(), "", "scribe", "observer").await.unwrap();
    let ledger = Ledger::start(Duration::from_millis(17)).await;
    let nodes = (0..settings.nodes).map(|place| Node::new(place, &lives)).collect();
    let (random, figures) = (settings.seed, Figures::default());
    let mut faults = Faults { settings, observer, ledger, folder, nodes, next: 0, random, frozen: None, figures };
    while faults.figures.kills < settings.kills || faults.figures.freezes < settings.freezes || faults.frozen.is_some()
    {
        faults.round().await;
    }
    faults.last().await;
    let verdict = journal::verdict(&faults.observer, &faults.ledger.lines(), &lives).await;
    faults.observer.shutdown().await;
    faults.figures.took = begun.elapsed();
    (faults.figures, verdict)
}

impl Faults<'_> {
    async fn round(&mut self) {
        self.revive();
        self.thaw();
        let pause = Duration::from_millis(20 + self.draw(100));
        tokio::time::sleep(pause).await;
        let node = usize::try_from(self.draw(self.nodes.len() as u64)).unwrap();
        if self.frozen.as_ref().is_some_and(|frozen| frozen.node == node) {
            return;
        }
        // Freezes are spread over the kills.
        let done = |part: u32, whole: u32| f64::from(part) / f64::from(whole.max(1));
        let behind = done(self.figures.freezes, self.settings.freezes) <= done(self.figures.kills, self.settings.kills);
        if self.frozen.is_none() && self.figures.freezes < self.settings.freezes && behind {
            self.freeze(node).await;
        } else if self.figures.kills < self.settings.kills {
            self.kill(node).await;
        }
    }

    /// Kills a node: every other time when the journal shows that it has a write under way.
    async fn kill(&mut self, node: usize) {
        let begun = Instant::now();
        let name = self.nodes[node].name();
        while self.figures.kills.is_multiple_of(2)
            && begun.elapsed() < AIM
            && journal::stood(&self.observer, &name).await != Stood::Between
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if self.nodes[node].kill() {
            let stood = journal::stood(&self.observer, &name).await;
            *self.figures.stood.entry(stood).or_default() += 1;
            self.figures.kills += 1;
        }
    }

    /// Starts whoever is dead: with the same runs if they have not ended.
    fn revive(&mut self) {
        for place in 0..self.nodes.len() {
            let ended = self.nodes[place].ended();
            let frozen = self.frozen.as_ref().is_some_and(|frozen| frozen.node == place);
            match ended {
                Some(status) if status.success() && !frozen => self.nodes[place].next_window(&mut self.next),
                Some(status) if !status.success() => self.figures.failed_starts += 1,
                None if self.nodes[place].is_fresh() => self.nodes[place].next_window(&mut self.next),
                _ => {}
            }
            if !frozen && (ended.is_some() || self.nodes[place].is_empty()) {
                self.start(place);
            }
        }
    }

    fn start(&mut self, place: usize) {
        let (ledger, data) = (self.ledger.address.to_string(), self.folder.path().join("data"));
        self.nodes[place].start(&self.settings.node, &ledger, &data, self.settings.unfenced);
    }

    /// Freezes a node that has a write under way.
    async fn freeze(&mut self, node: usize) {
        if self.nodes[node].is_empty() || self.nodes[node].ended().is_some() {
            return;
        }
        self.nodes[node].signal("-STOP");
        if journal::stood(&self.observer, &self.nodes[node].name()).await == Stood::Between {
            self.frozen = Some(Frozen { node, since: Instant::now(), thawed: None });
        } else {
            self.nodes[node].signal("-CONT");
        }
    }

    fn thaw(&mut self) {
        let Some(frozen) = &mut self.frozen else { return };
        match frozen.thawed {
            None if frozen.since.elapsed() >= FROZEN => {
                self.nodes[frozen.node].signal("-CONT");
                frozen.thawed = Some(Instant::now());
            }
            Some(thawed) if thawed.elapsed() >= THAWED => {
                let log = self.nodes[frozen.node].log();
                let refused = REFUSED.iter().any(|words| log.contains(words));
                self.figures.refused += u32::from(refused);
                self.figures.freezes += 1;
                self.frozen = None;
            }
            _ => {}
        }
    }

    /// Lets every node end what it has, unharmed.
    async fn last(&mut self) {
        let begun = Instant::now();
        // Without fences a run may be damaged so that it never ends.
        let most = if self.settings.unfenced { LAST / 10 } else { LAST };
        for place in 0..self.nodes.len() {
            loop {
                match self.nodes[place].ended() {
                    Some(status) if status.success() => break,
                    Some(_) => self.start(place),
                    None if self.nodes[place].is_empty() => self.start(place),
                    None => {}
                }
                if begun.elapsed() > most {
                    println!("node {place} does not end:\n{}", self.nodes[place].log());
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            self.nodes[place].kill();
        }
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
