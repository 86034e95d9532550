//! Near duplicates: which texts are linked, counted over made pairs.

use std::sync::Arc;

use l9_core::entropy::SystemEntropy;
use l9_core::id::TenantId;
use l9_core::time::SystemClock;
use l9_memory::in_memory::Memory;

#[path = "../../benches/retrieval/pairs.rs"]
mod pairs;

#[tokio::test]
async fn links_of_made_pairs_are_right() {
    let memory = Memory::new(Arc::new(SystemClock::default()), Arc::new(SystemEntropy));
    let tenant = TenantId::new("pairs").unwrap();
    let pairs = pairs::pairs(7, 20);
    let linked = pairs::Linked::of(&memory, &tenant, &pairs).await.unwrap();
    println!("{linked:#?}");
    println!("precision {:.3}, recall {:.3}", linked.precision(), linked.recall());
    assert!(linked.precision() >= 0.98, "{linked:?}");
    assert!(linked.recall() >= 0.75, "{linked:?}");
}
