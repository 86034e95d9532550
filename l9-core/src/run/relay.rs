//! Hints between nodes: one task sends what this process told, batched and the newest of each
//! run only; another takes in what other nodes tell. It loses hints whenever that is cheaper
//! than keeping them, and says so by waking everybody who listens.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::hints::{Hints, Word};
use crate::Result;
use crate::time::Clock;

/// The most hints of one message.
const BATCH: usize = 2_048;

/// The least time between two messages: what is told meanwhile shares the next one.
const PACE: Duration = Duration::from_millis(2);

/// How often something is sent when there is nothing to tell, so that whoever listens knows
/// that it hears.
pub const QUIET: Duration = Duration::from_secs(5);

/// How long a connection that was lost is left alone.
const REST: Duration = Duration::from_secs(1);

/// How long the last hints of a process may take.
const PARTING: Duration = Duration::from_secs(1);

/// What a listener hears.
#[derive(Debug, Clone, Copy)]
pub enum Heard<'a> {
    /// It listens from now on; what was told before is lost.
    Nothing,
    /// What another node told.
    Words(&'a [Word]),
}

/// Carries hints between the nodes of one store. It may lose and repeat them.
#[async_trait]
pub trait HintWire: fmt::Debug + Send + Sync {
    /// Sends hints to every other node that listens; none at all is sent too.
    ///
    /// # Errors
    /// `Unavailable` when they are lost.
    async fn send(&self, words: &[Word]) -> Result<()>;

    /// Listens to other nodes until the connection is lost, which is an error.
    ///
    /// # Errors
    /// `Unavailable` when the connection is lost or never was.
    async fn listen(&self, hear: &(dyn for<'a> Fn(Heard<'a>) + Send + Sync)) -> Result<()>;
}

/// The way of one process's hints to other nodes and back.
#[derive(Debug)]
pub struct Relay {
    hints: Hints,
    wire: Arc<dyn HintWire>,
    clock: Arc<dyn Clock>,
    told: tokio::sync::Mutex<mpsc::Receiver<Word>>,
}

impl Relay {
    /// Connects hints to a wire; `None` if they are connected to one. What is told from here on
    /// waits until it runs or parts.
    #[must_use]
    pub fn new(hints: &Hints, wire: Arc<dyn HintWire>, clock: Arc<dyn Clock>) -> Option<Self> {
        let told = tokio::sync::Mutex::new(hints.outward()?);
        Some(Self { hints: hints.clone(), wire, clock, told })
    }

    /// Sends and listens until it is dropped.
    pub async fn run(&self) {
        tokio::join!(self.send(), self.listen());
    }

    /// Sends what was told last, once nothing runs it any more.
    pub async fn part(&self) {
        let mut words = Vec::new();
        while let Ok(word) = self.told.lock().await.try_recv() {
            words.push(word);
        }
        if words.is_empty() {
            return;
        }
        let words = newest(&words);
        tokio::select! {
            sent = self.wire.send(&words) => {
                if let Err(error) = sent {
                    tracing::debug!(%error, "the last hints were not sent");
                }
            }
            () = self.clock.sleep(PARTING) => {}
        }
    }

    async fn send(&self) {
        let mut told = self.told.lock().await;
        let (mut words, mut well) = (Vec::with_capacity(BATCH), true);
        loop {
            words.clear();
            tokio::select! {
                biased;
                _ = told.recv_many(&mut words, BATCH) => {}
                () = self.clock.sleep(QUIET) => {}
            }
            let sent = self.wire.send(&newest(&words)).await;
            match &sent {
                Ok(()) => metrics::counter!("l9_hints_sent_total").increment(words.len() as u64),
                Err(error) => {
                    metrics::counter!("l9_hints_lost_total").increment(words.len() as u64);
                    // Once for each time that the wire is away.
                    if well {
                        tracing::warn!(%error, "other nodes get no hints: they see what is new when they look");
                    }
                }
            }
            well = sent.is_ok();
            self.clock.sleep(if well { PACE } else { REST }).await;
        }
    }

    async fn listen(&self) {
        let hear = |heard: Heard<'_>| match heard {
            Heard::Nothing => self.hints.stir(),
            Heard::Words(words) => {
                metrics::counter!("l9_hints_heard_total").increment(words.len() as u64);
                words.iter().for_each(|word| self.hints.heard(*word));
            }
        };
        loop {
            if let Err(error) = self.wire.listen(&hear).await {
                tracing::debug!(%error, "no hints of other nodes: what is new is seen by looking");
            }
            self.clock.sleep(REST).await;
        }
    }
}

