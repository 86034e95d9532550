//! What the journal and the ledger say: where a process stood when it died, and in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use l9::journal::{RunFilter, RunRow, Status};
use l9::run::{Event, EventView};
use l9::{RunId, Runtime, TenantId};
use l9_services::Line;

use crate::clients::{self, Clients};
use crate::schedules::{self, HeldUp, Ticks};
use crate::script;

/// How often a database that has just come back is asked once more.
const TRIES: u32 = 50;
const REST: Duration = Duration::from_millis(100);

/// How many faults are shown of each kind.
const SHOWN: usize = 5;

/// Where a process stood with its writes; what is under way in one run says more than
/// what is over in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stood {
    BeforeIntent,
    AfterResult,
    Between,
}

/// Finds out from the journal where each node stands, or stood when it died, with its
/// writes: by the names of their lives.
pub(crate) async fn standing(observer: &Runtime) -> BTreeMap<String, Stood> {
    let filter = RunFilter { status: Some(Status::Running), ..RunFilter::default() };
    let mut found = BTreeMap::new();
    for row in rows(observer, &filter, 200).await {
        for (node, stood) in owners(events(observer, &row).await) {
            let most = found.entry(node).or_insert(stood);
            *most = stood.max(*most);
        }
    }
    found
}

/// Where each owner of a run stood with its writes when it had the run last.
fn owners(events: Vec<Event>) -> BTreeMap<String, Stood> {
    let mut owners = BTreeMap::new();
    let (mut owner, mut open, mut last) = (None, BTreeSet::new(), false);
    for event in events {
        match event {
            Event::LeaseTaken(taken) => owner = Some(taken.node),
            Event::EffectIntent(intent) if !intent.class.may_just_repeat() => {
                (last, _) = (false, open.insert(intent.call));
            }
            Event::EffectResult(result) => last = open.remove(&result.call),
            Event::EffectUnknown(unknown) => drop(open.remove(&unknown.call)),
            Event::EffectRetry(retry) => drop(open.remove(&retry.call)),
            _ => {}
        }
        let stood = match last {
            _ if !open.is_empty() => Stood::Between,
            true => Stood::AfterResult,
            false => Stood::BeforeIntent,
        };
        owners.extend(owner.clone().map(|node: String| (node, stood)));
    }
    owners
}

/// Whether another node has taken a run up since the node of a name had it.
pub(crate) async fn is_taken_over(observer: &Runtime, name: &str) -> bool {
    for row in rows(observer, &RunFilter::default(), 200).await {
        let events = events(observer, &row).await;
        let mut nodes = events.iter().filter_map(|event| match event {
            Event::LeaseTaken(taken) => Some(&taken.node),
            _ => None,
        });
        if nodes.any(|node| node == name) && nodes.any(|node| node != name) {
            return true;
        }
    }
    false
}

/// How many runs more than one node had.
pub(crate) async fn moved(observer: &Runtime) -> u32 {
    let (mut moved, mut filter) = (0, RunFilter::default());
    loop {
        let page = rows(observer, &filter, 500).await;
        let Some(last) = page.last() else { return moved };
        filter.before = Some(last.run);
        for row in &page {
            moved += u32::from(owners(events(observer, row).await).len() > 1);
        }
    }
}

/// Whether every run has ended.
pub(crate) async fn is_quiet(observer: &Runtime) -> bool {
    for status in [Status::Queued, Status::Running, Status::Waiting] {
        let filter = RunFilter { status: Some(status), ..RunFilter::default() };
        if !rows(observer, &filter, 1).await.is_empty() {
            return false;
        }
    }
    true
}

async fn rows(observer: &Runtime, filter: &RunFilter, limit: usize) -> Vec<RunRow> {
    let tenant = TenantId::default_tenant();
    patiently(async || observer.store().runs(&tenant, filter, limit).await).await
}

async fn events(observer: &Runtime, row: &RunRow) -> Vec<Event> {
    let records = patiently(async || observer.store().read(&row.tenant, row.run, 0, 10_000).await).await;
    records.iter().map(|record| EventView::of(record, &**observer.vault()).unwrap().1).collect()
}

/// Asks a database that may have been away a moment ago.
pub(crate) async fn patiently<T>(ask: impl AsyncFn() -> l9::Result<T>) -> T {
    for _ in 0..TRIES {
        match ask().await {
            Err(error) if error.is_retryable() => tokio::time::sleep(REST).await,
            answered => return answered.unwrap(),
        }
    }
    ask().await.unwrap()
}

/// What is left when everything has ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) runs: u32,
    pub(crate) requests: u32,
    /// Acknowledged, and not in the journal or not closed.
    pub(crate) lost: u32,
    /// Runs beyond the starts that were asked for.
    pub(crate) started_twice: u32,
    /// Closed, and did not succeed.
    pub(crate) failed: u32,
    /// Keyed writes that never came, or were applied more than once.
    pub(crate) keyed_missing: u32,
    pub(crate) keyed_twice: u32,
    pub(crate) queryable_twice: u32,
    pub(crate) opaque_twice: u32,
    /// Requests beyond the intents under their key, or without any.
    pub(crate) unintended: u32,
    pub(crate) faults: usize,
    pub(crate) diverged: u32,
    /// Answers that no client should have got.
    pub(crate) strange: usize,
    pub(crate) ticks: Ticks,
}

/// What the ledger saw of one line: its requests, and how often it was applied. Runs of one
/// schedule write the same, each for itself.
type Lines<'a> = BTreeMap<(Option<RunId>, &'a str, &'a str), (u32, u32)>;

