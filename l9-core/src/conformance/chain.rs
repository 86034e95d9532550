//! Chains of plausible records, without a driver.

use std::sync::Arc;

use crate::budget::{Budget, Cost};
use crate::digest::Digest;
use crate::entropy::{Entropy, SystemEntropy};
use crate::id::{CallId, CommandId, RunId, TenantId};
use crate::journal::{Append, Artifact, ForkPoint, Head, Lease, NewRun, Status, StoredCommand};
use crate::label::Label;
use crate::principal::Principal;
use crate::run::{EffectUnknown, Event, Record, RunCreated, Sealer, Subject};
use crate::time::{Clock, SystemClock, Timestamp};
use crate::tool::ContractHash;
use crate::vault::Vault;

use super::PlainVault;

/// The end of one run's chain, and what makes its next records.
#[derive(Debug, Clone)]
pub struct Chain {
    vault: Arc<dyn Vault>,
    /// The run's tenant.
    pub tenant: TenantId,
    /// The run.
    pub run: RunId,
    /// Where the chain ends.
    pub head: Head,
    at: Timestamp,
}

impl Chain {
    /// A new run of a tenant.
    #[must_use]
    pub fn new(tenant: &TenantId) -> Self {
        Self::sealed_by(Arc::new(PlainVault), tenant)
    }

    /// A new run of a tenant, sealed by the vault.
    #[must_use]
    pub fn sealed_by(vault: Arc<dyn Vault>, tenant: &TenantId) -> Self {
        let at = SystemClock::default().now();
        let run = RunId::generate(at, &SystemEntropy, "");
        Self { vault, tenant: tenant.clone(), run, head: Head::START, at }
    }

    /// The run as it is to be accepted: an agent's, with its first record.
    #[must_use]
    pub fn created(&mut self) -> NewRun {
        let event = Event::RunCreated(Box::new(RunCreated {
            subject: Subject::Tool {
                tool: "text/echo".parse().expect("a tool id"),
                contract: ContractHash(Digest::ZERO),
                arguments: "{}".into(),
            },
            principal: Principal::local_of(self.tenant.clone()),
            session: None,
            budget: Budget::default(),
            label: Label::trusted(),
            request: Digest::ZERO,
            decider: 1,
            deadline: None,
            parent: None,
            seed: None,
        }));
        NewRun {
            kind: "tool".into(),
            name: "text/echo".into(),
            priority: 0,
            idempotency_key: None,
            fork: None,
            record: self.record(0, &event),
            artifacts: Vec::new(),
            about: Vec::new(),
        }
    }

    /// The run as a fork that leaves another after `last`, under whose epoch it begins.
    #[must_use]
    pub fn forked(&mut self, last: &Record) -> (NewRun, ForkPoint) {
        let mut new = self.created();
        self.head = last.head();
        let fork = ForkPoint { parent: last.run, at: self.head.next };
        (new.fork, new.record) = (Some(fork), self.next(last.epoch, 10));
        (new, fork)
    }

    /// An append of `count` records of about `bytes` bytes each under a lease.
    #[must_use]
    pub fn append(&mut self, lease: &Lease, count: usize, bytes: usize) -> Append {
        self.append_as(lease.epoch, count, bytes)
    }

    /// As [`Chain::append`], under any epoch.
    #[must_use]
    pub fn append_as(&mut self, epoch: u64, count: usize, bytes: usize) -> Append {
        let expected = self.head;
        let records = (0..count).map(|_| self.next(epoch, bytes)).collect();
        Append {
            tenant: self.tenant.clone(),
            run: self.run,
            epoch,
            expected,
            records,
            artifacts: Vec::new(),
            consumed: Vec::new(),
            along: Vec::new(),
            snapshot: None,
            status: Status::Running,
        }
    }

    /// The next record, of about `bytes` bytes.
    #[must_use]
    pub fn next(&mut self, epoch: u64, bytes: usize) -> Record {
        let label = Label::trusted();
        let event = Event::EffectUnknown(EffectUnknown {
            call: CallId::Turn(1),
            attempt: 1,
            reason: "x".repeat(bytes),
            label,
            spent: Cost::default(),
        });
        self.record(epoch, &event)
    }

    fn record(&mut self, epoch: u64, event: &Event) -> Record {
        let sealer = Sealer { vault: &*self.vault, entropy: &SystemEntropy };
        let record = sealer.record(&self.tenant, self.run, epoch, &self.head, self.at, event).expect("a record");
        self.head = record.head();
        record
    }
}

/// A tenant that nobody else has.
#[must_use]
pub fn tenant(case: &str) -> TenantId {
    let mut random = [0; 8];
    SystemEntropy.fill(format_args!(""), &mut random);
    TenantId::new(format!("{case}-{}", hex::encode(random))).expect("a tenant")
}

/// A command of this id.
#[must_use]
pub fn command(id: &str) -> StoredCommand {
    StoredCommand { id: CommandId::new(id).expect("a command id"), sealed: format!("sealed {id}").into_bytes() }
}

/// An artifact of these bytes.
#[must_use]
pub fn artifact(bytes: &[u8]) -> Artifact {
    Artifact { id: crate::digest::sha256(&[bytes]), sealed: bytes.to_vec() }
}

/// Checks that the records are a whole chain from its start; gives its end.
///
/// # Panics
/// When a record does not verify or open.
pub fn verified(vault: &dyn Vault, records: &[Record]) -> Head {
    records.iter().fold(Head::START, |head, record| {
        record.verify_after(&head).expect("the chain verifies");
        record.open(vault).expect("the record opens");
        record.head()
    })
}
