//! A process dies at every boundary that a run crosses, with every class of effects in its
//! hands; then a process without failpoints takes the run up. Nothing is lost and nothing
//! happens twice. The outside ledger counts raw requests.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

#[expect(dead_code, reason = "its tools and agents are all that is wanted of it")]
#[path = "../examples/ledger_agent.rs"]
mod ledger_agent;
#[path = "support/program.rs"]
mod program;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use l9::TenantId;
use l9::failpoint::Point;
use l9::journal::{RunFilter, Status};
use l9::run::{Event, EventView};
use l9::tool::EffectClass;
use l9_services::{Ledger, Line};

const BUILD: &str = "cargo build -p l9 --example crash_agent --features failpoints";
const ABORTED: i32 = 6;
/// No program passes a point this often but by a defect.
const ENDLESS: u32 = 60;

struct Program {
    path: PathBuf,
    folder: PathBuf,
    ledger: String,
    agent: String,
}

impl Program {
    fn new(agent: &str, folder: &Path, ledger: &Ledger) -> Self {
        let (folder, ledger) = (folder.to_owned(), ledger.address.to_string());
        Self { path: program::example("crash_agent", BUILD), folder, ledger, agent: agent.to_owned() }
    }

    /// Runs it for one run, to abort at a point if one is given.
    async fn start(&self, n: u32, fail: Option<(Point, u32)>) -> ExitStatus {
        let mut command = tokio::process::Command::new(&self.path);
        command.arg(&self.folder).arg(&self.ledger).arg(format!("{n}..{}", n + 1)).arg(&self.agent);
        if let Some((point, nth)) = fail {
            command.env("L9_FAILPOINT", format!("{}:{nth}", point.name()));
        }
        command.kill_on_drop(true);
        let ended = tokio::time::timeout(Duration::from_secs(60), command.output()).await;
        let ended = ended.unwrap_or_else(|_| panic!("{} {n} with {fail:?} does not end", self.agent)).unwrap();
        if !ended.status.success() && ended.status.signal() != Some(ABORTED) {
            print!("{}", String::from_utf8_lossy(&ended.stderr));
        }
        ended.status
    }
}

/// Crosses points with an agent until it ends without passing them once more; tells how
/// often each was crossed.
async fn cross(agent: &str, points: &[Point]) -> BTreeMap<Point, u32> {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::start(Duration::from_millis(2)).await;
    let program = Program::new(agent, folder.path(), &ledger);
    let (mut crossed, mut runs) = (BTreeMap::new(), 0);
    for point in points {
        for nth in 1..ENDLESS {
            let ended = program.start(runs, Some((*point, nth))).await;
            runs += 1;
            if ended.success() {
                break;
            }
            assert_eq!(ended.signal(), Some(ABORTED), "{agent} at {point:?}, {nth}: {ended}");
            *crossed.entry(*point).or_default() += 1;
            let ended = program.start(runs - 1, None).await;
            assert!(ended.success(), "{agent} after {point:?}, {nth}: {ended}");
        }
        assert!(crossed.get(point).is_some_and(|times| *times < ENDLESS - 1), "{agent} at {point:?}: {crossed:?}");
    }
    check(folder.path(), agent, runs, &ledger.lines()).await;
    crossed
}

/// Has an agent die each time that it passes a point, each time in a store of its own, and looks
/// at what is there in the end; tells how many crashes that were.
async fn cross_alone(agent: &str, points: &[Point], look: impl AsyncFn(&Path, &Ledger, (Point, u32))) -> u32 {
    let mut crossed = 0;
    for point in points {
        for nth in 1.. {
            assert!(nth < ENDLESS, "{agent} at {point:?} does not end");
            let folder = tempfile::tempdir().unwrap();
            let ledger = Ledger::start(Duration::from_millis(2)).await;
            let program = Program::new(agent, folder.path(), &ledger);
            let ended = program.start(0, Some((*point, nth))).await;
            if !ended.success() {
                assert_eq!(ended.signal(), Some(ABORTED), "{agent} at {point:?}, {nth}: {ended}");
                let again = program.start(0, None).await;
                assert!(again.success(), "{agent} after {point:?}, {nth}: {again}");
                crossed += 1;
            }
            look(folder.path(), &ledger, (*point, nth)).await;
            if ended.success() {
                assert!(nth > 1, "{agent} never passes {point:?}");
                break;
            }
        }
    }
    crossed
}

