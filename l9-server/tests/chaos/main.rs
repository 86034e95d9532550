//! Several processes of the real server on one database, over SQLite and over PostgreSQL:
//! killed, frozen past their leases, cut off from the database and started again, at moments
//! that a seed chooses. In the end no acknowledged run is lost, no keyed write applied twice,
//! no opaque one issued twice, each tick of a schedule has one run as its rules tell, and every
//! chain verifies. The same suite with the fences left out must find duplicates.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may fail, and waits for real"
)]

mod clients;
mod cluster;
mod faults;
mod journal;
mod node;
mod schedules;
mod script;
mod settings;
mod site;
#[path = "../support/mod.rs"]
mod support;

use faults::Figures;
use journal::{Stood, Verdict};
use settings::{Settings, Store};

fn show(settings: &Settings, figures: &Figures, verdict: &Verdict) {
    let stood = |stood| figures.stood.get(&stood).copied().unwrap_or(0);
    println!("{settings:?}");
    println!("{} kills in {:.1?}, a write of the victim was", figures.kills, figures.took);
    println!("  before its intent         {:>5}", stood(Stood::BeforeIntent));
    println!("  between intent and result {:>5}", stood(Stood::Between));
    println!("  after its result          {:>5}", stood(Stood::AfterResult));
    println!(
        "{} freezes past the lease; thawed, {} said so and {} had appends refused, {} in all",
        figures.freezes, figures.let_go, figures.refused, figures.refusals
    );
    println!(
        "{} restarts of the database, {} cuts, {} keys lost in {} wipes of Redis, {} starts failed",
        figures.restarts, figures.cuts, figures.wiped, figures.wipes, figures.failed_starts
    );
    println!("{}", verdict.ticks);
    println!("{verdict:?}");
}

async fn nothing_is_lost_or_repeated(settings: &Settings) {
    let (figures, verdict) = faults::run(settings).await;
    show(settings, &figures, &verdict);
    let ticks = verdict.ticks.without_faults();
    let good = Verdict { runs: verdict.runs, requests: verdict.requests, ticks, ..Verdict::default() };
    assert_eq!(verdict, good);
    assert!(ticks.scheduled > 0 && ticks.left_out > 0, "no rule was put to the test: {ticks}");
    assert!(figures.kills >= settings.kills);
    assert!(settings.wipes == 0 || figures.wiped > 0, "the nodes did not queue in Redis: {figures:?}");
    let between = figures.stood.get(&Stood::Between).copied().unwrap_or(0);
    assert!(between * 10 >= figures.kills * 3, "too few kills between an intent and its result: {figures:?}");
    assert_eq!((figures.freezes, figures.let_go), (settings.freezes, settings.freezes), "a thawed node went on");
    if settings.store == Store::Postgres {
        assert_eq!(figures.refused, settings.freezes, "a late append was not refused: {figures:?}");
    }
}

async fn duplicates_are_found(settings: &Settings) {
    let (figures, verdict) = faults::run(settings).await;
    show(settings, &figures, &verdict);
    assert!(verdict.opaque_twice > 0, "the suite cannot fail: {verdict:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_on_sqlite_lose_nothing_and_repeat_nothing() {
    nothing_is_lost_or_repeated(&Settings::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_on_postgres_lose_nothing_and_repeat_nothing() {
    nothing_is_lost_or_repeated(&Settings::postgres()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_queue_in_redis_lose_nothing_with_it() {
    nothing_is_lost_or_repeated(&Settings::redis()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_fences_the_suite_finds_duplicates() {
    duplicates_are_found(&Settings { kills: 10, ..Settings::sqlite().unfenced() }).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "as long as L9_CHAOS asks for"]
async fn as_asked() {
    let settings = Settings::asked();
    match settings.fences {
        true => nothing_is_lost_or_repeated(&settings).await,
        false => duplicates_are_found(&settings).await,
    }
}
