//! What a person who looks at a run sees of it, so that they know what it needs.

use std::time::Duration;

use l9::RunId;
use l9::id::CallId;
use l9::run::{Event, Subject};
use l9::time::Timestamp;

use super::bench::Judge;

/// Where a run stands.
#[derive(Debug, Clone)]
pub(crate) struct Stand {
    pub(crate) run: RunId,
    pub(crate) agent: bool,
    pub(crate) closed: bool,
    pub(crate) expired: bool,
    pub(crate) paused: bool,
    /// The seq of its next record.
    pub(crate) next: u64,
    pub(crate) deadline: Option<Timestamp>,
    /// Writes that somebody must decide upon.
    pub(crate) undecided: Vec<CallId>,
    /// The numbers of the questions that somebody must answer.
    pub(crate) questions: Vec<u32>,
    /// The signals it waits for, and until when.
    pub(crate) signals: Vec<(String, Option<Timestamp>)>,
    pub(crate) plan: Option<PlanStand>,
}

impl Stand {
    /// Whether it goes on only once somebody says so.
    pub(crate) fn is_held(&self) -> bool {
        self.paused || self.plan.as_ref().is_some_and(|plan| plan.stopped)
    }
}

/// Where a plan stands.
#[derive(Debug, Clone)]
pub(crate) struct PlanStand {
    /// Whether it is at a breakpoint.
    pub(crate) stopped: bool,
    /// Whether nothing of it is under way other than waits.
    pub(crate) idle: bool,
    /// The ids of its nodes.
    pub(crate) nodes: Vec<String>,
}

impl Judge {
    /// Where every run stands.
    pub(crate) fn stands(&self) -> Vec<Stand> {
        let stand = |run: &RunId| self.stand(*run);
        self.runs.keys().filter_map(stand).collect()
    }

    /// Where the runs stand that have not closed and have no deadline.
    pub(crate) fn open_stands(&self) -> Vec<Stand> {
        let stands = self.runs.iter().filter(|(_, life)| !life.closed).filter_map(|(run, _)| self.stand(*run));
        stands.filter(|stand| stand.deadline.is_none()).collect()
    }

    /// Where a run stands.
    pub(crate) fn stand(&self, run: RunId) -> Option<Stand> {
        let life = self.runs.get(&run)?;
        let state = &life.state;
        let created = state.created.as_ref()?;
        let signals = state.waits.values().filter_map(|wait| Some((wait.signal.clone()?, wait.until)));
        Some(Stand {
            run,
            agent: matches!(created.subject, Subject::Agent { .. }),
            closed: life.closed,
            expired: life.expired,
            paused: state.paused.is_some(),
            next: life.next(),
            deadline: created.deadline,
            undecided: state.undecided().map(|(call, _)| call).collect(),
            questions: state.questions().map(|question| question.ask).collect(),
            signals: signals.collect(),
            plan: life.conduct.course.as_ref().map(|course| PlanStand {
                stopped: !course.hits.is_empty(),
                idle: course.busy().next().is_none(),
                nodes: course.plan.nodes.iter().map(|node| node.id.clone()).collect(),
            }),
        })
    }

    /// How many runs are of plans, and how many nodes those have.
    pub(crate) fn plans(&self) -> (u64, u64) {
        let courses = self.runs.values().filter_map(|life| life.conduct.course.as_ref());
        courses.fold((0, 0), |(plans, nodes), course| (plans + 1, nodes + course.plan.nodes.len() as u64))
    }

    /// The effects of a run that had a result before a seq.
    pub(crate) fn ended_before(&self, run: RunId, at: u64) -> Vec<CallId> {
        let past = self.past(run, at);
        let ended = past.iter().filter_map(|written| match &written.event {
            Event::EffectResult(result) => Some(result.call),
            _ => None,
        });
        ended.collect()
    }

    /// A command that was acknowledged and lies there long after everything was healed.
    pub(crate) fn forgotten(&self, healed: Duration, now: Duration) -> Option<(RunId, String)> {
        let forgotten = |(run, life): (&RunId, &super::life::Life)| {
            let command = life.forgotten(healed, now)?;
            Some((*run, format!("command {command} was acknowledged and forgotten")))
        };
        self.runs.iter().find_map(forgotten)
    }
}
