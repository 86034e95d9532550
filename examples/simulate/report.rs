//! What is counted, and how it is printed.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;

use l9::id::{CallId, NodeCall, NodePart};
use l9::run::{Action, Event, RunOutcome, WAIT};

/// What happened in one seed, or in many.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    pub(crate) seeds: u64,
    pub(crate) nodes: u64,
    pub(crate) lives: u64,
    pub(crate) runs: u64,
    /// Runs that work for another.
    pub(crate) children: u64,
    pub(crate) plans: u64,
    pub(crate) plan_nodes: u64,
    /// Compensations that were begun.
    pub(crate) compensations: u64,
    pub(crate) breakpoints: u64,
    pub(crate) rollbacks: u64,
    pub(crate) closed: BTreeMap<String, u64>,
    pub(crate) crashes: u64,
    pub(crate) drains: u64,
    /// Crashes and freezes that fell between an intent and its result.
    pub(crate) crossed: u64,
    pub(crate) freezes: u64,
    pub(crate) partitions: u64,
    pub(crate) outages: u64,
    pub(crate) stops: u64,
    pub(crate) clock_jumps: u64,
    pub(crate) lost_requests: u64,
    pub(crate) lost_acknowledgements: u64,
    pub(crate) late_requests: u64,
    pub(crate) appends: u64,
    pub(crate) refused_appends: u64,
    pub(crate) takeovers: u64,
    pub(crate) repeated_attempts: u64,
    pub(crate) unknown: u64,
    pub(crate) retries: u64,
    /// Unknown writes that a person decided upon.
    pub(crate) resolved: u64,
    pub(crate) probes: u64,
    pub(crate) waits: u64,
    /// Waits that a signal ended, and not their time.
    pub(crate) signals: u64,
    pub(crate) pauses: u64,
    pub(crate) resumes: u64,
    pub(crate) rejected_commands: u64,
    pub(crate) deadlines: u64,
    pub(crate) forks: u64,
    pub(crate) snapshots: u64,
    pub(crate) replays: u64,
    pub(crate) expired: u64,
    pub(crate) effects: BTreeMap<&'static str, u64>,
    pub(crate) events_followed: u64,
    pub(crate) reconnects: u64,
    pub(crate) simulated_seconds: u64,
    pub(crate) violations: u64,
}

impl AddAssign<&Self> for Counts {
    fn add_assign(&mut self, other: &Self) {
        let Self { closed, effects, .. } = other;
        for (status, count) in closed {
            *self.closed.entry(status.clone()).or_default() += count;
        }
        for (class, count) in effects {
            *self.effects.entry(class).or_default() += count;
        }
        for (sum, count) in self.numbers().into_iter().zip(other.clone().numbers()) {
            *sum += *count;
        }
    }
}

impl Counts {
    /// Counts what a journal says.
    pub(crate) fn happened(&mut self, event: &Event) {
        match event {
            Event::EffectIntent(intent) => {
                self.repeated_attempts += u64::from(intent.attempt > 1);
                let waits = matches!(&intent.action, Action::Tool { tool, .. } if tool.as_str() == WAIT);
                self.waits += u64::from(waits);
                let undoes = matches!(intent.call, CallId::Node(NodeCall { part: NodePart::Undo, .. }));
                self.compensations += u64::from(undoes && intent.attempt == 1);
            }
            Event::BreakpointHit(_) => self.breakpoints += 1,
            Event::PlanRolledBack(_) => self.rollbacks += 1,
            Event::EffectUnknown(_) => self.unknown += 1,
            Event::EffectRetry(_) => self.retries += 1,
            Event::EffectReconciled(decided) => self.resolved += u64::from(decided.command.is_some()),
            Event::SignalReceived(_) => self.signals += 1,
            Event::RunPaused(_) => self.pauses += 1,
            Event::RunResumed(_) => self.resumes += 1,
            Event::CommandRejected(_) => self.rejected_commands += 1,
            Event::RunClosed(outcome) => {
                let late = matches!(&**outcome, RunOutcome::Failed { code, .. } if code == "deadline");
                self.deadlines += u64::from(late);
            }
            _ => {}
        }
    }

