//! Verification: every record of every run, re-hashed and opened.
//!
//! A damaged database must still be readable around the damage, so records are read in
//! pages and one by one where a page cannot be read.

use serde::Serialize;

use super::whole::TreeReport;
use crate::Result;
use crate::id::{RunId, TenantId};
use crate::journal::{Head, RunFilter, RunRow, RunStore, Snapshot};
use crate::run::{Event, Record, RunState, open_artifact, open_snapshot, read_records};
use crate::vault::Vault;

const PAGE: usize = 512;

/// What verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Runs looked at.
    pub runs: u64,
    /// Records that verify.
    pub records: u64,
    /// What does not.
    pub faults: Vec<Fault>,
    /// The tree over all records, if it was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tree: Option<TreeReport>,
}

impl Report {
    /// Whether everything that was looked at verifies.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.faults.is_empty() && self.tree.as_ref().is_none_or(|tree| tree.faults.is_empty())
    }
}

/// A record, or a run's head, that does not verify.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The run's tenant.
    pub tenant: TenantId,
    /// The run.
    pub run_id: RunId,
    /// The record; absent when the run's index row is at fault.
    pub seq: Option<u64>,
    /// What is wrong.
    pub what: String,
}

/// Verifies every record of every run: density, links, hashes, bodies, commitments,
/// folds, and each run's head.
///
/// # Errors
/// When the list of runs itself cannot be read.
pub async fn verify(store: &dyn RunStore, vault: &dyn Vault) -> Result<Report> {
    let mut report = Report::default();
    for tenant in store.tenants().await? {
        let mut filter = RunFilter::default();
        loop {
            let rows = store.runs(&tenant, &filter, PAGE).await?;
            for row in &rows {
                verify_run(store, vault, row, &mut report).await;
            }
            match rows.last() {
                Some(last) if rows.len() == PAGE => filter.before = Some(last.run),
                _ => break,
            }
        }
    }
    Ok(report)
}

/// Verifies one run.
pub async fn verify_run(store: &dyn RunStore, vault: &dyn Vault, row: &RunRow, report: &mut Report) {
    report.runs += 1;
    let snapshot = store.snapshot(&row.tenant, row.run).await.ok().flatten();
    let state = RunState::default();
    let mut walk = Walk { row, vault, head: Head::START, whole: true, state, folds: true, snapshot, report };
    let whole = (row.run, row.fork);
    loop {
        let from = walk.head.next;
        match read_records(store, &row.tenant, whole, from, PAGE).await {
            Ok(page) if page.is_empty() => break,
            Ok(page) => {
                for record in &page {
                    walk.artifacts(store, record).await;
                    walk.step(record);
                }
            }
            // Somewhere in the page there is a record that cannot be read: find out which.
            Err(_) => match read_records(store, &row.tenant, whole, from, 1).await {
                Ok(page) if page.first().is_some_and(|record| record.seq == from) => {
                    walk.artifacts(store, &page[0]).await;
                    walk.step(&page[0]);
                }
                Ok(page) if page.is_empty() => break,
                Ok(_) => walk.miss("is missing", from),
                Err(error) => walk.miss(&format!("cannot be read: {error}"), from),
            },
        }
        if walk.head.next == from {
            break;
        }
    }
    let (next, wanted) = (walk.head.next, row.head.next);
    if next < wanted {
        walk.fault(Some(next), &format!("records {next} to {} of run {} are missing", wanted - 1, row.run));
    } else if next > wanted {
        walk.fault(
            Some(wanted),
            &format!("record {wanted} of run {} stands beyond the head that its row names", row.run),
        );
    } else if walk.whole && walk.head.hash != row.head.hash {
        walk.fault(None, "the head in the run's row is not the hash of its last record");
    }
}

struct Walk<'a> {
    row: &'a RunRow,
    vault: &'a dyn Vault,
    head: Head,
    /// Whether the record before was there and verified: after one that did not, the
    /// next is held to its own fields only, so that one fault is named once.
    whole: bool,
    state: RunState,
    folds: bool,
    /// What the fold is held against where it stands there.
    snapshot: Option<Snapshot>,
    report: &'a mut Report,
}