/// What the journal has.
#[derive(Default)]
struct Journaled {
    closed: BTreeSet<String>,
    /// How many intents each key has.
    intents: BTreeMap<String, u32>,
    /// The runs of schedules, with the schedules' ids, and whose the keys of their intents are.
    ticks: BTreeMap<RunId, (String, RunRow)>,
    keys: BTreeMap<String, RunId>,
}

/// Looks at everything.
pub(crate) async fn verdict(
    observer: &Runtime,
    ledger: &BTreeMap<String, Line>,
    clients: &Clients,
    held_up: &[HeldUp],
) -> Verdict {
    let report = observer.verify().await.unwrap();
    let (accepted, strange) = (clients.accepted(), clients.strange());
    report.faults.iter().take(SHOWN).for_each(|fault| println!("{fault:?}"));
    strange.iter().take(SHOWN).for_each(|what| println!("{what}"));
    let runs = u32::try_from(report.runs).unwrap();
    let mut verdict = Verdict { runs, faults: report.faults.len(), strange: strange.len(), ..Verdict::default() };
    let Journaled { closed, intents, ticks, keys } = journaled(observer, &mut verdict).await;
    verdict.started_twice = runs.saturating_sub(clients.asked() + u32::try_from(ticks.len()).unwrap());
    let mut lines = Lines::new();
    for (key, line) in ledger {
        let entry = lines.entry((keys.get(key).copied(), &line.kind, &line.item)).or_default();
        *entry = (entry.0 + line.requests, entry.1 + line.applied);
        verdict.requests += line.requests;
    }
    verdict.count_repeated(&lines);
    let beyond = |(key, line): &(&String, &Line)| line.requests > intents.get(*key).copied().unwrap_or(0);
    verdict.unintended = u32::try_from(ledger.iter().filter(beyond).count()).unwrap();
    for start in accepted {
        if !closed.contains(&start.run) {
            println!("run {} is lost: it was start {}", start.run, start.n);
            verdict.lost += 1;
            continue;
        }
        for at in 1..=if clients::is_call(start.n) { 1 } else { 2 } {
            let item = script::item(&script::line(start.n, "keyed", at));
            verdict.keyed_missing += u32::from(!lines.contains_key(&(None, "keyed", &*item)));
        }
    }
    verdict.count_written(&ticks, &lines);
    verdict.ticks = schedules::judge(observer, &ticks, held_up).await;
    verdict
}

impl Verdict {
    fn count_repeated(&mut self, lines: &Lines<'_>) {
        for ((_, kind, _), (requests, applied)) in lines {
            self.keyed_twice += u32::from(*kind == "keyed" && *applied > 1);
            self.queryable_twice += u32::from(*kind == "queryable" && *applied > 1);
            self.opaque_twice += u32::from(*kind == "opaque" && *requests > 1);
        }
    }

    /// Whether the runs of schedules have ended and written what they should.
    fn count_written(&mut self, ticks: &BTreeMap<RunId, (String, RunRow)>, lines: &Lines<'_>) {
        for (schedule, row) in ticks.values() {
            if !row.status.is_closed() {
                println!("run {} of {schedule} has not ended", row.run);
                self.lost += 1;
                continue;
            }
            let written = lines.keys().filter(|(run, kind, _)| *run == Some(row.run) && *kind == "keyed").count();
            self.keyed_missing += u32::from(written < if row.kind == "tool" { 1 } else { 2 });
        }
    }
}

/// Reads every run.
async fn journaled(observer: &Runtime, verdict: &mut Verdict) -> Journaled {
    let mut found = Journaled::default();
    let mut filter = RunFilter::default();
    loop {
        let page = rows(observer, &filter, 500).await;
        let Some(last) = page.last() else { return found };
        filter.before = Some(last.run);
        for row in &page {
            found.read(row, events(observer, row).await);
            if row.status.is_closed() {
                if row.status != Status::Succeeded {
                    verdict.failed += 1;
                    show(observer, row).await;
                }
                let replayed = observer.engine().replay(&row.tenant, row.run, &BTreeMap::new()).await;
                verdict.diverged += u32::from(!replayed.is_ok_and(|replayed| replayed.divergence.is_none()));
            }
        }
    }
}

impl Journaled {
    /// Takes down what a run's events say.
    fn read(&mut self, row: &RunRow, events: Vec<Event>) {
        if row.status.is_closed() {
            self.closed.insert(row.run.to_string());
        }
        for event in events {
            match event {
                Event::RunCreated(created) => {
                    let schedule = schedules::of(&created.subject);
                    self.ticks.extend(schedule.map(|schedule| (row.run, (schedule, row.clone()))));
                }
                Event::EffectIntent(intent) => {
                    let key = intent.idempotency_key.to_string();
                    self.keys.extend(self.ticks.contains_key(&row.run).then(|| (key.clone(), row.run)));
                    *self.intents.entry(key).or_insert(0) += 1;
                }
                _ => {}
            }
        }
    }
}

/// Prints how a run's effects ended.
async fn show(observer: &Runtime, row: &RunRow) {
    println!("run {} of {} ended as {}", row.run, row.name, row.status);
    for event in events(observer, row).await {
        match event {
            Event::LeaseTaken(taken) => println!("  lease of {}", taken.node),
            Event::EffectIntent(intent) => println!("  intent {} attempt {}", intent.call, intent.attempt),
            Event::EffectRetry(retry) => println!("  retry {} {}: {}", retry.call, retry.code, retry.message),
            Event::EffectUnknown(unknown) => println!("  unknown {}: {}", unknown.call, unknown.reason),
            Event::RunClosed(outcome) => println!("  {outcome:?}"),
            _ => {}
        }
    }
}
