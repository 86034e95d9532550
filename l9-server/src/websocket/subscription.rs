//! The runs a connection follows. Each is a task that reads the journal and waits for
//! room in the connection's bounded queue before it reads on; all end with the connection.
//! Of the words that their models and tools stream a client that is too slow loses the oldest:
//! they are no part of the journal.

use std::collections::HashMap;
use std::time::Duration;

use l9::ErrorKind;
use l9::id::{RunId, TenantId};
use l9::model::Words;
use l9::run::Feed;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

use super::frame::Told;
use crate::http::{App, Problem};
use crate::metrics;

/// How long a subscription rests when the journal does not answer.
const REST: Duration = Duration::from_secs(1);

/// How often it tries again before it gives up.
const TRIES: u32 = 5;

/// Something a subscription has to tell.
#[derive(Debug)]
pub(super) struct Note {
    run: RunId,
    /// Which of the run's subscriptions it comes from, so that what an ended one left
    /// in the queue is not told.
    number: u64,
    last: bool,
    told: Told,
}

/// The runs one connection follows.
pub(super) struct Subscriptions {
    app: App,
    /// Whose runs may be followed.
    tenant: TenantId,
    runs: HashMap<RunId, Following>,
    words: Words,
    tasks: JoinSet<()>,
    count: u64,
    notes: mpsc::Sender<Note>,
    queue: mpsc::Receiver<Note>,
}

struct Following {
    number: u64,
    task: AbortHandle,
    _open: metrics::Open,
}

impl Subscriptions {
    pub(super) fn new(app: App, tenant: TenantId) -> Self {
        let (notes, queue) = mpsc::channel(app.settings().websocket.queue);
        let words = app.engine().parts().governor.deltas().listen();
        Self { app, tenant, runs: HashMap::new(), words, tasks: JoinSet::new(), count: 0, notes, queue }
    }

    /// Follows a run from a seq on.
    ///
    /// # Errors
    /// 404 for an unknown run, 400 for a seq beyond its end, 409 for a run that is
    /// followed already, 429 for too many.
    pub(super) async fn follow(&mut self, run: RunId, from: u64) -> Result<(), Problem> {
        if self.runs.contains_key(&run) {
            let message = format!("run {run} is followed already: unsubscribe first");
            return Err(l9::Error::new(ErrorKind::Conflict, message).into());
        }
        self.check_room()?;
        let feed = self.app.engine().feed(&self.tenant, run, from).await?;
        self.words.follow(run);
        self.count += 1;
        let teller = Teller {
            app: self.app.clone(),
            tenant: self.tenant.clone(),
            run,
            number: self.count,
            notes: self.notes.clone(),
        };
        let task = self.tasks.spawn(teller.tell(feed));
        let following = Following { number: self.count, task, _open: metrics::Open::subscription() };
        self.runs.insert(run, following);
        Ok(())
    }

    /// Follows a run that is being started from its beginning on, its first words included.
    ///
    /// # Errors
    /// Those of the start, and of [`Self::follow`].
    pub(super) async fn follow_new(
        &mut self,
        start: impl Future<Output = Result<RunId, Problem>>,
    ) -> Result<RunId, Problem> {
        self.words.hear_all();
        let followed = async {
            let run = start.await?;
            // The same start over again gives the same run.
            if !self.runs.contains_key(&run) {
                self.follow(run, 0).await?;
            }
            Ok(run)
        }
        .await;
        self.words.hear_followed();
        followed
    }

    /// Checks that one more run may be followed.
    ///
    /// # Errors
    /// 429 when it may not.
    pub(super) fn check_room(&self) -> Result<(), Problem> {
        let most = self.app.settings().websocket.subscriptions;
        if self.runs.len() < most {
            return Ok(());
        }
        let message = format!("this connection follows {most} runs already: unsubscribe from one");
        Err(l9::Error::new(ErrorKind::Exhausted, message).into())
    }

    /// Follows a run no more; nothing of it is told after this.
    pub(super) fn leave(&mut self, run: RunId) {
        if let Some(following) = self.runs.remove(&run) {
            following.task.abort();
            self.words.leave(run);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The next thing to tell, in order for each run. Safe to give up waiting for. Words go before
    /// events, so that a run's last words are not cut off by its end.
    pub(super) async fn next(&mut self) -> Told {
        loop {
            tokio::select! {
                biased;
                (run_id, text) = self.words.recv() => return Told::Delta { run_id, text },
                Some(_) = self.tasks.join_next() => {}
                Some(note) = self.queue.recv() => {
                    if self.runs.get(&note.run).is_none_or(|following| following.number != note.number) {
                        continue;
                    }
                    if note.last {
                        self.runs.remove(&note.run);
                        self.words.leave(note.run);
                    }
                    return note.told;
                }
            }
        }
    }
}

/// Tells one run's events.
struct Teller {
    app: App,
    tenant: TenantId,
    run: RunId,
    number: u64,
    notes: mpsc::Sender<Note>,
}

impl Teller {
    async fn tell(self, mut feed: Feed) {
        let mut failures = 0;
        loop {
            match feed.next().await {
                Ok(Some((view, _))) => {
                    failures = 0;
                    if !self.note(Told::Event(Box::new(view)), false).await {
                        return;
                    }
                }
                Ok(None) => break,
                Err(error) if error.is_retryable() && failures < TRIES => {
                    failures += 1;
                    self.app.clock().sleep(REST).await;
                }
                Err(error) => {
                    self.note(Told::broken(self.run, &error.into()), true).await;
                    return;
                }
            }
        }
        let told = match self.app.engine().outcome(&self.tenant, self.run).await {
            Ok(ended) => Told::Closed { run_id: self.run, end: ended.into() },
            Err(error) => Told::broken(self.run, &error.into()),
        };
        self.note(told, true).await;
    }

    async fn note(&self, told: Told, last: bool) -> bool {
        self.notes.send(Note { run: self.run, number: self.number, last, told }).await.is_ok()
    }
}