/// Looks for what must hold, in the journal and in the ledger.
async fn check(folder: &Path, agent: &str, runs: u32, lines: &BTreeMap<String, Line>) {
    // It never starts, so nobody calls its ledger.
    let runtime = ledger_agent::build(&folder.display().to_string(), "", agent, "check").await.unwrap();
    let report = runtime.verify().await.unwrap();
    assert_eq!((report.faults.len(), report.runs), (0, u64::from(runs)), "{agent}: {:?}", report.faults);
    let tenant = TenantId::default_tenant();
    let rows = runtime.store().runs(&tenant, &RunFilter::default(), 10_000).await.unwrap();
    let (mut keys, mut unknown) = (BTreeMap::new(), BTreeSet::new());
    for row in rows {
        assert_eq!(row.status, Status::Succeeded, "{agent}: {row:?}");
        let (mut intents, mut settled, mut named) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for record in runtime.store().read(&tenant, row.run, 0, 10_000).await.unwrap() {
            match EventView::of(&record, &**runtime.vault()).unwrap().1 {
                Event::EffectIntent(intent) => {
                    *intents.entry(intent.call).or_insert(0_u32) += 1;
                    keys.insert(intent.idempotency_key.to_string(), (intent.class, intents[&intent.call]));
                    named.insert(intent.call, intent.idempotency_key.to_string());
                }
                Event::EffectResult(result) => *settled.entry(result.call).or_insert(0_u32) += 1,
                Event::EffectUnknown(end) => {
                    unknown.extend(named.get(&end.call).cloned());
                    *settled.entry(end.call).or_insert(0_u32) += 1;
                }
                _ => {}
            }
        }
        assert!(
            settled.len() == intents.len() && settled.values().all(|times| *times == 1),
            "{agent} {}: intents {intents:?}, ends {settled:?}",
            row.run
        );
        let replayed = runtime.engine().replay(&tenant, row.run, &BTreeMap::new()).await.unwrap();
        assert_eq!(replayed.divergence, None, "{agent} {}", row.run);
    }
    for (key, line) in lines {
        let (class, intents) = keys.get(key).unwrap_or_else(|| panic!("{line:?} was never intended"));
        assert!(line.requests <= *intents, "{line:?} with {intents} intents");
        match class {
            EffectClass::KeyedWrite | EffectClass::QueryableWrite => assert_eq!(line.applied, 1, "{line:?}"),
            EffectClass::OpaqueWrite => assert_eq!((line.requests, *intents), (1, 1), "{line:?}"),
            _ => {}
        }
    }
    let must = |class| matches!(class, EffectClass::KeyedWrite | EffectClass::QueryableWrite);
    // A write that ended as unknown may never have left: nobody claims that it did.
    let claimed = |key: &String| !unknown.contains(key);
    let lost = keys.iter().filter(|(key, (class, _))| must(*class) && claimed(key) && !lines.contains_key(*key));
    assert_eq!(lost.count(), 0, "{agent}: a write that has a result never came");
    runtime.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_may_die_at_every_boundary_with_every_class_of_effects() {
    let is_snapshot = |point: &Point| matches!(point, Point::SnapshotBegun | Point::SnapshotStored);
    let (kept, plain): (Vec<Point>, Vec<Point>) = Point::ALL.iter().copied().partition(is_snapshot);
    let classes = ["pure", "read", "keyed", "queryable", "opaque"];
    let mut crossing = tokio::task::JoinSet::new();
    for class in classes {
        let (plain, kept) = (plain.clone(), kept.clone());
        crossing.spawn(async move {
            let mut crossed = cross(class, &plain).await;
            crossed.extend(cross(&format!("many-{class}"), &kept).await);
            (class, crossed)
        });
    }
    let matrix: BTreeMap<&str, BTreeMap<Point, u32>> = crossing.join_all().await.into_iter().collect();
    println!("{:<16} {}", "point", classes.map(|class| format!("{class:>10}")).concat());
    for point in Point::ALL {
        let cells = classes.map(|class| format!("{:>10}", matrix[class][point]));
        println!("{:<16} {}", point.name(), cells.concat());
    }
    let crossed: u32 = matrix.values().flat_map(BTreeMap::values).sum();
    println!("{crossed} crashes");
}

/// Crashes around the write of a `same_db_write`, each in a store of its own: the memory is
/// there with its result, or neither is, so no attempt finds what an earlier one wrote.
#[tokio::test(flavor = "multi_thread")]
async fn a_memory_comes_with_its_result_or_not_at_all() {
    let points = [
        Point::AppendSent,
        Point::CommitBegun,
        Point::CommitDone,
        Point::AppendAnswered,
        Point::EffectEnded,
        Point::ResultPushed,
    ];
    let crossed = cross_alone("remember", &points, remembered_once).await;
    println!("{crossed} crashes");
    assert!(crossed > 20, "{crossed}");
}

async fn remembered_once(folder: &Path, _: &Ledger, (point, nth): (Point, u32)) {
    let runtime = ledger_agent::build(&folder.display().to_string(), "", "remember", "check").await.unwrap();
    assert_eq!(runtime.verify().await.unwrap().faults, []);
    let tenant = TenantId::default_tenant();
    let row = runtime.store().runs(&tenant, &RunFilter::default(), 1).await.unwrap().remove(0);
    let mut kept = Vec::new();
    for record in runtime.store().read(&tenant, row.run, 0, 10_000).await.unwrap() {
        if let Event::EffectResult(result) = EventView::of(&record, &**runtime.vault()).unwrap().1
            && let l9::run::Outcome::Ok { value: l9::run::Stored::Inline(value) } = result.outcome
            && let Some(duplicate) = value.get("duplicate")
        {
            assert_eq!(duplicate, false, "an attempt found what an earlier one wrote: {point:?}, {nth}");
            kept.push(value["id"].as_str().unwrap().parse().unwrap());
        }
    }
    assert_eq!(kept.len(), 2, "{point:?}, {nth}");
    for id in kept {
        assert!(runtime.memory().get(&tenant, id).await.unwrap().is_some(), "{point:?}, {nth}: {id}");
    }
    assert_eq!(runtime.memory().count(&l9::memory::Scope::tenant(tenant)).await.unwrap(), 2, "{point:?}, {nth}");
    runtime.shutdown().await;
}

/// Crashes around the end of a plan that is cancelled and was told to compensate, each in a store
/// of its own: one other run compensates, or goes on to, and nothing happens twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_plan_is_compensated_once_whenever_its_process_dies() {
    let points = [Point::CommandRead, Point::CloseBegun, Point::CommitBegun, Point::CommitDone, Point::CloseDone];
    let crossed = cross_alone("withdrawn", &points, compensated_once).await;
    println!("{crossed} crashes");
    assert!(crossed > 15, "{crossed}");
}

async fn compensated_once(folder: &Path, ledger: &Ledger, at: (Point, u32)) {
    let runtime = ledger_agent::build(&folder.display().to_string(), "", "withdrawn", "check").await.unwrap();
    assert_eq!(runtime.verify().await.unwrap().faults, [], "{at:?}");
    let tenant = TenantId::default_tenant();
    let rows = runtime.store().runs(&tenant, &RunFilter::default(), 10).await.unwrap();
    let [back, run] = rows.as_slice() else { panic!("{at:?}: {rows:?}") };
    assert_eq!((run.status, back.status), (Status::Cancelled, Status::Succeeded), "{at:?}");
    assert_eq!(back.fork.map(|fork| fork.parent), Some(run.run), "{at:?}");
    let lines = ledger.lines();
    assert!(lines.len() == 2 && lines.values().all(|line| line.applied == 1), "{at:?}: {lines:?}");
    runtime.shutdown().await;
}