/// Of each run the newest seq, and that a command waits if one does; in the order of their
/// first.
fn newest(words: &[Word]) -> Vec<Word> {
    let mut places = HashMap::with_capacity(words.len());
    let mut kept: Vec<Word> = Vec::with_capacity(words.len());
    for word in words {
        match places.entry((word.run, word.next == 0)) {
            Entry::Vacant(place) => {
                place.insert(kept.len());
                kept.push(*word);
            }
            Entry::Occupied(place) => {
                let kept = &mut kept[*place.get()];
                kept.next = kept.next.max(word.next);
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::RunId;
    use crate::run::Hint;
    use crate::time::SystemClock;
    use tokio::sync::broadcast;

    fn run(number: u8) -> RunId {
        RunId::from_slice(&[number; 16]).unwrap()
    }

    fn word(number: u8, next: u64) -> Word {
        Word { run: run(number), next }
    }

    #[test]
    fn of_each_run_only_the_newest_goes() {
        let told = [word(1, 3), word(2, 1), word(1, 0), word(1, 5), word(1, 4), word(1, 0)];
        assert_eq!(newest(&told), [word(1, 5), word(2, 1), word(1, 0)]);
        assert_eq!(newest(&[]), []);
    }

    #[tokio::test]
    async fn what_is_not_newer_wakes_nobody_and_a_gap_wakes_all() {
        let hints = Hints::default();
        let mut mine = hints.subscribe(run(1));
        hints.heard(word(1, 5));
        assert_eq!(*mine.borrow_and_update(), Hint { next: 5, commands: 0 });
        for old in [5, 4] {
            hints.heard(word(1, old));
            assert!(!mine.has_changed().unwrap());
        }
        hints.heard(word(2, 9));
        assert!(!mine.has_changed().unwrap(), "another run's");
        hints.heard(word(1, 0));
        assert_eq!(*mine.borrow_and_update(), Hint { next: 5, commands: 1 });
        hints.stir();
        assert_eq!(*mine.borrow_and_update(), Hint { next: 5, commands: 2 });
        // What this process did itself always counts, whatever others said.
        hints.heard(word(1, u64::MAX));
        mine.borrow_and_update();
        hints.appended(run(1), 6, false);
        assert!(mine.has_changed().unwrap());
    }

    /// A wire within one process, whose connections can be cut.
    #[derive(Debug)]
    struct Cable {
        all: broadcast::Sender<(usize, Vec<Word>)>,
        cut: broadcast::Sender<()>,
        place: usize,
    }

    #[async_trait]
    impl HintWire for Cable {
        async fn send(&self, words: &[Word]) -> Result<()> {
            self.all.send((self.place, words.to_vec())).map(drop).map_err(|_| crate::Error::unavailable("nobody hears"))
        }

        async fn listen(&self, hear: &(dyn for<'a> Fn(Heard<'a>) + Send + Sync)) -> Result<()> {
            let (mut all, mut cut) = (self.all.subscribe(), self.cut.subscribe());
            hear(Heard::Nothing);
            loop {
                tokio::select! {
                    Ok((place, words)) = all.recv() => if place != self.place { hear(Heard::Words(&words)) },
                    _ = cut.recv() => return Err(crate::Error::unavailable("cut")),
                }
            }
        }
    }

    #[tokio::test]
    async fn hints_reach_other_nodes_and_do_not_come_back() {
        let (all, cut) = (broadcast::channel(100).0, broadcast::channel(1).0);
        let (one, two) = (Hints::default(), Hints::default());
        for (place, hints) in [&one, &two].into_iter().enumerate() {
            let wire = Cable { all: all.clone(), cut: cut.clone(), place };
            let relay = Relay::new(hints, Arc::new(wire), Arc::new(SystemClock::default())).unwrap();
            tokio::spawn(async move { relay.run().await });
        }
        let (mut here, mut there) = (one.subscribe(run(1)), two.subscribe(run(1)));
        // Until both listen.
        tokio::task::yield_now().await;
        while all.receiver_count() < 2 {
            tokio::task::yield_now().await;
        }
        there.borrow_and_update();
        one.appended(run(1), 7, false);
        there.wait_for(|hint| hint.next == 7).await.unwrap();
        let before = there.borrow().commands;
        one.commanded(run(1));
        there.wait_for(|hint| hint.commands > before).await.unwrap();
        two.appended(run(1), 8, false);
        here.wait_for(|hint| hint.next == 8).await.unwrap();
        assert_eq!(there.borrow_and_update().next, 8, "it knew of its own");

        // After a cut whoever listens is woken, for something may have been told meanwhile.
        let before = there.borrow_and_update().commands;
        cut.send(()).unwrap();
        there.wait_for(|hint| hint.commands > before).await.unwrap();
    }

    #[tokio::test]
    async fn what_was_told_last_is_sent_at_the_end_and_what_does_not_fit_is_lost() {
        let (all, cut) = (broadcast::channel(100).0, broadcast::channel(1).0);
        let mut heard = all.subscribe();
        let hints = Hints::default();
        let wire = Arc::new(Cable { all, cut, place: 0 });
        let clock = Arc::new(SystemClock::default());
        let relay = Relay::new(&hints, wire.clone(), clock.clone()).unwrap();
        assert!(Relay::new(&hints, wire, clock).is_none(), "hints have one way out");
        for next in 1..40_000 {
            hints.appended(run(1), next, false);
        }
        relay.part().await;
        assert_eq!(heard.recv().await.unwrap(), (0, vec![word(1, 16_384)]));
        relay.part().await;
        assert!(heard.try_recv().is_err(), "nothing was left to say");
    }
}
