//! The traits behind which runs are stored: records, leases, the inbox of commands, and dead
//! letters.
//!
//! One backend implements them all over one database, because an append must check
//! the lease and consume commands in its own transaction. Backends store opaque
//! bytes: sealing and hashing happen before, opening and verifying after them.

mod dead_letters;
mod inbox;
mod leases;

use std::any::Any;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use dead_letters::{DeadLetter, DeadLetters};
pub use inbox::{Inbox, StoredCommand};
pub use leases::{Lease, Leases};

use crate::digest::Digest;
use crate::id::{CommandId, RunId, TenantId};
use crate::run::Record;
use crate::time::Timestamp;
use crate::{Error, Result};

/// The end of a run's chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Head {
    /// The seq of the next record: how many there are.
    pub next: u64,
    /// The hash of the last record; zeroes before the first.
    pub hash: Digest,
}

impl Head {
    /// Before the first record.
    pub const START: Self = Self { next: 0, hash: Digest::ZERO };
}

/// Where a run is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Status {
    /// Accepted; no worker has it yet.
    Queued,
    /// A worker advances it.
    Running,
    /// It waits for something: an approval, a timer, a signal.
    Waiting,
    /// It ended well.
    Succeeded,
    /// It ended badly.
    Failed,
    /// It was stopped on request.
    Cancelled,
}

impl Status {
    /// Whether nothing will be appended any more.
    #[must_use]
    pub fn is_closed(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    /// The name that is stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Status {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        [Self::Queued, Self::Running, Self::Waiting, Self::Succeeded, Self::Failed, Self::Cancelled]
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| {
                Error::invalid(format!(
                    "{text:?} is not a run's state: use queued, running, waiting, succeeded, failed or cancelled"
                ))
            })
    }
}

/// Where a run left the run it was forked from: it shares the parent's records before
/// `at`, and its own begin there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ForkPoint {
    /// The run it was forked from.
    pub parent: RunId,
    /// The seq of its own first record.
    pub at: u64,
}

/// The folded state of a run, sealed: opening a run reads it and what came after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The end of the chain that it folds.
    pub head: Head,
    /// The sealed state.
    pub sealed: Vec<u8>,
}

/// What the database knows of a run besides its records: an index over its journal,
/// updated in the transaction of every append.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunRow {
    /// The run's tenant.
    pub tenant: TenantId,
    /// The run.
    pub run: RunId,
    /// `agent`, `tool` or `plan`.
    pub kind: String,
    /// The agent, the tool's id, or the plan's name.
    pub name: String,
    /// Where it is in its life.
    pub status: Status,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When its last record was written.
    pub updated_at: Timestamp,
    /// The end of its chain.
    pub head: Head,
    /// The newest lease's number.
    pub epoch: u64,
    /// Its priority in the queue.
    pub priority: i32,
    /// Where it left another run, if it is a fork.
    pub fork: Option<ForkPoint>,
}

impl RunRow {
    /// The seq of its own first record: what stands before is that of the run it was forked from.
    #[must_use]
    pub fn own(&self) -> u64 {
        self.fork.map_or(0, |fork| fork.at)
    }
}

/// A large value, sealed, stored beside the records that refer to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Its keyed address.
    pub id: Digest,
    /// The sealed bytes.
    pub sealed: Vec<u8>,
}

/// A run to be accepted.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// `agent`, `tool` or `plan`.
    pub kind: String,
    /// The agent, the tool's id, or the plan's name.
    pub name: String,
    /// Its priority in the queue.
    pub priority: i32,
    /// The caller's key: a second run under the same key of the tenant is the first one.
    pub idempotency_key: Option<String>,
    /// Where it leaves another run of the tenant, if it is a fork.
    pub fork: Option<ForkPoint>,
    /// The first record of its own, which names tenant and run: `run.created` at seq 0 and
    /// epoch 0, or a fork's at the fork's seq and the epoch that the parent had there.
    pub record: Record,
    /// The artifacts it refers to.
    pub artifacts: Vec<Artifact>,
    /// The data subjects whose values it begins with, by their keyed names.
    pub about: Vec<Digest>,
}

/// What became of [`Journal::create`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    /// It is durable now.
    New(RunRow),
    /// A run of that id or key was there; nothing was written.
    Existing(RunRow),
}

/// Records to be added to one run's chain.
#[derive(Debug, Clone)]
pub struct Append {
    /// The run's tenant.
    pub tenant: TenantId,
    /// The run.
    pub run: RunId,
    /// The writer's lease.
    pub epoch: u64,
    /// The chain's end as the writer knows it.
    pub expected: Head,
    /// One or more records that continue `expected` densely.
    pub records: Vec<Record>,
    /// The artifacts they refer to.
    pub artifacts: Vec<Artifact>,
    /// The commands they carry out, acknowledged in the same transaction.
    pub consumed: Vec<CommandId>,
    /// What else comes about in the same transaction, or nothing of the append does.
    pub along: Vec<Along>,
    /// The state at the chain's new end, in place of any earlier one.
    pub snapshot: Option<Snapshot>,
    /// The run's status after them; a closed one gives up the lease.
    pub status: Status,
}

/// What an append brings about besides its own records.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Along {
    /// A run of the tenant begins; nothing if a run of that id or key is there.
    Begin(Box<NewRun>),
    /// A command goes to another run of the tenant; nothing if it is known there, or the run
    /// has ended or never was.
    Post {
        /// The run.
        run: RunId,
        /// The command.
        command: StoredCommand,
        /// The data subjects whose values it may bring, by their keyed names: if it is taken,
        /// the run that it goes to is about them at once, before anybody reads it.
        about: Vec<Digest>,
    },
    /// Something that another store over the same database has prepared.
    Write(Write),
    /// From here on the run holds values about a data subject; its keyed name.
    About(Digest),
}

