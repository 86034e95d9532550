//! Words as a model writes them, and as a tool says how far it has come. They are shown, never
//! journaled, and never stand in for events; they leave only after the redactor has seen them
//! with hold-back.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::id::RunId;
use crate::redact::Redactor;

/// The most bytes of one run's words that wait for a slow listener; it loses the oldest. What
/// one run says takes nothing from the others.
const WAITING: usize = 64 << 10;

/// The most runs of which words wait for one listener; it loses the oldest.
const RUNS: usize = 1024;

/// The words that the runs of a process say, and who listens to them.
#[derive(Debug, Clone, Default)]
pub struct Deltas {
    ears: Arc<Mutex<Ears>>,
}

#[derive(Debug, Default)]
struct Ears {
    /// Of those who hear every run.
    every: Vec<Arc<Ear>>,
    /// Of those who follow a run.
    of: HashMap<RunId, Vec<Arc<Ear>>>,
}

/// What one listener has heard and not taken yet.
#[derive(Debug, Default)]
struct Ear {
    heard: Mutex<VecDeque<(RunId, Pieces)>>,
    told: Notify,
}

#[derive(Debug, Default)]
struct Pieces {
    pieces: VecDeque<Arc<str>>,
    bytes: usize,
}

/// One listener. What comes while it is busy is handed over in one piece for each run.
#[derive(Debug)]
pub struct Words {
    deltas: Deltas,
    ear: Arc<Ear>,
    runs: BTreeSet<RunId>,
}

impl Deltas {
    /// Listens to nothing yet.
    #[must_use]
    pub fn listen(&self) -> Words {
        Words { deltas: self.clone(), ear: Arc::default(), runs: BTreeSet::new() }
    }

    /// Listens to the words of every run of this process.
    #[must_use]
    pub fn subscribe(&self) -> Words {
        let words = self.listen();
        words.hear_all();
        words
    }

    /// A sink for one model or tool call of one run.
    #[must_use]
    pub fn sink(&self, run: RunId, redactor: Arc<dyn Redactor>) -> DeltaSink {
        DeltaSink { run, redactor, deltas: self.clone(), held: Mutex::new(String::new()) }
    }

    fn ears(&self) -> MutexGuard<'_, Ears> {
        lock(&self.ears)
    }

    fn say(&self, run: RunId, text: &str) {
        let ears = self.ears();
        let of = ears.of.get(&run).into_iter().flatten().filter(|ear| !ears.every.iter().any(|every| same(ear, every)));
        let mut all = ears.every.iter().chain(of).peekable();
        // Nobody listening is the ordinary case.
        if all.peek().is_none() {
            return;
        }
        let text = Arc::<str>::from(text);
        all.for_each(|ear| ear.hear(run, &text));
    }
}

impl Words {
    /// Hears one more run.
    pub fn follow(&mut self, run: RunId) {
        if self.runs.insert(run) {
            self.deltas.ears().of.entry(run).or_default().push(Arc::clone(&self.ear));
        }
    }

    /// Hears a run no more; what it said and was not taken is dropped.
    pub fn leave(&mut self, run: RunId) {
        if self.runs.remove(&run) {
            self.deltas.ears().forget(run, &self.ear);
            lock(&self.ear.heard).retain(|(of, _)| *of != run);
        }
    }

    /// Hears every run: what follows a run that is about to begin does so before it has its name.
    pub fn hear_all(&self) {
        let mut ears = self.deltas.ears();
        if !ears.every.iter().any(|ear| same(ear, &self.ear)) {
            ears.every.push(Arc::clone(&self.ear));
        }
    }

    /// Hears only the runs that it follows; what others said and was not taken is dropped.
    pub fn hear_followed(&self) {
        self.deltas.ears().every.retain(|ear| !same(ear, &self.ear));
        lock(&self.ear.heard).retain(|(run, _)| self.runs.contains(run));
    }

    /// What a run has said since it was taken last. Safe to give up waiting for.
    pub async fn recv(&self) -> (RunId, String) {
        loop {
            if let Some(heard) = self.try_recv() {
                return heard;
            }
            self.ear.told.notified().await;
        }
    }

    /// The same, if there is something.
    #[must_use]
    pub fn try_recv(&self) -> Option<(RunId, String)> {
        let (run, Pieces { pieces, bytes }) = lock(&self.ear.heard).pop_front()?;
        let mut text = String::with_capacity(bytes);
        pieces.iter().for_each(|piece| text.push_str(piece));
        Some((run, text))
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        let mut ears = self.deltas.ears();
        ears.every.retain(|ear| !same(ear, &self.ear));
        self.runs.iter().for_each(|run| ears.forget(*run, &self.ear));
    }
}

impl Ears {
    fn forget(&mut self, run: RunId, ear: &Arc<Ear>) {
        if let Some(of) = self.of.get_mut(&run) {
            of.retain(|other| !same(other, ear));
            if of.is_empty() {
                self.of.remove(&run);
            }
        }
    }
}

