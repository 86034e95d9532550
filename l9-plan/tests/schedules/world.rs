//! A world without real time: schedulers over one store, each with a clock of its own that
//! jumps when it is told to; runs that are known by their keys; processes that die.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use l9_core::conformance::PlainVault;
use l9_core::entropy::{Entropy, SystemEntropy};
use l9_core::id::{AgentId, CommandId, RunId, TenantId};
use l9_core::principal::Principal;
use l9_core::time::{Clock, Timestamp};
use l9_core::{Error, ErrorKind, Result};
use l9_memory::in_memory;
use l9_plan::schedule::{
    Book, CronLine, Definition, Moved, Runs, Schedule, ScheduleId, Scheduler, Schedules, Settings, StoredSchedule,
    Target, When,
};
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// A clock that is set.
#[derive(Debug, Default)]
pub(crate) struct Hands(AtomicI64);

impl Hands {
    pub(crate) fn set(&self, now: Timestamp) {
        self.0.store(now.as_millis(), Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    async fn sleep(&self, _: Duration) {
        std::future::pending().await
    }
}

/// Numbers that look random and are the same every time.
#[derive(Debug)]
pub(crate) struct Dice(AtomicU64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1))
    }

    /// A number below `sides`.
    pub(crate) fn roll(&self, sides: u64) -> u64 {
        let next = |x: u64| x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let drawn = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |x| Some(next(x))).unwrap();
        (next(drawn) >> 33) % sides
    }
}

/// A store that takes its time, so that schedulers come between each other.
#[derive(Debug)]
struct Slow {
    store: in_memory::Store,
    dice: Dice,
}

impl Slow {
    async fn wait(&self) {
        for _ in 0..self.dice.roll(4) {
            tokio::task::yield_now().await;
        }
    }
}

#[async_trait]
impl Schedules for Slow {
    async fn create_schedule(&self, new: StoredSchedule) -> Result<()> {
        self.store.create_schedule(new).await
    }

    async fn schedule(&self, tenant: &TenantId, id: &ScheduleId) -> Result<Option<StoredSchedule>> {
        self.wait().await;
        let read = self.store.schedule(tenant, id).await;
        self.wait().await;
        read
    }

    async fn schedules(&self, of: &TenantId, after: Option<&ScheduleId>, limit: usize) -> Result<Vec<StoredSchedule>> {
        self.store.schedules(of, after, limit).await
    }

    async fn due_schedules(&self, now: Timestamp, limit: usize) -> Result<Vec<StoredSchedule>> {
        self.wait().await;
        let read = self.store.due_schedules(now, limit).await;
        self.wait().await;
        read
    }

    async fn move_schedule(&self, seen: &StoredSchedule, moved: Moved) -> Result<bool> {
        self.wait().await;
        let written = self.store.move_schedule(seen, moved).await;
        self.wait().await;
        written
    }

    async fn remove_schedule(&self, tenant: &TenantId, id: &ScheduleId) -> Result<bool> {
        self.store.remove_schedule(tenant, id).await
    }
}

/// The runs there are.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    by_key: HashMap<String, RunId>,
    /// The tick of each run, in the order they began.
    pub(crate) begun: Vec<(Timestamp, RunId)>,
    pub(crate) open: HashSet<RunId>,
    pub(crate) cancelled: Vec<RunId>,
    /// Runs stay open until they are closed.
    pub(crate) lasting: bool,
    /// What is answered to whoever wants to start one.
    pub(crate) refusal: Option<(ErrorKind, &'static str)>,
}

/// What one process sees of the runs.
#[derive(Debug)]
struct Seen {
    journal: Arc<Mutex<Journal>>,
    /// Left out to see whether anybody notices.
    keyed: bool,
    /// The process dies at its next start, before the run is durable.
    dies_before: AtomicBool,
    /// The process dies at its next start, when the run is durable.
    dies_after: AtomicBool,
    dead: Notify,
    dice: Dice,
}

