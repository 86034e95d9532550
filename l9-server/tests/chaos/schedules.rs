//! Schedules among the faults, which every node looks for: some tick all the time, and of others
//! all ticks were missed when they are first seen. In the end each tick is asked for once more
//! under its own key, so that the journal tells which run it has: what the scheduler wrote of it
//! is not believed.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use l9::journal::RunRow;
use l9::run::{Stored, Subject};
use l9::schedule::{CatchUp, Definition, Overlap, Runs, Schedule, Target, When};
use l9::time::Timestamp;
use l9::{ErrorKind, RunId, Runtime, TenantId};
use serde_json::{Value, json};

use crate::journal::patiently;
use crate::script;

/// The rules, with the names of their schedules.
const RULES: [(CatchUp, &str); 3] = [(CatchUp::All, "all"), (CatchUp::One, "one"), (CatchUp::Skip, "skip")];

/// The time between two ticks.
const EVERY: Duration = Duration::from_secs(1);

/// A tick that comes later than this was missed.
const ON_TIME: Duration = Duration::from_secs(60);

/// How many ticks are missed of a schedule that nobody saw in time, but for the first.
const MISSED: u32 = 4;

/// Schedules are not that many, nor ticks of one.
const MOST: usize = 10_000;

/// What the runs of schedules are given begins with this, and what they write.
const MARK: &str = "tick ";

/// When a fault held up what was on its way to the database: from when until when.
pub(crate) type HeldUp = (Timestamp, Timestamp);

/// How long before a fault what it holds up may have been written, and how long after it that
/// may take to arrive.
const ON_ITS_WAY: Duration = Duration::from_secs(1);
const ARRIVES: Duration = Duration::from_secs(3);

/// A tick, and its run if it has one.
type Ticked<'a> = (Timestamp, Option<Ran<'a>>);

/// The run of a tick.
#[derive(Clone, Copy)]
struct Ran<'a> {
    row: &'a RunRow,
    /// Until when nobody may have known of its end; none if it goes on.
    lasted: Option<Timestamp>,
}

/// What became of ticks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Ticks {
    /// Those that have a run.
    pub(crate) scheduled: u32,
    /// Those that were left out as the rules tell.
    pub(crate) left_out: u32,
    /// Those that have no run, and should.
    pub(crate) missing: u32,
    /// Runs beyond those of the ticks' keys.
    pub(crate) twice: u32,
    /// Those that have a run, and should be left out.
    pub(crate) unwanted: u32,
    /// How late the run of a tick began that was not missed from the first.
    pub(crate) latest: Duration,
}

impl Ticks {
    /// The same, had nothing gone wrong.
    pub(crate) fn without_faults(self) -> Self {
        Self { missing: 0, twice: 0, unwanted: 0, ..self }
    }
}

impl fmt::Display for Ticks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheduled, left_out, missing, twice, unwanted, latest } = self;
        write!(
            f,
            "{scheduled} scheduled, the latest {latest:.1?} after its time, {left_out} left out; {missing} ticks \
             missing, {twice} ticks twice, {unwanted} ticks that should be left out"
        )
    }
}

/// Makes schedules that tick from now on, one for each rule.
pub(crate) async fn tick(observer: &Runtime) {
    for (rule, name) in RULES {
        add(observer, &format!("every-{name}"), |whose| definition(rule, whose)).await;
    }
}

/// Makes schedules of which all ticks were missed, one for each rule; `ancient` is a system
/// whose clock stands before all of them.
pub(crate) async fn miss(ancient: &Runtime, observer: &Runtime, batch: u32) {
    let end = observer.clock().now().before(ON_TIME + EVERY);
    for (rule, name) in RULES {
        let missed = |whose: &str| Definition {
            start: Some(end.before(EVERY * MISSED)),
            end: Some(end),
            ..definition(rule, whose)
        };
        add(ancient, &format!("missed-{name}-{batch}"), missed).await;
    }
}

async fn add(runtime: &Runtime, id: &str, define: impl Fn(&str) -> Definition) {
    let (by, named) = (runtime.principal(), id.parse().unwrap());
    let made = async || match runtime.schedules().add(&by, &named, define(&format!("{MARK}{id}"))).await {
        // The answer of the time before did not arrive.
        Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
        made => made.map(drop),
    };
    patiently(made).await;
}

/// One rule starts plans, the others calls; `all` promises a run for each tick, so none may be
/// left out because the run before lasts.
fn definition(catch_up: CatchUp, whose: &str) -> Definition {
    let starts = match catch_up {
        CatchUp::One => Target::Plan { plan: script::plan(whose), input: Value::String(whose.to_owned()) },
        CatchUp::All | CatchUp::Skip => {
            let arguments = json!({"text": script::line(whose, "keyed", 1)}).as_object().cloned().unwrap_or_default();
            Target::Tool { id: "ledger/keyed".parse().unwrap(), arguments }
        }
    };
    let overlap = if catch_up == CatchUp::All { Overlap::Queue } else { Overlap::Skip };
    let when = When::EveryMs(u64::try_from(EVERY.as_millis()).unwrap());
    Definition { catch_up, catch_up_limit: 1_000, overlap, ..Definition::new(when, starts) }
}

/// The schedule whose run it is, if it is one's.
pub(crate) fn of(subject: &Subject) -> Option<String> {
    let Stored::Inline(Value::String(given)) = subject.input() else { return None };
    let (_, rest) = given.split_once(MARK)?;
    rest.split([' ', '"']).next().map(str::to_owned)
}

