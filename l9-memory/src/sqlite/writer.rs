//! The one task that writes. It takes what waits, puts all of it into one transaction,
//! flushes once, and then answers everybody (group commit).
//!
//! Invariant: nobody is told of success before the flush. Whatever fails in SQLite
//! itself takes the whole group back; a refusal (a fence, a conflict) concerns only
//! the one who is refused, and is decided before anything of his is written.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use l9_core::failpoint::{self, Point};
use l9_core::id::{RunId, TenantId};
use l9_core::journal::{Append, Appended};
use l9_core::{Error, Result};
use sqlx::{Connection, SqliteConnection};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::{JoinHandle, yield_now};

use super::appends::Appends;
use super::error::{again, fault};
use crate::check;

/// How many pieces of work may wait; whoever comes then waits as well.
const QUEUE: usize = 1024;
/// About how many rows go into one transaction.
const GROUP_ROWS: usize = 256;
/// How often the others are let go first, while each time brings more work.
const GATHER: usize = 3;

/// A run that may be touched once per transaction.
pub(super) type Claim = (TenantId, RunId);
/// What a job in a transaction gives: a fault of SQLite's, or its answer.
pub(super) type Answer<T> = Result<Result<T>, sqlx::Error>;

type Alone = Box<dyn for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<()>> + Send>;

/// A handle on the task.
pub(super) struct Writer {
    sender: Mutex<Option<mpsc::Sender<Work>>>,
    fast: mpsc::WeakSender<Work>,
    task: Mutex<Option<JoinHandle<()>>>,
}

enum Work {
    Append { append: Box<Append>, answer: oneshot::Sender<Result<Appended>> },
    Grouped { claim: Option<Claim>, rows: usize, job: Box<dyn Job> },
    Alone { job: Alone, answer: oneshot::Sender<Result<()>> },
}

/// Work of any kind within the group's transaction.
trait Job: Send {
    fn run<'c>(&'c mut self, connection: &'c mut SqliteConnection) -> BoxFuture<'c, Result<(), sqlx::Error>>;
    /// Answers, after the flush or the fault.
    fn tell(self: Box<Self>, committed: Result<()>);
}

struct Task<T, F> {
    work: Option<F>,
    outcome: Option<Result<T>>,
    answer: oneshot::Sender<Result<T>>,
}

impl<T, F> Job for Task<T, F>
where
    T: Send,
    F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Answer<T>> + Send,
{
    fn run<'c>(&'c mut self, connection: &'c mut SqliteConnection) -> BoxFuture<'c, Result<(), sqlx::Error>> {
        Box::pin(async move {
            if let Some(work) = self.work.take() {
                self.outcome = Some(work(connection).await?);
            }
            Ok(())
        })
    }

    fn tell(self: Box<Self>, committed: Result<()>) {
        let Self { outcome, answer, .. } = *self;
        let outcome = committed.and_then(|()| outcome.unwrap_or_else(|| Err(Error::internal("a write was left out"))));
        // Whoever asked may have gone.
        let _ = answer.send(outcome);
    }
}

