//! Effects, from both sides: what the journals say, and what left the nodes and reached
//! the outside. Requests are counted raw, before any deduplication.

use std::collections::BTreeSet;
use std::time::Duration;

use l9::RunId;
use l9::digest::Digest;
use l9::id::CallId;
use l9::tool::EffectClass;

use super::bench::Judge;
use super::invariant::Invariant;

/// By how much a node's clock may be slow when it says that time is left: its drift over
/// the longest deadline, and the rounding of its sleeps.
const CLOCK_ERROR: Duration = Duration::from_millis(5);

/// A request as it leaves a node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Departure {
    pub(crate) run: RunId,
    pub(crate) call: CallId,
    pub(crate) attempt: u32,
    pub(crate) class: EffectClass,
    /// How long after its intent it may leave.
    pub(crate) deadline: Duration,
}

/// Whether it changes the outside: the judge's own reading, not the product's.
pub(super) fn writes(class: EffectClass) -> bool {
    !matches!(class, EffectClass::Pure | EffectClass::Read)
}

/// What the outside saw of one effect.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    departures: u32,
    /// Departures that are known to have had no effect: the outside said so.
    excused: u32,
    /// The newest attempt that the outside was asked about and will not carry out any more.
    fenced: u32,
    keys: BTreeSet<Digest>,
    applied: u32,
}

/// How close to the end of its lease nobody may start an effect: half of what the driver
/// keeps, for the way from its look at the clock to the effect.
const CLOSE: Duration = Duration::from_secs(1);

impl Judge {
    /// A node begins to perform an effect.
    pub(crate) fn starts(&mut self, owner: &str, run: RunId, class: EffectClass, now: Duration) {
        let lease = self.runs.get(&run).and_then(|life| life.lease.as_ref());
        let within = lease.is_some_and(|(holder, until)| holder == owner && *until >= now + CLOSE);
        // Nobody outside can notice a pure one, so it may start while its lease is lost.
        if !within && class != EffectClass::Pure {
            self.found(Invariant::WithinLease, Some(run), format!("{owner} starts an effect under {lease:?}"));
        }
    }

    /// A request leaves a node: is it allowed to, by what is durable at this moment?
    pub(crate) fn departs(&mut self, departure: Departure, now: Duration) {
        let Departure { run, call, attempt, class, deadline } = departure;
        if class == EffectClass::Pure {
            return;
        }
        let known = self.runs.get(&run).and_then(|life| life.conduct.calls.get(&call));
        let Some(known) = known.filter(|known| known.attempt >= attempt) else {
            let what = format!("attempt {attempt} at {call} left, and its intent is not durable");
            return self.found(Invariant::IntentBeforeCall, Some(run), what);
        };
        if !writes(class) {
            return;
        }
        if !known.open || known.attempt != attempt {
            let newest = (known.attempt, if known.open { "open" } else { "ended" });
            let what = format!("attempt {attempt} at {call} left when the newest was {} and {}", newest.0, newest.1);
            return self.found(Invariant::OneLiveAttempt, Some(run), what);
        }
        if now > known.durable_at + deadline + CLOCK_ERROR {
            let late = now - known.durable_at - deadline;
            let what = format!("attempt {attempt} at {call} left {} ms after it might", late.as_millis());
            return self.found(Invariant::NotAfter, Some(run), what);
        }
        let entry = self.outside.entry((run, call)).or_default();
        entry.departures += 1;
        let departures = entry.departures - entry.excused;
        if departures > 1 && class != EffectClass::KeyedWrite {
            self.found(Invariant::OpaqueOnce, Some(run), format!("{call} was issued {departures} times"));
        }
    }

    /// A request arrives at a target that honours keys if `keyed`; tells whether it is
    /// applied.
    pub(crate) fn arrives(&mut self, (run, call, attempt): (RunId, CallId, u32), key: Digest, keyed: bool) -> bool {
        if *self.keys.entry(key).or_insert((run, call)) != (run, call) {
            self.found(Invariant::ParentKept, Some(run), format!("the key of {call} is another effect's"));
        }
        let entry = self.outside.entry((run, call)).or_default();
        if attempt <= entry.fenced || !entry.keys.insert(key) && keyed {
            return false;
        }
        entry.applied += 1;
        let applied = entry.applied;
        if applied > 1 {
            let broken = if keyed { Invariant::KeyedOnce } else { Invariant::OpaqueOnce };
            self.found(broken, Some(run), format!("{call} was applied {applied} times"));
        }
        true
    }

    /// A node was told that its request had no effect.
    pub(crate) fn refused(&mut self, run: RunId, call: CallId) {
        let entry = self.outside.entry((run, call)).or_default();
        entry.excused = entry.departures;
    }

    /// The outside is asked whether an attempt took effect. If it did not, it never will.
    pub(crate) fn asked(&mut self, run: RunId, call: CallId, attempt: u32) -> bool {
        let entry = self.outside.entry((run, call)).or_default();
        if entry.applied == 0 {
            (entry.fenced, entry.excused) = (attempt, entry.departures);
        }
        entry.applied > 0
    }

    /// Whether the outside carried a call out.
    pub(super) fn was_applied(&self, run: RunId, call: CallId) -> bool {
        self.outside.get(&(run, call)).is_some_and(|entry| entry.applied > 0)
    }
}
