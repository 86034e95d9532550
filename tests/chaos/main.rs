//! Several nodes on one database, killed, frozen past their leases and started again at
//! moments that a seed chooses. In the end no accepted run is lost, no keyed write applied
//! twice, no opaque one issued twice, and every chain verifies. The same suite with the
//! fences left out must find duplicates.
//!
//! `L9_CHAOS="--kills 500 --nodes 3 --freezes 4 --seed 7" cargo test --test chaos faults -- --nocapture`
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may fail, and waits for real"
)]

mod faults;
mod journal;
#[expect(dead_code, reason = "its tools and agents are all that is wanted of it")]
#[path = "../../examples/ledger_agent.rs"]
mod ledger_agent;
mod node;
#[path = "../support/program.rs"]
mod program;
mod settings;
#[path = "../support/mod.rs"]
mod support;

use faults::Figures;
use journal::{Stood, Verdict};
use settings::Settings;

fn show(settings: &Settings, figures: &Figures, verdict: &Verdict) {
    let stood = |stood| figures.stood.get(&stood).copied().unwrap_or(0);
    println!("seed {}: {} kills of {} nodes in {:.1?}", settings.seed, figures.kills, settings.nodes, figures.took);
    println!(
        "a write was: before its intent {}, between intent and result {}, after its result {}",
        stood(Stood::BeforeIntent),
        stood(Stood::Between),
        stood(Stood::AfterResult)
    );
    println!(
        "{} freezes past the lease, {} thawed nodes refused; {} starts failed",
        figures.freezes, figures.refused, figures.failed_starts
    );
    println!("{verdict:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_lose_nothing_and_repeat_nothing() {
    let settings = Settings::asked();
    let (figures, verdict) = faults::run(&settings).await;
    show(&settings, &figures, &verdict);
    let good = Verdict { runs: verdict.runs, requests: verdict.requests, ..Verdict::default() };
    assert_eq!(verdict, good);
    assert_eq!(figures.kills, settings.kills);
    let between = figures.stood.get(&Stood::Between).copied().unwrap_or(0);
    assert!(between * 10 >= figures.kills * 3, "too few kills between an intent and its result: {figures:?}");
    assert_eq!((figures.freezes, figures.refused), (settings.freezes, settings.freezes), "a thawed node went on");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_fences_the_suite_finds_duplicates() {
    let build = "cargo build -p l9 --example crash_agent --features failpoints";
    let settings = Settings { unfenced: true, kills: 10, ..Settings::bounded("crash_agent", build) };
    let (figures, verdict) = faults::run(&settings).await;
    show(&settings, &figures, &verdict);
    assert!(verdict.opaque_twice > 0, "the suite cannot fail: {verdict:?}");
}