/// Pauses all that have nothing to do; tells whether these are all there are.
pub(crate) async fn rest(observer: &Runtime) -> bool {
    let by = observer.principal();
    let mut resting = true;
    for schedule in all(observer).await.into_iter().filter(|schedule| schedule.state.paused.is_none()) {
        if is_idle(observer, &schedule) {
            let paused = patiently(async || observer.schedules().pause(&by, &schedule.id).await).await;
            if is_idle(observer, &paused) {
                continue;
            }
            patiently(async || observer.schedules().resume(&by, &schedule.id).await).await;
        }
        resting = false;
    }
    resting
}

/// Whether all ticks until now, or until it was paused, are carried out or left out.
fn is_idle(observer: &Runtime, schedule: &Schedule) -> bool {
    let next = schedule.preview(1).unwrap();
    schedule.state.pending.is_empty() && next.iter().all(|(tick, _)| *tick > until(observer, schedule))
}

/// Up to when it ticks.
fn until(observer: &Runtime, schedule: &Schedule) -> Timestamp {
    schedule.state.paused.as_ref().map_or_else(|| observer.clock().now(), |paused| paused.at)
}

async fn all(observer: &Runtime) -> Vec<Schedule> {
    let tenant = TenantId::default_tenant();
    patiently(async || observer.schedules().list(&tenant, None, MOST).await).await
}

/// Looks at every tick of every schedule. The runs are those that the journal has of schedules,
/// with the schedules' ids; whatever is started here is not among them.
pub(crate) async fn judge(observer: &Runtime, runs: &BTreeMap<RunId, (String, RunRow)>, held_up: &[HeldUp]) -> Ticks {
    let mut found = Ticks::default();
    for schedule in all(observer).await {
        let mut ticks = Vec::new();
        let until = until(observer, &schedule);
        for tick in ticks_of(&schedule, until) {
            let run = run_of(observer, &schedule, tick).await;
            let lasted = |row: &RunRow| row.status.is_closed().then(|| arrived(row.updated_at, held_up));
            ticks.push((tick, runs.get(&run).map(|(_, row)| Ran { row, lasted: lasted(row) })));
        }
        let all = runs.values().filter(|(id, _)| *id == schedule.id.as_str()).count();
        found.count(&schedule, &ticks, until, all);
    }
    found
}

fn ticks_of(schedule: &Schedule, until: Timestamp) -> Vec<Timestamp> {
    let Schedule { definition, created_at, series, .. } = schedule;
    let ticks = definition.preview((*created_at, *series), *created_at, MOST).unwrap();
    ticks.into_iter().map(|(tick, _)| tick).filter(|tick| *tick <= until).collect()
}

/// The run under a tick's key, which is made if there is none.
async fn run_of(observer: &Runtime, schedule: &Schedule, tick: Timestamp) -> RunId {
    let key = format!("schedule/{}/{}", schedule.series, tick.as_millis());
    observer.engine().start(&schedule.by, &schedule.definition, &key).await.unwrap()
}

impl Ticks {
    /// Counts what became of a schedule's ticks up to a time, of which there are so many runs in all.
    fn count(&mut self, schedule: &Schedule, ticks: &[Ticked<'_>], until: Timestamp, all: usize) {
        let mut ran = 0;
        for (at, (tick, run)) in ticks.iter().enumerate() {
            let left_out = is_left_out(schedule, ticks, at, until);
            match run {
                Some(run) => {
                    ran += 1;
                    match is_missed(schedule) {
                        true => self.unwanted += u32::from(left_out),
                        false => self.latest = self.latest.max(run.row.created_at.since(*tick)),
                    }
                }
                None if left_out => self.left_out += 1,
                None => {
                    println!("tick {tick} of {} has no run", schedule.id);
                    self.missing += 1;
                }
            }
        }
        if all > ran {
            println!("{} has {all} runs, of which {ran} are those of its {} ticks", schedule.id, ticks.len());
        }
        self.scheduled += u32::try_from(ran).unwrap();
        self.twice += u32::try_from(all.saturating_sub(ran)).unwrap();
    }
}

/// Whether all its ticks were missed when it was first seen.
fn is_missed(schedule: &Schedule) -> bool {
    schedule.definition.end.is_some()
}

/// Whether a tick has to be left out by its schedule's rules, if all were missed, or else may
/// be if it has no run.
fn is_left_out(schedule: &Schedule, ticks: &[Ticked<'_>], at: usize, until: Timestamp) -> bool {
    let (tick, _) = ticks[at];
    match schedule.definition.catch_up {
        CatchUp::All => false,
        CatchUp::One if is_missed(schedule) => at + 1 < ticks.len(),
        CatchUp::Skip if is_missed(schedule) => true,
        CatchUp::One | CatchUp::Skip => {
            // The run before lasted until after the tick, or nothing was decided for a minute.
            let before = ticks[..at].iter().rev().find_map(|(_, run)| *run);
            let after = ticks[at + 1..].iter().find_map(|(_, run)| run.map(|run| run.row.created_at));
            before.is_some_and(|run| run.lasted.is_none_or(|lasted| lasted >= tick))
                || after.unwrap_or(until).since(tick) > ON_TIME
        }
    }
}

/// Until when nobody may have known of the end of a run, which was written at a time.
fn arrived(written: Timestamp, held_up: &[HeldUp]) -> Timestamp {
    let on_its_way = |(from, until): &&HeldUp| from.before(ON_ITS_WAY) <= written && written <= until.after(ARRIVES);
    held_up.iter().filter(on_its_way).map(|(_, until)| until.after(ARRIVES)).fold(written, Timestamp::max)
}