    fn numbers(&mut self) -> [&mut u64; 43] {
        [
            &mut self.seeds,
            &mut self.nodes,
            &mut self.lives,
            &mut self.runs,
            &mut self.children,
            &mut self.plans,
            &mut self.plan_nodes,
            &mut self.compensations,
            &mut self.breakpoints,
            &mut self.rollbacks,
            &mut self.crashes,
            &mut self.drains,
            &mut self.crossed,
            &mut self.freezes,
            &mut self.partitions,
            &mut self.outages,
            &mut self.stops,
            &mut self.clock_jumps,
            &mut self.lost_requests,
            &mut self.lost_acknowledgements,
            &mut self.late_requests,
            &mut self.appends,
            &mut self.refused_appends,
            &mut self.takeovers,
            &mut self.repeated_attempts,
            &mut self.unknown,
            &mut self.retries,
            &mut self.resolved,
            &mut self.probes,
            &mut self.waits,
            &mut self.signals,
            &mut self.pauses,
            &mut self.resumes,
            &mut self.rejected_commands,
            &mut self.deadlines,
            &mut self.forks,
            &mut self.snapshots,
            &mut self.replays,
            &mut self.expired,
            &mut self.events_followed,
            &mut self.reconnects,
            &mut self.simulated_seconds,
            &mut self.violations,
        ]
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = |items: Vec<String>| items.join(", ");
        let closed = listed(self.closed.iter().map(|(status, count)| format!("{count} {status}")).collect());
        let effects = listed(self.effects.iter().map(|(class, count)| format!("{count} {class}")).collect());
        writeln!(
            f,
            "{} seeds, {} nodes in {} lives, {} runs ({closed})",
            self.seeds, self.nodes, self.lives, self.runs
        )?;
        writeln!(
            f,
            "{} plans with {} nodes, {} breakpoints reached, {} rolled back, {} compensations, {} runs for another",
            self.plans, self.plan_nodes, self.breakpoints, self.rollbacks, self.compensations, self.children
        )?;
        writeln!(
            f,
            "{} crashes, {} drains, {} freezes, {} partitions, {} outages of the database, {} kill switches, \
             {} clock jumps",
            self.crashes, self.drains, self.freezes, self.partitions, self.outages, self.stops, self.clock_jumps
        )?;
        writeln!(
            f,
            "{:.0} % of the crashes and freezes fell between an intent and its result",
            100.0 * self.crossed as f64 / (self.crashes + self.freezes).max(1) as f64
        )?;
        writeln!(
            f,
            "{} lost requests, {} lost acknowledgements, {} requests that came late",
            self.lost_requests, self.lost_acknowledgements, self.late_requests
        )?;
        writeln!(
            f,
            "{} appends and {} refused, {} takeovers of expired leases, {} attempts repeated, {} effects unknown",
            self.appends, self.refused_appends, self.takeovers, self.repeated_attempts, self.unknown
        )?;
        writeln!(
            f,
            "{} attempts failed for now, {} probes, {} unknown writes decided upon, {} waits, {} signals, {} pauses, {} \
             resumed, {} commands rejected, {} runs ended by their deadline",
            self.retries,
            self.probes,
            self.resolved,
            self.waits,
            self.signals,
            self.pauses,
            self.resumes,
            self.rejected_commands,
            self.deadlines
        )?;
        writeln!(
            f,
            "{} forks, {} snapshots, {} replays, {} runs whose bodies expired",
            self.forks, self.snapshots, self.replays, self.expired
        )?;
        writeln!(f, "requests that left, by class: {effects}")?;
        writeln!(f, "{} events followed over {} connections", self.events_followed, self.reconnects)?;
        write!(f, "{} simulated seconds, {} violations", self.simulated_seconds, self.violations)
    }
}
