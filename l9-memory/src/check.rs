//! What every backend of runs decides alike: whether a call is well-formed, whether a
//! run admits an append, and with which words it is refused.

use l9_core::evidence::Extension;
use l9_core::id::{RunId, ScheduleId};
use l9_core::journal::{Append, ForkPoint, Head, NewRun, RunRow, Snapshot, Status};
use l9_core::tool::StoredToolChange;
use l9_core::{Error, ErrorKind, Result};

/// Checks that the first record of a run is one, and stands where it begins.
pub(crate) fn create(new: &NewRun) -> Result<()> {
    let record = &new.record;
    let begins = match new.fork {
        None => record.seq == 0 && record.epoch == 0 && record.prev == Head::START.hash,
        Some(fork) => record.seq == fork.at && fork.at > 0 && fork.parent != record.run,
    };
    if begins {
        return Ok(());
    }
    Err(Error::internal(format!(
        "run {} was to begin with record {} of epoch {}: it begins with seq 0, epoch 0 and no record before, or where \
         it leaves its parent",
        record.run, record.seq, record.epoch
    )))
}

/// The index row of a new run.
pub(crate) fn new_row(new: &NewRun) -> RunRow {
    RunRow {
        tenant: new.record.tenant.clone(),
        run: new.record.run,
        kind: new.kind.clone(),
        name: new.name.clone(),
        status: Status::Queued,
        created_at: new.record.at,
        updated_at: new.record.at,
        head: new.record.head(),
        epoch: new.record.epoch,
        priority: new.priority,
        fork: new.fork,
    }
}

/// Checks that the records of an append are one run's, one epoch's, and follow its
/// expected head densely.
pub(crate) fn append(append: &Append) -> Result<()> {
    let mut head = append.expected;
    for record in &append.records {
        let fits = record.run == append.run
            && record.tenant == append.tenant
            && record.epoch == append.epoch
            && record.seq == head.next
            && record.prev == head.hash;
        if !fits {
            return Err(Error::internal(format!(
                "record {} of run {} does not continue the head at {} under epoch {}",
                record.seq, record.run, head.next, append.epoch
            )));
        }
        head = record.head();
    }
    if append.records.is_empty() {
        return Err(Error::internal(format!("an append to run {} has no record", append.run)));
    }
    Ok(())
}

/// Where the chain ends after an append.
pub(crate) fn end(append: &Append) -> Head {
    append.records.last().map_or(append.expected, |record| record.head())
}

/// What a run's row says at the time of an append.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Current {
    pub(crate) epoch: u64,
    pub(crate) head: Head,
    /// Whether the newest lease is held and has not ended.
    pub(crate) leased: bool,
}

impl Current {
    /// Whether an append may be written.
    pub(crate) fn admits(&self, append: &Append) -> Result<()> {
        let refuse = |kind, message: String| Err(Error::new(kind, message).with("run", append.run));
        if self.epoch != append.epoch {
            return refuse(ErrorKind::Fenced, format!("epoch {} is over: the newest is {}", append.epoch, self.epoch));
        }
        if !self.leased {
            return refuse(ErrorKind::Fenced, format!("the lease of epoch {} has ended", append.epoch));
        }
        if self.head != append.expected {
            return refuse(
                ErrorKind::Conflict,
                format!(
                    "the chain ends at {}, not at {} as expected: read it again",
                    self.head.next, append.expected.next
                ),
            );
        }
        Ok(())
    }
}

/// Checks that an extension continues the audit tree as it is, under the newest lease.
pub(crate) fn extends(extension: &Extension, epoch: u64, size: u64) -> Result<()> {
    if extension.epoch != epoch {
        let message = format!("the sequencer's epoch {} is over: the newest is {epoch}", extension.epoch);
        return Err(Error::new(ErrorKind::Fenced, message));
    }
    if extension.from != size {
        let message = format!("the audit tree has {size} leaves, not {} as expected: read it again", extension.from);
        return Err(Error::new(ErrorKind::Conflict, message));
    }
    Ok(())
}

/// The refusal of a sequencer whose key is not the log's.
pub(crate) fn other_signer(bound: &str, given: &str) -> Error {
    Error::new(
        ErrorKind::Conflict,
        format!(
            "the audit log is signed by {bound}, and this process has the key {given}: copy the audit key's file from \
             another node or from its backup"
        ),
    )
}

/// Checks that a run may be reduced to its last state. `shared` tells whether a fork shares
/// its records.
pub(crate) fn expire(run: RunId, (status, head, shared): (Status, Head, bool), snapshot: &Snapshot) -> Result<()> {
    let refuse = |message: String| Err(Error::new(ErrorKind::Conflict, message));
    if shared {
        return refuse(format!("run {run} keeps its bodies: a fork shares its records"));
    }
    if !status.is_closed() {
        return refuse(format!("run {run} is {status}: only closed runs expire"));
    }
    if head != snapshot.head {
        return refuse(format!("run {run} ends at {}, not at {} as its snapshot", head.next, snapshot.head.next));
    }
    Ok(())
}

/// Checks that bodies may be put back into a run. `erased` tells whether bodies are gone and
/// its last state is too.
pub(crate) fn refill(run: RunId, status: Status, erased: bool) -> Result<()> {
    let refuse = |message: String| Err(Error::new(ErrorKind::Conflict, message));
    if !status.is_closed() {
        return refuse(format!("run {run} is {status}: only closed runs are brought back"));
    }
    if erased {
        return refuse(format!("run {run} was erased: it is not brought back"));
    }
    Ok(())
}

/// Checks that what a run holds may be erased.
pub(crate) fn erase(run: RunId, status: Status) -> Result<()> {
    if status.is_closed() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Conflict, format!("run {run} is {status}: only closed runs are erased")))
}

/// The refusal of a fork whose past is gone.
pub(crate) fn past_is_gone(fork: ForkPoint) -> Error {
    Error::new(
        ErrorKind::Expired,
        format!("the bodies of run {} before seq {} have expired: it cannot be forked there", fork.parent, fork.at),
    )
}

/// The refusal of an append whose prepared memories are no longer new.
pub(crate) fn kept_meanwhile(run: RunId) -> Error {
    Error::new(ErrorKind::Conflict, format!("what run {run} was to remember was kept meanwhile: prepare it again"))
}

/// The refusal of a prepared write of another backend.
pub(crate) fn foreign() -> Error {
    Error::internal("a prepared write is not of the journal's own database")
}

/// The refusal of an unknown run.
pub(crate) fn unknown(run: RunId) -> Error {
    Error::not_found(format!("run {run} does not exist"))
}

/// The refusal of a command to a closed run.
pub(crate) fn closed(run: RunId) -> Error {
    Error::new(ErrorKind::Conflict, format!("run {run} is closed: nothing can be asked of it any more"))
}

/// A schedule of that id is there.
pub(crate) fn schedule_is_taken(id: &ScheduleId) -> Error {
    Error::new(ErrorKind::Conflict, format!("there is a schedule {id} already: remove it first, or use another id"))
}

/// Whether changes of tools follow what is there, one after the other.
pub(crate) fn follows(changes: &[StoredToolChange], last: u64) -> Result<()> {
    if (last + 1..).zip(changes).all(|(due, change)| change.position == due) {
        return Ok(());
    }
    let message =
        format!("somebody else decided about tools meanwhile, up to change {last}: read them and decide again");
    Err(Error::new(ErrorKind::Conflict, message))
}
