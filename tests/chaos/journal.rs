//! What the journal and the ledger say: where a process stood when it died, and in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use l9::journal::{RunFilter, RunRow, Status};
use l9::run::{Event, EventView};
use l9::{Runtime, TenantId};

use crate::support::Line;

/// Where a process stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stood {
    BeforeIntent,
    Between,
    AfterResult,
}

/// Finds out from the journal where the node of a name stood with its writes.
pub(crate) async fn stood(observer: &Runtime, name: &str) -> Stood {
    let tenant = TenantId::default_tenant();
    let filter = RunFilter { status: Some(Status::Running), ..RunFilter::default() };
    let mut found = Stood::BeforeIntent;
    for row in observer.store().runs(&tenant, &filter, 100).await.unwrap() {
        let (mut mine, mut open, mut last) = (false, BTreeSet::new(), false);
        for event in events(observer, &row).await {
            match event {
                Event::LeaseTaken(taken) if mine && taken.node != name => break,
                Event::LeaseTaken(taken) => mine = taken.node == name,
                Event::EffectIntent(intent) if !intent.class.may_just_repeat() => {
                    (last, _) = (false, open.insert(intent.call));
                }
                Event::EffectResult(result) => last = open.remove(&result.call),
                Event::EffectUnknown(unknown) => drop(open.remove(&unknown.call)),
                Event::EffectRetry(retry) => drop(open.remove(&retry.call)),
                _ => {}
            }
        }
        match mine {
            true if !open.is_empty() => return Stood::Between,
            true if last => found = Stood::AfterResult,
            _ => {}
        }
    }
    found
}

async fn events(observer: &Runtime, row: &RunRow) -> Vec<Event> {
    let records = observer.store().read(&row.tenant, row.run, 0, 10_000).await.unwrap();
    records.iter().map(|record| EventView::of(record, &**observer.vault()).unwrap().1).collect()
}

async fn rows_events(observer: &Runtime, rows: &[RunRow]) -> Vec<Event> {
    let mut all = Vec::new();
    for row in rows {
        all.append(&mut events(observer, row).await);
    }
    all
}

/// What is left when everything has ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) runs: u64,
    pub(crate) requests: u32,
    /// Accepted, and not in the journal or not closed.
    pub(crate) lost: u32,
    /// Keyed writes that never came, or came more than once.
    pub(crate) keyed_wrong: u32,
    pub(crate) queryable_twice: u32,
    pub(crate) opaque_twice: u32,
    /// Requests beyond the intents under their key, or without any.
    pub(crate) unintended: u32,
    pub(crate) faults: usize,
    pub(crate) diverged: u32,
}

/// Looks at everything; `lives` is the folder of what the nodes said.
pub(crate) async fn verdict(observer: &Runtime, lines: &BTreeMap<String, Line>, lives: &Path) -> Verdict {
    let tenant = TenantId::default_tenant();
    let report = observer.verify().await.unwrap();
    let mut verdict = Verdict { runs: report.runs, faults: report.faults.len(), ..Verdict::default() };
    let mut items: BTreeMap<(&str, &str), (u32, u32)> = BTreeMap::new();
    for line in lines.values() {
        let entry = items.entry((&line.kind, &line.item)).or_default();
        *entry = (entry.0 + line.requests, entry.1 + line.applied);
        verdict.requests += line.requests;
    }
    let (mut closed, mut intents) = (BTreeSet::new(), BTreeMap::new());
    let mut filter = RunFilter::default();
    loop {
        let rows = observer.store().runs(&tenant, &filter, 500).await.unwrap();
        let Some(last) = rows.last() else { break };
        filter.before = Some(last.run);
        for event in rows_events(observer, &rows).await {
            if let Event::EffectIntent(intent) = event {
                *intents.entry(intent.idempotency_key.to_string()).or_insert(0_u32) += 1;
            }
        }
        for row in rows.iter().filter(|row| row.status.is_closed()) {
            closed.insert(row.run.to_string());
            for n in 1..=2 {
                let item = format!("{} keyed {n}", row.run);
                let applied = items.get(&("keyed", &*item)).map_or(0, |(_, applied)| *applied);
                verdict.keyed_wrong += u32::from(applied != 1);
            }
            match observer.engine().replay(&tenant, row.run, &BTreeMap::new()).await {
                Ok(replayed) if replayed.divergence.is_none() => {}
                _ => verdict.diverged += 1,
            }
        }
    }
    for ((kind, _), (requests, applied)) in &items {
        verdict.queryable_twice += u32::from(*kind == "queryable" && *applied > 1);
        verdict.opaque_twice += u32::from(*kind == "opaque" && *requests > 1);
    }
    let beyond = |(key, line): &(&String, &Line)| line.requests > intents.get(*key).copied().unwrap_or(0);
    verdict.unintended = u32::try_from(lines.iter().filter(beyond).count()).unwrap();
    let said = fs::read_dir(lives).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    let accepted: BTreeSet<String> =
        said.flat_map(|text| text.lines().filter_map(accepted).collect::<Vec<_>>()).collect();
    verdict.lost = u32::try_from(accepted.difference(&closed).count()).unwrap();
    verdict
}

/// The run of a whole line that says a start was acknowledged.
fn accepted(line: &str) -> Option<String> {
    let run = line.strip_prefix("accepted ")?.split(' ').nth(1)?;
    (run.len() == 36).then(|| run.to_owned())
}