/// A write that a store has prepared and the journal of the same database carries out. What
/// it is, only the backend knows.
#[derive(Clone)]
pub struct Write(Arc<dyn Any + Send + Sync>);

impl Write {
    /// Hands over what a backend prepared.
    pub fn new(prepared: impl Any + Send + Sync) -> Self {
        Self(Arc::new(prepared))
    }

    /// What was prepared, for the backend that did.
    #[must_use]
    pub fn prepared<T: 'static>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }
}

/// One is equal to itself and its clones only.
impl PartialEq for Write {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Write").finish_non_exhaustive()
    }
}

/// What an append found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The chain's new end.
    pub head: Head,
    /// Whether commands wait in the run's inbox.
    pub commands: bool,
}

/// Which runs to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Only this status.
    pub status: Option<Status>,
    /// Only this agent or tool.
    pub name: Option<String>,
    /// Only runs that ended before this time.
    pub closed_before: Option<Timestamp>,
    /// Only runs that asked a person something and have not ended.
    pub asked: bool,
    /// Only runs older than this one: the last of the page before.
    pub before: Option<RunId>,
}

/// Stores records.
#[async_trait]
pub trait Journal: fmt::Debug + Send + Sync {
    /// Accepts a run; durable when it returns, and due at once.
    ///
    /// # Errors
    /// `Expired` for a fork of a run whose bodies before the fork are gone.
    async fn create(&self, new: NewRun) -> Result<Created>;

    /// Adds records, durable when it returns; all or none.
    ///
    /// # Errors
    /// `Fenced` when the epoch is not the newest or the lease has ended, `Conflict`
    /// when the head is another or a prepared write no longer fits, `NotFound` for an unknown
    /// run.
    async fn append(&self, append: Append) -> Result<Appended>;

    /// Up to `limit` records of the run's own from a seq on, in order. Nothing is verified.
    /// What a fork shares is its parent's.
    ///
    /// # Errors
    /// `Corrupt` when a row cannot be read as a record.
    async fn read(&self, tenant: &TenantId, run: RunId, from: u64, limit: usize) -> Result<Vec<Record>>;

    /// The run's newest snapshot.
    ///
    /// # Errors
    /// From the backend only.
    async fn snapshot(&self, tenant: &TenantId, run: RunId) -> Result<Option<Snapshot>>;

    /// Empties the bodies of a closed run's own records, removes the artifacts that are given, which
    /// nothing else refers to, and keeps its last state; tells how many bodies were emptied. The
    /// chain stays.
    ///
    /// # Errors
    /// `Conflict` when the run is not closed, ends elsewhere than the snapshot or was forked,
    /// `NotFound` for an unknown run.
    async fn expire(&self, tenant: &TenantId, run: RunId, snapshot: Snapshot, gone: &[Digest]) -> Result<u64>;

    /// The runs that hold values about a data subject, by its keyed name, and all that were
    /// forked from them, oldest first.
    ///
    /// # Errors
    /// From the backend only.
    async fn about(&self, tenant: &TenantId, subject: &Digest) -> Result<Vec<RunRow>>;

    /// Empties the bodies of a closed run's own records for good, whoever shares them, and
    /// removes its state, what was sent to it and these artifacts; tells how many bodies
    /// were emptied. The chain stays, and the run is about nobody any more.
    ///
    /// # Errors
    /// `Conflict` when the run is not closed, `NotFound` for an unknown run.
    async fn erase(&self, tenant: &TenantId, run: RunId, artifacts: &[Digest]) -> Result<u64>;

    /// Puts bodies back into a closed run's own records that were emptied; tells how many.
    /// Each must be of the hash that its row has.
    ///
    /// # Errors
    /// `Conflict` for a run that is not closed, `NotFound` for an unknown one.
    async fn refill(&self, tenant: &TenantId, run: RunId, records: Vec<Record>) -> Result<u64>;

    /// The newest records of all the tenant's runs, newest first, each with a position
    /// that `before` continues from.
    ///
    /// # Errors
    /// `Corrupt` when a row cannot be read as a record.
    async fn recent(&self, tenant: &TenantId, before: Option<u64>, limit: usize) -> Result<Vec<(u64, Record)>>;

    /// The index row of a run.
    ///
    /// # Errors
    /// From the backend only.
    async fn run(&self, tenant: &TenantId, run: RunId) -> Result<Option<RunRow>>;

    /// Runs, newest id first.
    ///
    /// # Errors
    /// From the backend only.
    async fn runs(&self, tenant: &TenantId, filter: &RunFilter, limit: usize) -> Result<Vec<RunRow>>;

    /// Every tenant that has runs.
    ///
    /// # Errors
    /// From the backend only.
    async fn tenants(&self) -> Result<Vec<TenantId>>;

    /// A sealed artifact of the tenant.
    ///
    /// # Errors
    /// From the backend only.
    async fn artifact(&self, tenant: &TenantId, id: Digest) -> Result<Option<Vec<u8>>>;

    /// Whether the store answers.
    ///
    /// # Errors
    /// `Unavailable` when it does not, `Corrupt` when it is damaged.
    async fn ping(&self) -> Result<()>;
}

/// A backend of runs.
pub trait RunStore: Journal + Leases + Inbox + DeadLetters {}

impl<T: Journal + Leases + Inbox + DeadLetters> RunStore for T {}
