//! What every part of one simulated world shares: its time, its chance, its judge and the
//! record of what happened.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use l9::RunId;
use tokio::sync::mpsc;

use crate::judge::Judge;
use crate::random::Random;
use crate::report::Counts;
use crate::timeline::Timeline;
use crate::trace::Trace;

/// How bad the world is, each in thousandths; drawn for every seed, so that some are calm.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Weather {
    /// Requests that never arrive.
    pub(crate) lost_requests: u64,
    /// Answers that never arrive, to what was carried out.
    pub(crate) lost_answers: u64,
    /// Requests that arrive after their sender gave them up.
    pub(crate) late_requests: u64,
    /// Slow exchanges.
    pub(crate) slow: u64,
    /// Tools and models that misbehave.
    pub(crate) misbehaviour: u64,
    /// Intents whose node is struck right after.
    pub(crate) aimed: u64,
}

/// One simulated world.
pub(crate) struct Sim {
    pub(crate) seed: u64,
    pub(crate) timeline: Arc<Timeline>,
    random: Mutex<Random>,
    weather: Mutex<Weather>,
    trace: Mutex<Trace>,
    judge: Mutex<Judge>,
    counts: Mutex<Counts>,
    /// Runs whose owner is to be struck.
    targets: mpsc::Sender<RunId>,
}

/// How many runs wait to be struck at most.
const TARGETS: usize = 16;

impl Sim {
    /// The world, and the runs whose owners are to be struck.
    pub(crate) fn new(seed: u64, timeline: Arc<Timeline>, judge: Judge) -> (Self, mpsc::Receiver<RunId>) {
        let (targets, aimed) = mpsc::channel(TARGETS);
        let mut random = Random::of(seed, &[]);
        let worst = random.between(0, 100);
        let weather = Weather {
            lost_requests: random.between(0, worst),
            lost_answers: random.between(0, worst),
            late_requests: random.between(0, worst / 2),
            slow: random.between(0, 2 * worst),
            misbehaviour: random.between(0, 3 * worst),
            aimed: random.between(0, 4 * worst),
        };
        let sim = Self {
            seed,
            timeline,
            random: Mutex::new(random),
            weather: Mutex::new(weather),
            trace: Mutex::default(),
            judge: Mutex::new(judge),
            counts: Mutex::default(),
            targets,
        };
        (sim, aimed)
    }

    pub(crate) fn now(&self) -> Duration {
        self.timeline.now()
    }

    pub(crate) fn draw<T>(&self, draw: impl FnOnce(&mut Random) -> T) -> T {
        draw(&mut lock(&self.random))
    }

    pub(crate) fn weather(&self) -> Weather {
        *lock(&self.weather)
    }

    /// From now on nothing goes wrong any more.
    pub(crate) fn heal(&self) {
        *lock(&self.weather) = Weather::default();
    }

    pub(crate) fn note(&self, run: Option<RunId>, text: impl Into<String>) {
        lock(&self.trace).add(self.now(), run, text.into());
    }

    pub(crate) fn count(&self, count: impl FnOnce(&mut Counts)) {
        count(&mut lock(&self.counts));
    }

    /// Asks the judge. It is told the time, and may find an invariant broken.
    pub(crate) fn judge<T>(&self, ask: impl FnOnce(&mut Judge, Duration) -> T) -> T {
        ask(&mut lock(&self.judge), self.now())
    }

    /// Has the owner of a run struck soon, while an effect of it is under way.
    pub(crate) fn aim(&self, run: RunId) {
        // Enough is enough.
        let _ = self.targets.try_send(run);
    }

    pub(crate) fn counts(&self) -> Counts {
        lock(&self.counts).clone()
    }

    pub(crate) fn trace<T>(&self, read: impl FnOnce(&Trace) -> T) -> T {
        read(&lock(&self.trace))
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim").field("seed", &self.seed).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