impl Walk<'_> {
    fn step(&mut self, record: &Record) {
        let shared = self.row.fork.is_some_and(|fork| record.seq < fork.at);
        if (record.run != self.row.run && !shared) || record.tenant != self.row.tenant || record.seq < self.head.next {
            let seq = self.head.next;
            return self.miss(
                &format!("names itself record {} of run {} of tenant {}", record.seq, record.run, record.tenant),
                seq,
            );
        }
        if record.seq > self.head.next {
            let (from, to) = (self.head.next, record.seq - 1);
            let which = if from == to { format!("record {from}") } else { format!("records {from} to {to}") };
            self.fault(Some(from), &format!("{which} of run {} are missing or unreadable", self.row.run));
            (self.folds, self.whole) = (false, false);
            self.head.next = record.seq;
        }
        if !self.whole {
            self.head.hash = record.prev;
        }
        let expired = record.is_expired();
        let result = record.verify_after(&self.head).and_then(|()| {
            if expired {
                self.folds = false;
                return Ok(());
            }
            let open = record.open(self.vault)?;
            let event = Event::decode(&record.kind, record.version, &open.payload)?;
            if self.folds { self.state.apply(record.epoch, record.at, event) } else { Ok(()) }
        });
        self.whole = result.is_ok();
        match result {
            Ok(()) => self.report.records += 1,
            Err(error) => {
                self.folds = false;
                self.fault(Some(record.seq), &error.to_string());
            }
        }
        self.head = record.head();
        self.compare();
    }

    /// Holds the fold against the snapshot that was kept of it.
    fn compare(&mut self) {
        let Some(snapshot) = self.snapshot.take_if(|snapshot| snapshot.head == self.head) else { return };
        let what = match open_snapshot(self.vault, &self.row.tenant, self.row.run, &snapshot) {
            Ok((state, labelled)) if !self.folds || self.folded(labelled) == state => return,
            Ok(_) => "is not what the records before it fold to".to_owned(),
            Err(error) => format!("does not open: {error}"),
        };
        let (run, next) = (self.row.run, snapshot.head.next);
        self.fault(Some(next - 1), &format!("the snapshot of run {run} after record {} {what}", next - 1));
    }

    /// The fold as a snapshot has it: the first forms were without the labels of results.
    fn folded(&self, labelled: bool) -> RunState {
        let mut state = self.state.clone();
        state.forget_values();
        if !labelled {
            state.labels.clear();
        }
        state
    }

    /// Opens the values beside the journal that a record commits to. The fold is given those of
    /// approvals: it remembers by them.
    async fn artifacts(&mut self, store: &dyn RunStore, record: &Record) {
        let Ok(open) = record.open(self.vault) else { return };
        let Ok(event) = Event::decode(&record.kind, record.version, &open.payload) else { return };
        for id in event.artifacts() {
            let plain = match store.artifact(&record.tenant, id).await {
                Ok(Some(sealed)) => {
                    open_artifact(self.vault, &record.tenant, id, &sealed).map_err(|error| error.to_string())
                }
                Ok(None) => Err(format!("artifact {id} is missing")),
                Err(error) => Err(error.to_string()),
            };
            match plain {
                Ok(plain) if matches!(event, Event::ApprovalAsked(_) | Event::ApprovalDecided(_)) => {
                    if let Ok(value) = serde_json::from_slice(&plain) {
                        self.state.provide(id, value);
                    }
                }
                Ok(_) => {}
                Err(fault) => {
                    self.fault(Some(record.seq), &format!("record {} of run {}: {fault}", record.seq, record.run));
                }
            }
        }
    }

    fn miss(&mut self, what: &str, seq: u64) {
        self.fault(Some(seq), &format!("record {seq} of run {} {what}", self.row.run));
        (self.folds, self.whole) = (false, false);
        self.head = Head { next: seq + 1, hash: self.head.hash };
    }

    fn fault(&mut self, seq: Option<u64>, what: &str) {
        let fault = Fault { tenant: self.row.tenant.clone(), run_id: self.row.run, seq, what: what.to_owned() };
        self.report.faults.push(fault);
    }
}
