//! Who may append to a run, which runs are due, and the emergency stops that hold them.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use super::{ForkPoint, Head};
use crate::Result;
use crate::id::{RunId, TenantId};
use crate::queue::Task;
use crate::stop::{Scope, StoredStop};

/// The right to append to one run, until somebody takes it over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The run's tenant.
    pub tenant: TenantId,
    /// The run.
    pub run: RunId,
    /// Greater than every earlier one's.
    pub epoch: u64,
    /// The chain's end when it was taken.
    pub head: Head,
    /// Where the run left another, if it is a fork.
    pub fork: Option<ForkPoint>,
    /// How long ago the lease of a former owner, who may still be alive, had run out; `None`
    /// if there was none, or it was given up, or its owner is known to be dead.
    pub expired: Option<Duration>,
}

/// Stores who may append to which run. Times are the database's own.
#[async_trait]
pub trait Leases: fmt::Debug + Send + Sync {
    /// Takes the lease of a run that nobody else holds; `None` if somebody does, or the
    /// run is closed, or a stop holds it. An owner that is known to be dead holds nothing. An owner that asks
    /// for what it holds has lost track of it, such as when the answer to its first asking
    /// was lost: it gets a new lease that fences the old one, and is told, as whoever takes
    /// over a lease that ran out, that the former owner may still be alive. Otherwise it
    /// would renew for ever what it does not know of.
    ///
    /// # Errors
    /// `NotFound` for an unknown run.
    async fn acquire(&self, tenant: &TenantId, run: RunId, owner: &str, ttl: Duration) -> Result<Option<Lease>>;

    /// Extends every lease an owner still holds, and tells which these are. One that the
    /// owner does not know of, because it was granted after it had stopped asking, is to be
    /// given up: nobody advances its run.
    ///
    /// # Errors
    /// From the backend only.
    async fn renew(&self, owner: &str, ttl: Duration) -> Result<Vec<Lease>>;

    /// Gives a lease up; the run is due again after `wake_in`, or only when a command
    /// arrives. A lease that was taken over is not touched.
    ///
    /// # Errors
    /// From the backend only.
    async fn release(&self, lease: &Lease, wake_in: Option<Duration>) -> Result<()>;

    /// Runs that want to be advanced and that nobody holds, oldest due first. What is
    /// handed out to one node is not handed out again while `hold` lasts, unless something
    /// new makes it due.
    ///
    /// # Errors
    /// From the backend only.
    async fn due(&self, limit: usize, hold: Duration) -> Result<Vec<Task>>;

    /// Puts a stop in place, durable when this returns: from then on nobody gets the lease of
    /// a run that it holds, and none of them is due. If one of its scope stands, that one
    /// stays; gives the one that stands.
    ///
    /// # Errors
    /// From the backend only.
    async fn stop(&self, stop: StoredStop) -> Result<StoredStop>;

    /// Lifts a stop; gives the one that stood.
    ///
    /// # Errors
    /// From the backend only.
    async fn unstop(&self, scope: &Scope) -> Result<Option<StoredStop>>;

    /// The stops that stand, in the order of their scopes.
    ///
    /// # Errors
    /// From the backend only.
    async fn stops(&self) -> Result<Vec<StoredStop>>;

    /// How many runs of a scope have an owner whose lease has not run out and who is not
    /// known to be dead.
    ///
    /// # Errors
    /// From the backend only.
    async fn held(&self, scope: &Scope) -> Result<u64>;
}
