//! The one task that appends. It takes what waits, of all runs of the process, puts it
//! into one commit, and then answers everybody (group commit). One commit is under way
//! at a time: a second connection was measured to make batches smaller, not appends faster.
//!
//! Invariant: nobody is told of success before the commit. A refusal (a fence, a conflict) concerns only the one
//! who is refused. A connection that is lost during a commit leaves it open whether the
//! commit was made: that is told as `Unavailable`, and whoever asked reads the head.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::time::Duration;

use l9_core::id::{RunId, TenantId};
use l9_core::journal::{Append, Appended};
use l9_core::{Error, Result};
use sqlx::{Connection, PgConnection};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{Instant, timeout};

use super::appends;
use super::database::Connector;
use super::error::{again, fault, is_of_connection};
use crate::check;

/// How many connections append.
pub(super) const CONNECTIONS: u32 = 1;
/// How many appends may wait; whoever comes then waits as well.
const QUEUE: usize = 1024;
/// About how many rows go into one commit.
const GROUP_ROWS: usize = 256;
/// About how many bytes go into one commit.
const GROUP_BYTES: usize = 4 << 20;
/// How often the others are let go first, while each time brings more work.
const GATHER: usize = 3;
/// A connection that lay idle this long is tried before it is used.
const IDLE: Duration = Duration::from_millis(500);

/// A run that may be in one commit at a time.
type Claim = (TenantId, RunId);

/// A handle on the task.
pub(super) struct Appender {
    sender: Mutex<Option<mpsc::Sender<Work>>>,
    fast: mpsc::WeakSender<Work>,
    task: Mutex<Option<JoinHandle<()>>>,
}

struct Work {
    append: Box<Append>,
    answer: oneshot::Sender<Result<Appended>>,
}

impl Appender {
    /// Starts the task; it connects when there is something to append.
    pub(super) fn start(connector: &Connector) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let fast = sender.downgrade();
        let lane = Lane { connector: connector.clone(), connection: None, used: Instant::now() };
        let task = tokio::spawn(Loop { lane, waiting: VecDeque::new(), crowded: false }.run(receiver));
        Self { sender: Mutex::new(Some(sender)), fast, task: Mutex::new(Some(task)) }
    }

    /// Appends, with whatever else waits.
    pub(super) async fn append(&self, append: Append) -> Result<Appended> {
        check::append(&append)?;
        let (answer, outcome) = oneshot::channel();
        let sender = self.fast.upgrade().ok_or_else(stopped)?;
        sender.send(Work { append: Box::new(append), answer }).await.map_err(|_| stopped())?;
        outcome.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Finishes what waits, and ends the task.
    pub(super) async fn close(&self) {
        drop(self.sender.lock().await.take());
        if let Some(task) = self.task.lock().await.take() {
            // A task that ended otherwise has nothing left to finish.
            let _ = task.await;
        }
    }
}

impl fmt::Debug for Appender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Appender").finish_non_exhaustive()
    }
}

struct Loop {
    lane: Lane,
    waiting: VecDeque<Work>,
    /// Whether several waited the last time.
    crowded: bool,
}

impl Loop {
    async fn run(mut self, mut receiver: mpsc::Receiver<Work>) {
        loop {
            if self.waiting.is_empty() {
                match receiver.recv().await {
                    Some(work) => self.waiting.push_back(work),
                    None => break,
                }
            }
            self.gather(&mut receiver).await;
            let group = self.take_group();
            self.lane.commit(group).await;
        }
        self.lane.close().await;
    }

    /// Takes in what waits, and lets those who are about to ask do so first.
    async fn gather(&mut self, receiver: &mut mpsc::Receiver<Work>) {
        for round in 0..GATHER {
            if round > 0 || self.crowded {
                yield_now().await;
            }
            let before = self.waiting.len();
            while self.waiting.len() < QUEUE {
                match receiver.try_recv() {
                    Ok(work) => self.waiting.push_back(work),
                    Err(_) => break,
                }
            }
            if self.waiting.len() == before {
                break;
            }
        }
        self.crowded = self.waiting.len() > 1;
    }

