//! The judge's own book of leases, kept by the true time.

use std::time::Duration;

use l9::RunId;
use l9::journal::Lease;

use super::bench::Judge;
use super::conduct::Performer;
use super::invariant::Invariant;

impl Judge {
    /// A lease was granted.
    pub(crate) fn acquired(&mut self, lease: &Lease, owner: &str, ttl: Duration, now: Duration) {
        let Some(life) = self.runs.get_mut(&lease.run) else {
            return self.found(Invariant::StartKept, Some(lease.run), "a lease of a run that was never created");
        };
        let held = life.lease.as_ref().is_some_and(|(holder, until)| holder != owner && *until > now);
        let fault = if held {
            Some("a lease was granted while another's had not ended")
        } else if lease.epoch <= life.granted {
            Some("a lease was granted under an old epoch")
        } else if lease.head.next != life.next() {
            Some("a lease was granted with another head than the chain's")
        } else if life.lease.is_some() && lease.expired.is_none() {
            Some("a lease that nobody gave up was granted as though its owner were known to be gone")
        } else {
            None
        };
        life.granted = lease.epoch;
        life.lease = Some((owner.to_owned(), now + ttl));
        self.taken.entry(owner.to_owned()).or_default().insert(lease.run);
        if let Some(fault) = fault {
            self.found(Invariant::Fenced, Some(lease.run), fault);
        }
    }

    /// An owner's leases were extended.
    pub(crate) fn renewed(&mut self, owner: &str, ttl: Duration, count: u64, now: Duration) {
        let (mut own, runs) = (0, &mut self.runs);
        let taken = self.taken.entry(owner.to_owned()).or_default();
        taken.retain(|run| match runs.get_mut(run).and_then(|life| life.lease.as_mut()) {
            Some((holder, until)) if holder == owner => {
                if *until > now {
                    *until = now + ttl;
                    own += 1;
                }
                true
            }
            _ => false,
        });
        if own != count {
            self.found(
                Invariant::Fenced,
                None,
                format!("{count} leases of {owner} were renewed where {own} were held"),
            );
        }
    }

    /// Who holds a run's lease.
    pub(crate) fn owner(&self, run: RunId) -> Option<String> {
        self.runs.get(&run)?.lease.as_ref().map(|(owner, _)| owner.clone())
    }

    /// Whether effects of a node's runs are under way.
    pub(crate) fn is_busy(&self, owner: &str) -> bool {
        let taken = self.taken.get(owner).into_iter().flatten().filter_map(|run| self.runs.get(run));
        let its = taken.filter(|life| life.lease.as_ref().is_some_and(|(holder, _)| holder == owner));
        its.flat_map(|life| life.conduct.calls.values()).any(|call| call.open && call.performer == Performer::Node)
    }

    /// A lease was given up, if it was still the newest.
    pub(crate) fn released(&mut self, lease: &Lease) {
        if let Some(life) = self.runs.get_mut(&lease.run).filter(|life| life.granted == lease.epoch) {
            life.lease = None;
        }
    }
}