impl Seen {
    async fn die(&self, now: &AtomicBool) {
        if now.swap(false, Ordering::SeqCst) {
            self.dead.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Runs for Seen {
    fn check(&self, _: &Principal, _: &Target) -> Result<()> {
        Ok(())
    }

    async fn start(&self, by: &Principal, _: &Definition, key: &str) -> Result<RunId> {
        assert_eq!(by.subject, "person:ada", "it runs for whoever made it");
        for _ in 0..self.dice.roll(4) {
            tokio::task::yield_now().await;
        }
        self.die(&self.dies_before).await;
        let run = {
            let mut journal = self.journal.lock().unwrap();
            if let Some((kind, message)) = journal.refusal {
                return Err(Error::new(kind, message));
            }
            let known = journal.by_key.get(key).copied().filter(|_| self.keyed);
            known.unwrap_or_else(|| {
                let run = RunId::generate(Timestamp::EPOCH, &SystemEntropy, key);
                let tick = key.rsplit('/').next().unwrap().parse().unwrap();
                journal.by_key.insert(key.to_owned(), run);
                journal.begun.push((Timestamp::from_millis(tick), run));
                if journal.lasting {
                    journal.open.insert(run);
                }
                run
            })
        };
        self.die(&self.dies_after).await;
        Ok(run)
    }

    async fn is_open(&self, _: &TenantId, run: RunId) -> Result<bool> {
        Ok(self.journal.lock().unwrap().open.contains(&run))
    }

    async fn cancel(&self, _: &TenantId, run: RunId, _: CommandId, _: String) -> Result<()> {
        let mut journal = self.journal.lock().unwrap();
        if !journal.cancelled.contains(&run) {
            journal.cancelled.push(run);
        }
        Ok(())
    }
}

/// A process with a scheduler.
pub(crate) struct Process {
    pub(crate) clock: Arc<Hands>,
    seen: Arc<Seen>,
    scheduler: Scheduler,
}

/// All of them.
pub(crate) struct World {
    store: Arc<Slow>,
    pub(crate) journal: Arc<Mutex<Journal>>,
    pub(crate) processes: Vec<Process>,
    keyed: bool,
    pub(crate) dice: Dice,
    born: u64,
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn ada() -> Principal {
    Principal { subject: "person:ada".into(), ..Principal::local() }
}

pub(crate) fn name() -> ScheduleId {
    ScheduleId::new("nightly").unwrap()
}

pub(crate) fn cron(line: &str, zone: &str) -> Definition {
    let when = When::Cron(CronLine { line: line.into(), zone: zone.into() });
    let starts = Target::Agent { id: AgentId::new("a").unwrap(), input: "x".into(), session: None };
    Definition { catch_up_limit: 1_000, ..Definition::new(when, starts) }
}

impl World {
    /// So many processes, at a time.
    pub(crate) fn new(processes: usize, now: Timestamp, seed: u64) -> Self {
        Self::made(processes, now, seed, true)
    }

    /// The same, where without keys a run that is started twice is two.
    pub(crate) fn made(processes: usize, now: Timestamp, seed: u64, keyed: bool) -> Self {
        let store = Arc::new(Slow { store: in_memory::Store::default(), dice: Dice::new(seed) });
        let (journal, dice) = (Arc::default(), Dice::new(seed + 1));
        let mut world = Self { store, journal, processes: Vec::new(), keyed, dice, born: 0 };
        world.processes = (0..processes).map(|_| world.process(now)).collect();
        world
    }

    fn process(&mut self, now: Timestamp) -> Process {
        let clock = Arc::new(Hands::default());
        clock.set(now);
        self.born += 1;
        let seen = Arc::new(Seen {
            journal: Arc::clone(&self.journal),
            keyed: self.keyed,
            dies_before: AtomicBool::new(false),
            dies_after: AtomicBool::new(false),
            dead: Notify::new(),
            dice: Dice::new(self.born),
        });
        let book = Book {
            store: Arc::<Slow>::clone(&self.store),
            vault: Arc::new(PlainVault),
            clock: Arc::<Hands>::clone(&clock),
            entropy: Arc::new(SystemEntropy) as Arc<dyn Entropy>,
        };
        let (settings, owner) = (Settings::default(), format!("process {}", self.born));
        let scheduler = Scheduler { settings, book, runs: Arc::<Seen>::clone(&seen), owner };
        Process { clock, seen, scheduler }
    }

    pub(crate) fn book(&self) -> &Book {
        &self.processes[0].scheduler.book
    }

    pub(crate) async fn schedule(&self) -> Schedule {
        self.book().get(&ada().tenant, &name()).await.unwrap()
    }

    pub(crate) fn set(&self, now: Timestamp) {
        self.processes.iter().for_each(|process| process.clock.set(now));
    }

    /// All look at once, those that die at their next start among them; others are born for them.
    pub(crate) async fn look(&mut self) {
        let mut looking = JoinSet::new();
        for (place, process) in self.processes.iter().enumerate() {
            let (scheduler, seen) = (process.scheduler.clone(), Arc::clone(&process.seen));
            looking.spawn(async move {
                let alive = tokio::select! {
                    looked = scheduler.round() => { looked.unwrap(); true }
                    () = seen.dead.notified() => false,
                };
                (place, alive)
            });
        }
        while let Some(looked) = looking.join_next().await {
            let (place, alive) = looked.unwrap();
            if !alive {
                let now = self.processes[place].clock.now();
                self.processes[place] = self.process(now);
            }
        }
    }

    /// The process dies when it starts its next run: before that is durable, or before it
    /// writes down that it is.
    pub(crate) fn kill(&self, process: usize) {
        let seen = &self.processes[process].seen;
        let dies = if self.dice.roll(2) == 0 { &seen.dies_before } else { &seen.dies_after };
        dies.store(true, Ordering::SeqCst);
    }

    /// The ticks that have runs, one for each run.
    pub(crate) fn ticks(&self) -> Vec<Timestamp> {
        let mut ticks: Vec<_> = self.journal.lock().unwrap().begun.iter().map(|(tick, _)| *tick).collect();
        ticks.sort();
        ticks
    }

    pub(crate) fn end(&self, run: RunId) {
        self.journal.lock().unwrap().open.remove(&run);
    }
}