impl Ear {
    fn hear(&self, run: RunId, text: &Arc<str>) {
        let mut heard = lock(&self.heard);
        match heard.iter_mut().find(|(of, _)| *of == run) {
            Some((_, pieces)) => pieces.push(text),
            None => {
                if heard.len() == RUNS {
                    heard.pop_front();
                }
                let mut pieces = Pieces::default();
                pieces.push(text);
                heard.push_back((run, pieces));
            }
        }
        drop(heard);
        self.told.notify_one();
    }
}

impl Pieces {
    fn push(&mut self, text: &Arc<str>) {
        self.bytes += text.len();
        self.pieces.push_back(Arc::clone(text));
        while self.bytes > WAITING && self.pieces.len() > 1 {
            self.bytes -= self.pieces.pop_front().map_or(0, |oldest| oldest.len());
        }
    }
}

fn same(one: &Arc<Ear>, other: &Arc<Ear>) -> bool {
    Arc::ptr_eq(one, other)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where one call's words go. What was held back is passed on when it is dropped.
#[derive(Debug)]
pub struct DeltaSink {
    run: RunId,
    redactor: Arc<dyn Redactor>,
    deltas: Deltas,
    held: Mutex<String>,
}

impl DeltaSink {
    /// Takes words; passes on what can no longer be the beginning of a secret.
    pub fn push(&self, text: &str) {
        let mut held = lock(&self.held);
        held.push_str(text);
        let safe = self.redactor.safe_len(&held);
        if safe > 0 {
            self.deltas.say(self.run, &self.redactor.redact(&held[..safe]));
            held.drain(..safe);
        }
    }

    /// Passes on what was held back.
    pub fn finish(&self) {
        let held = std::mem::take(&mut *lock(&self.held));
        if !held.is_empty() {
            self.deltas.say(self.run, &self.redactor.redact(&held));
        }
    }
}

impl Drop for DeltaSink {
    fn drop(&mut self) {
        self.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SeededEntropy;
    use crate::redact::KnownSecrets;
    use crate::time::Timestamp;
    use secrecy::SecretString;

    fn run(name: &str) -> RunId {
        RunId::generate(Timestamp::EPOCH, &SeededEntropy::new(1), name)
    }

    fn sink(deltas: &Deltas, run: RunId) -> DeltaSink {
        deltas.sink(run, Arc::new(KnownSecrets::new([&SecretString::from("hunter2-hunter2".to_owned())])))
    }

    #[test]
    fn a_secret_split_over_deltas_is_masked() {
        let deltas = Deltas::default();
        let heard = deltas.subscribe();
        let sink = sink(&deltas, run("test"));
        for piece in ["the key is hunt", "er2-hun", "ter2, keep it"] {
            sink.push(piece);
        }
        sink.finish();
        assert_eq!(heard.try_recv(), Some((run("test"), "the key is [redacted], keep it".to_owned())));
        assert_eq!(heard.try_recv(), None);
    }

    #[test]
    fn what_one_run_says_takes_nothing_from_the_others() {
        let deltas = Deltas::default();
        let (quiet, loud) = (run("quiet"), run("loud"));
        let mut follows = deltas.listen();
        follows.follow(quiet);
        let all = deltas.subscribe();
        sink(&deltas, quiet).push("the answer is ");
        let flood = sink(&deltas, loud);
        (0..100_000).for_each(|piece| flood.push(&format!("{piece} ")));
        flood.finish();
        sink(&deltas, quiet).push("42");
        let answer = (quiet, "the answer is 42".to_owned());
        assert_eq!((follows.try_recv(), follows.try_recv()), (Some(answer.clone()), None));
        assert_eq!(all.try_recv(), Some(answer));
        let (of, kept) = all.try_recv().unwrap();
        assert!(of == loud && kept.len() <= WAITING && kept.ends_with(" 99999 "), "{}", kept.len());
    }

    #[tokio::test]
    async fn whoever_waits_hears_of_what_it_follows_once_and_leaves_nothing_behind() {
        let deltas = Deltas::default();
        let (one, other) = (run("one"), run("other"));
        let mut words = deltas.listen();
        // Before the run has a name.
        words.hear_all();
        sink(&deltas, one).push("begun ");
        sink(&deltas, other).push("not followed");
        words.follow(one);
        sink(&deltas, one).push("once");
        words.hear_followed();
        assert_eq!(words.try_recv(), Some((one, "begun once".to_owned())));
        assert_eq!(words.try_recv(), None);
        let late = async {
            tokio::task::yield_now().await;
            sink(&deltas, one).push("late");
        };
        let (heard, ()) = tokio::join!(words.recv(), late);
        assert_eq!(heard, (one, "late".to_owned()));
        sink(&deltas, one).push("dropped");
        words.leave(one);
        assert_eq!(words.try_recv(), None);
        words.follow(other);
        drop(words);
        assert!(deltas.ears().every.is_empty() && deltas.ears().of.is_empty());
    }
}
