//! Whether answers are what they must be, counted over many questions: nothing stale after a
//! supersede, the past as it was known, filters that lose nothing, nothing of another tenant.

use std::collections::HashSet;
use std::time::Duration;

use l9::memory::{NewEntry, Query, Scope};
use l9::time::Timestamp;
use l9::{AgentId, Runtime, TenantId};

use crate::pairs;

const FACTS: usize = 300;
const ENTRIES: usize = 10_000;
/// How many pairs of every kind are made of sentences.
const PAIRS: usize = 40;
/// Of how many entries one is in the filter.
const SELECTIVITIES: [usize; 4] = [2, 10, 100, 1000];

/// Counts and prints.
pub(crate) async fn measure() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = Runtime::builder().data_dir(folder.path()).build().await.unwrap();
    println!("truth");
    superseded(&runtime).await;
    filtered(&runtime).await;
    tenants(&runtime).await;
    duplicates(&runtime).await;
    runtime.shutdown().await;
}

fn fact(number: usize, value: usize) -> NewEntry {
    NewEntry { text: format!("The code of locker n{number} is v{value}x{number}."), ..NewEntry::default() }
}

/// Facts that change twice, asked for now and as of the times between.
async fn superseded(runtime: &Runtime) {
    let (memory, tenant) = (runtime.memory(), TenantId::new("superseded").unwrap());
    let mut ids = Vec::new();
    for kept in memory.remember(&tenant, (0..FACTS).map(|number| fact(number, 0)).collect()).await.unwrap() {
        ids.push(kept.id);
    }
    let mut between = Vec::new();
    for value in 1..3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        between.push(Some(now()));
        tokio::time::sleep(Duration::from_millis(5)).await;
        for (number, id) in ids.iter_mut().enumerate() {
            *id = memory.supersede(&tenant, *id, fact(number, value)).await.unwrap().id;
        }
    }
    between.push(None);
    let scope = Scope::tenant(tenant);
    let (mut stale, mut right, mut asked) = (0, 0, 0);
    for number in 0..FACTS {
        for (value, as_of) in between.iter().enumerate() {
            let query = Query { as_of: *as_of, ..Query::new(format!("what is the code of locker n{number}"), 10) };
            let hits = memory.search(&scope, &query).await.unwrap();
            let of_it: Vec<&str> = hits
                .iter()
                .map(|hit| hit.entry.entry.text.as_str())
                .filter(|text| text.contains(&format!("locker n{number} ")))
                .collect();
            asked += 1;
            right += usize::from(of_it == [fact(number, value).text]);
            stale += of_it.iter().filter(|text| **text != fact(number, value).text).count();
        }
    }
    println!(
        "  {asked} questions about {FACTS} facts superseded twice: {stale} stale answers, {right} right as of their time"
    );
}

/// The ten best within a filter, against a memory that has nothing else.
async fn filtered(runtime: &Runtime) {
    let memory = runtime.memory();
    for one_of in SELECTIVITIES {
        let (all, alone) = (tenant(&format!("all-{one_of}")), tenant(&format!("alone-{one_of}")));
        let agent = AgentId::new("wanted").unwrap();
        let entries: Vec<NewEntry> =
            (0..ENTRIES).map(|at| entry(at, (at % one_of == 0).then(|| agent.clone()))).collect();
        let wanted: Vec<NewEntry> =
            entries.iter().filter(|entry| entry.agent.as_ref() == Some(&agent)).cloned().collect();
        memory.remember(&all, entries).await.unwrap();
        memory.remember(&alone, wanted).await.unwrap();
        let texts = async |tenant: &TenantId, words: &str| -> HashSet<String> {
            let scope = Scope { agent: Some(agent.clone()), ..Scope::tenant(tenant.clone()) };
            let hits = memory.search(&scope, &Query::new(words, 10)).await.unwrap();
            hits.into_iter().map(|hit| hit.entry.entry.text).collect()
        };
        let (mut found, mut there) = (0, 0);
        for at in 0..200 {
            let words = format!("{} {} {}", word(at), word(at * 7 + 1), word(at * 13 + 5));
            let exact = texts(&alone, &words).await;
            found += exact.intersection(&texts(&all, &words).await).count();
            there += exact.len();
        }
        let share = 100.0 / one_of as f64;
        println!("  recall@10 within {share:>5.1} % of {ENTRIES}: {:.3}", found as f64 / there.max(1) as f64);
    }
}

/// Two tenants with the same words.
async fn tenants(runtime: &Runtime) {
    let memory = runtime.memory();
    let (one, other) = (tenant("one"), tenant("other"));
    let said =
        |whose: &str, at: usize| NewEntry { text: format!("{whose} {}", entry(at, None).text), ..NewEntry::default() };
    memory.remember(&one, (0..1000).map(|at| said("mine", at)).collect()).await.unwrap();
    memory.remember(&other, (0..1000).map(|at| said("theirs", at)).collect()).await.unwrap();
    let mut leaks = 0;
    for at in 0..500 {
        let query = Query::new(format!("theirs {} {}", word(at), word(at * 3 + 1)), 100);
        let hits = memory.search(&Scope::tenant(one.clone()), &query).await.unwrap();
        leaks += hits.iter().filter(|hit| hit.entry.entry.text.starts_with("theirs")).count();
    }
    println!("  500 questions beside another tenant with the same words: {leaks} leaks");
}

/// Near duplicates, and what only looks like one.
async fn duplicates(runtime: &Runtime) {
    let (memory, tenant) = (runtime.memory(), tenant("duplicates"));
    let pairs = pairs::pairs(7, PAIRS);
    let linked = pairs::Linked::of(&**memory, &tenant, &pairs).await.unwrap();
    let (precision, recall) = (linked.precision(), linked.recall());
    println!("  near duplicates in {} pairs: precision {precision:.3}, recall {recall:.3}", pairs.len());
    assert!(precision >= 0.98, "{linked:?}");
}

/// Entries that belong to somebody else are an agent's of their own, not everybody's.
fn entry(at: usize, agent: Option<AgentId>) -> NewEntry {
    let agent = agent.or_else(|| AgentId::new("somebody-else").ok());
    let text: Vec<String> = (0..20).map(|place| word((at + 1) * (place * place + 3))).collect();
    // A time of its own each, so that ties have one order everywhere.
    let said = Timestamp::from_millis(i64::try_from(at).unwrap());
    NewEntry { text: format!("{} number{at}", text.join(" ")), agent, at: Some(said), ..NewEntry::default() }
}

fn word(at: usize) -> String {
    let mixed = at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    format!("w{}", ((mixed % 10_000) as f64 / 10_000.0 * 7.0).exp() as usize)
}

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
}