    /// What goes into the next commit: each run once, in the order of arrival.
    fn take_group(&mut self) -> Vec<Work> {
        let (mut group, mut later) = (Vec::new(), VecDeque::new());
        let mut claimed = HashSet::new();
        let (mut rows, mut bytes) = (0, 0);
        while let Some(work) = self.waiting.pop_front() {
            if !claimed.insert(work.claim()) {
                later.push_back(work);
                continue;
            }
            let (more_rows, more_bytes) = work.size();
            // What brings something along has a commit of its own.
            let alone = !work.append.along.is_empty();
            if alone && group.is_empty() {
                group.push(work);
                break;
            }
            if alone || !group.is_empty() && (rows + more_rows > GROUP_ROWS || bytes + more_bytes > GROUP_BYTES) {
                later.push_back(work);
                break;
            }
            (rows, bytes) = (rows + more_rows, bytes + more_bytes);
            group.push(work);
        }
        later.append(&mut self.waiting);
        self.waiting = later;
        group
    }
}

/// A connection that appends, if there is one.
struct Lane {
    connector: Connector,
    connection: Option<PgConnection>,
    used: Instant,
}

impl Lane {
    async fn commit(&mut self, group: Vec<Work>) {
        let appends: Vec<&Append> = group.iter().map(|work| &*work.append).collect();
        let outcomes = self.write(&appends).await;
        for (work, outcome) in group.into_iter().zip(outcomes) {
            // Whoever asked may have gone.
            let _ = work.answer.send(outcome);
        }
    }

    /// Writes them together; where the server refuses that, each by itself, so that a
    /// damaged run concerns nobody else.
    async fn write(&mut self, appends: &[&Append]) -> Vec<Result<Appended>> {
        match self.attempt(appends).await {
            Ok(outcomes) => outcomes,
            Err(error) if appends.len() == 1 || self.connection.is_none() => {
                appends.iter().map(|_| Err(again(&error))).collect()
            }
            Err(_) => {
                let mut outcomes = Vec::with_capacity(appends.len());
                for append in appends {
                    let alone = self.attempt(std::slice::from_ref(append)).await;
                    outcomes.push(alone.and_then(|mut alone| alone.pop().unwrap_or_else(|| Err(stopped()))));
                }
                outcomes
            }
        }
    }

    /// One statement; a connection that failed is gone afterwards.
    async fn attempt(&mut self, appends: &[&Append]) -> Result<Vec<Result<Appended>>> {
        let mut connection = self.ready().await?;
        let answering = self.connector.answering();
        let write = async {
            match appends {
                [append] if !append.along.is_empty() => {
                    appends::write_laden(&mut connection, append).await.map(|outcome| vec![outcome])
                }
                _ => appends::write(&mut connection, appends).await,
            }
        };
        let written = timeout(answering, write).await;
        self.used = Instant::now();
        match written {
            Ok(Ok(outcomes)) => {
                self.connection = Some(connection);
                let records: usize = appends.iter().map(|append| append.records.len()).sum();
                metrics::counter!("l9_journal_commits_total").increment(1);
                metrics::counter!("l9_journal_records_total").increment(records as u64);
                let refused = outcomes.iter().filter(|outcome| outcome.is_err()).count();
                metrics::counter!("l9_journal_refusals_total").increment(refused as u64);
                Ok(outcomes)
            }
            Ok(Err(error)) => {
                if !is_of_connection(&error) {
                    self.connection = Some(connection);
                }
                Err(fault(self.connector.shown(), error))
            }
            Err(_) => Err(self.connector.mute(answering)),
        }
    }

    async fn ready(&mut self) -> Result<PgConnection> {
        if let Some(mut connection) = self.connection.take() {
            let fresh = self.used.elapsed() < IDLE;
            if fresh || matches!(timeout(self.connector.answering(), connection.ping()).await, Ok(Ok(()))) {
                return Ok(connection);
            }
        }
        self.connector.connect_to_append().await
    }

    async fn close(self) {
        if let Some(connection) = self.connection {
            // It is of no more use either way.
            let _ = timeout(self.connector.answering(), connection.close()).await;
        }
    }
}

impl Work {
    fn claim(&self) -> Claim {
        (self.append.tenant.clone(), self.append.run)
    }

    /// About how many rows and bytes it writes.
    fn size(&self) -> (usize, usize) {
        let append = &self.append;
        let bodies: usize = append.records.iter().map(|record| record.body.len()).sum();
        let artifacts: usize = append.artifacts.iter().map(|artifact| artifact.sealed.len()).sum();
        let snapshot = append.snapshot.as_ref().map_or(0, |snapshot| snapshot.sealed.len());
        (append.records.len() + append.artifacts.len(), bodies + artifacts + snapshot)
    }
}

fn stopped() -> Error {
    Error::unavailable("the database is closed")
}