impl Writer {
    /// Starts the task over its connection.
    pub(super) fn start(connection: SqliteConnection, path: Arc<Path>) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let fast = sender.downgrade();
        let task = tokio::spawn(Loop { connection, path, waiting: VecDeque::new(), busy: false }.run(receiver));
        Self { sender: Mutex::new(Some(sender)), fast, task: Mutex::new(Some(task)) }
    }

    /// Appends, with whatever else waits.
    pub(super) async fn append(&self, append: Append) -> Result<Appended> {
        check::append(&append)?;
        let (answer, outcome) = oneshot::channel();
        self.send(Work::Append { append: Box::new(append), answer }).await?;
        outcome.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Runs a job in the transaction of the group. A refusal within its answer must
    /// come before it writes anything.
    pub(super) async fn grouped<T, F>(&self, claim: Option<Claim>, rows: usize, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Answer<T>> + Send + 'static,
    {
        let (answer, outcome) = oneshot::channel();
        let job = Box::new(Task { work: Some(work), outcome: None, answer });
        self.send(Work::Grouped { claim, rows, job }).await?;
        outcome.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Runs a job that brings its own transactions.
    pub(super) async fn alone<F>(&self, work: F) -> Result<()>
    where
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<()>> + Send + 'static,
    {
        let (answer, outcome) = oneshot::channel();
        self.send(Work::Alone { job: Box::new(work), answer }).await?;
        outcome.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Finishes what waits, and ends the task.
    pub(super) async fn close(&self) {
        drop(self.sender.lock().await.take());
        if let Some(task) = self.task.lock().await.take() {
            let _ = task.await;
        }
    }

    async fn send(&self, work: Work) -> Result<()> {
        let sender = self.fast.upgrade().ok_or_else(stopped)?;
        sender.send(work).await.map_err(|_| stopped())
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

struct Loop {
    connection: SqliteConnection,
    path: Arc<Path>,
    /// Work that was taken and waits for the next transaction.
    waiting: VecDeque<Work>,
    /// Whether the last transaction had work of several.
    busy: bool,
}

/// One transaction's work.
#[derive(Default)]
struct Group {
    appends: Vec<(Box<Append>, oneshot::Sender<Result<Appended>>)>,
    jobs: Vec<Box<dyn Job>>,
    claims: HashSet<Claim>,
    rows: usize,
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
            if let Some(Work::Alone { job, answer }) =
                self.waiting.pop_front_if(|work| matches!(work, Work::Alone { .. }))
            {
                let _ = answer.send(job(&mut self.connection).await);
                continue;
            }
            let group = self.take_group();
            self.commit(group).await;
        }
        // SQLite folds its log back in when the last connection closes.
        let _ = self.connection.close().await;
    }

    /// Takes what has come. If several wait at a time, those that were just answered are
    /// let go first: they are about to bring more.
    async fn gather(&mut self, receiver: &mut mpsc::Receiver<Work>) {
        for round in 0..GATHER {
            if round > 0 || self.busy {
                yield_now().await;
            }
            let before = self.waiting.len();
            while self.waiting.len() < GROUP_ROWS {
                match receiver.try_recv() {
                    Ok(work) => self.waiting.push_back(work),
                    Err(_) => break,
                }
            }
            if self.waiting.len() == before {
                break;
            }
        }
        self.busy = self.waiting.len() > 1;
    }

    /// What goes into the next transaction: each run once, in the order of arrival.
    fn take_group(&mut self) -> Group {
        let mut group = Group::default();
        let mut later = VecDeque::new();
        let mut held = HashSet::new();
        while let Some(work) = self.waiting.pop_front() {
            let claim = work.claim();
            let fits = !matches!(work, Work::Alone { .. })
                && (group.rows == 0 || group.rows + work.rows() <= GROUP_ROWS)
                && claim.as_ref().is_none_or(|claim| !held.contains(claim));
            let full = matches!(work, Work::Alone { .. }) || group.rows + work.rows() > GROUP_ROWS;
            if !fits {
                held.extend(claim);
                later.push_back(work);
                if full {
                    break;
                }
                continue;
            }
            held.extend(claim.clone());
            group.claims.extend(claim);
            group.rows += work.rows();
            match work {
                Work::Append { append, answer } => group.appends.push((append, answer)),
                Work::Grouped { job, .. } => group.jobs.push(job),
                Work::Alone { .. } => {}
            }
        }
        later.append(&mut self.waiting);
        self.waiting = later;
        group
    }

    async fn commit(&mut self, mut group: Group) {
        let records: usize = group.appends.iter().map(|(append, _)| append.records.len()).sum();
        match self.write(&mut group).await {
            Ok(outcomes) => {
                metrics::counter!("l9_journal_commits_total").increment(1);
                metrics::counter!("l9_journal_records_total").increment(records as u64);
                let refused = outcomes.iter().filter(|outcome| outcome.is_err()).count();
                metrics::counter!("l9_journal_refusals_total").increment(refused as u64);
                group.appends.into_iter().zip(outcomes).for_each(|((_, answer), outcome)| drop(answer.send(outcome)));
                group.jobs.into_iter().for_each(|job| job.tell(Ok(())));
            }
            Err(error) => {
                // SQLite has taken some faults back by itself; then there is nothing to do.
                let _ = sqlx::query("ROLLBACK").execute(&mut self.connection).await;
                let error = fault(&self.path, error);
                group.appends.into_iter().for_each(|(_, answer)| drop(answer.send(Err(again(&error)))));
                group.jobs.into_iter().for_each(|job| job.tell(Err(again(&error))));
            }
        }
    }

    async fn write(&mut self, group: &mut Group) -> Result<Vec<Result<Appended>>, sqlx::Error> {
        let appends: Vec<&Append> = group.appends.iter().map(|(append, _)| &**append).collect();
        let appends = Appends::new(&appends);
        let connection = &mut self.connection;
        // A point before the commit needs it to be a statement of its own.
        if group.jobs.is_empty() && appends.are_plain() && !failpoint::ARE_ON {
            return appends.commit(connection).await;
        }
        sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
        for job in &mut group.jobs {
            job.run(connection).await?;
        }
        let outcomes = appends.write(connection).await?;
        failpoint::pass(Point::CommitBegun);
        sqlx::query("COMMIT").execute(connection).await?;
        failpoint::pass(Point::CommitDone);
        Ok(outcomes)
    }
}

impl Work {
    fn claim(&self) -> Option<Claim> {
        match self {
            Self::Append { append, .. } => Some((append.tenant.clone(), append.run)),
            Self::Grouped { claim, .. } => claim.clone(),
            Self::Alone { .. } => None,
        }
    }

    fn rows(&self) -> usize {
        match self {
            Self::Append { append, .. } => append.records.len() + append.artifacts.len(),
            Self::Grouped { rows, .. } => *rows,
            Self::Alone { .. } => 0,
        }
    }
}

fn stopped() -> Error {
    Error::unavailable("the database is closed")
}
