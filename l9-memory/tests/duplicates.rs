//! Near duplicates: which texts are linked, counted over made pairs.

use std::sync::Arc;

use l9_core::entropy::SystemEntropy;
use l9_core::id::{AgentId, TenantId};
use l9_core::memory::{MemoryStore, NewEntry, Query, Scope};
use l9_core::time::SystemClock;
use l9_memory::in_memory::Memory;

#[path = "../../benches/retrieval/pairs.rs"]
mod pairs;

#[tokio::test]
async fn links_of_made_pairs_are_right() {
    let memory = Memory::new(Arc::new(SystemClock::default()), Arc::new(SystemEntropy));
    let tenant = TenantId::new("pairs").unwrap();
    let pairs = pairs::pairs(7, 20);
    let agent = |at: usize| AgentId::new(format!("pair-{at}")).unwrap();
    let entry = |at: usize, text: &str| NewEntry { text: text.into(), agent: Some(agent(at)), ..NewEntry::default() };
    let entries = pairs.iter().enumerate().flat_map(|(at, pair)| [entry(at, &pair.one), entry(at, &pair.other)]);
    memory.remember(&tenant, entries.collect()).await.unwrap();
    let mut linked = pairs::Linked::default();
    for (at, pair) in pairs.iter().enumerate() {
        let scope = Scope { agent: Some(agent(at)), ..Scope::tenant(tenant.clone()) };
        let hits = memory.search(&scope, &Query::new(&pair.one, 10)).await.unwrap();
        assert_eq!(hits.iter().map(|hit| 1 + hit.duplicates.len()).sum::<usize>(), 2, "{pair:?}");
        linked.count(pair, hits.len() == 1);
    }
    println!("{linked:#?}");
    println!("precision {:.3}, recall {:.3}", linked.precision(), linked.recall());
    assert!(linked.precision() >= 0.98, "{linked:?}");
    assert!(linked.recall() >= 0.75, "{linked:?}");
}
