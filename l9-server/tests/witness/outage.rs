//! A witness that is away or rude.

use crate::support::Served;
use crate::witness::{Manner, Witness, metric, newest, served, until};

const FAILURES: &str = "l9_audit_witness_failures_total";

/// The log's lines with these words.
fn told(served: &Served, words: &str) -> usize {
    served.log().lines().filter(|line| line.contains("WARN") && line.contains(words)).count()
}

/// Runs go on and the tree grows while the witness is as it is; once it is good it has the
/// newest, and both ends of the outage were told, once, with what it did.
async fn is_made_up_for(mut witness: Witness, why: &str) {
    let served = served(&witness).await;
    served.research().await;
    until("it failed", async || metric(&served, FAILURES).await >= 1).await;
    let (_, before) = newest(&served).await;
    served.research().await;
    // Not asked for: the sequencer goes on by itself.
    until("the tree grows", async || metric(&served, "l9_audit_tree_size").await > before.size).await;
    let ((key, missed), failures) = (newest(&served).await, metric(&served, FAILURES).await);
    until("it is tried again", async || metric(&served, FAILURES).await > failures).await;
    assert_eq!((witness.kept().len(), told(&served, "gets no checkpoints")), (0, 1), "{}", served.log());
    assert_eq!((told(&served, why), told(&served, "gets checkpoints again")), (1, 0), "{}", served.log());

    witness.change(Manner::Status(200));
    witness.catches_up(&served).await;
    let first = witness.kept().first().cloned().unwrap();
    let first = l9::evidence::SignedCheckpoint::open(&key, &first.note).unwrap().checkpoint;
    assert!(first.size >= missed.size, "the newest is enough: {} and not {}", missed.size, first.size);
    until("its end is told", async || told(&served, "gets checkpoints again") == 1).await;

    // From here on each comes at once.
    served.research().await;
    witness.catches_up(&served).await;
    assert_eq!((told(&served, "gets no checkpoints"), told(&served, "gets checkpoints again")), (1, 1));
    let log = served.log();
    let shown = format!("{}/l9/checkpoints", witness.address);
    assert!(log.contains(&shown), "the address is named: {log}");
    assert!(!log.contains("hunter2"), "a secret is logged: {log}");
}

#[tokio::test]
async fn a_witness_that_refuses_connections_holds_nothing_up() {
    is_made_up_for(Witness::away(), "refused").await;
}

#[tokio::test]
async fn a_witness_that_fails_holds_nothing_up() {
    is_made_up_for(Witness::start(Manner::Status(500)), "it answered 500").await;
}

#[tokio::test]
async fn a_witness_that_wants_another_token_holds_nothing_up() {
    is_made_up_for(Witness::start(Manner::Status(401)), "it answered 401").await;
}

#[tokio::test]
async fn a_witness_that_never_answers_holds_nothing_up() {
    is_made_up_for(Witness::start(Manner::Silent), "longer than 5 s").await;
}

#[tokio::test]
async fn a_witness_that_answers_without_end_holds_nothing_up() {
    is_made_up_for(Witness::start(Manner::Endless), "more than 65536 bytes").await;
}

#[tokio::test]
async fn a_witness_that_drips_its_answer_holds_nothing_up() {
    is_made_up_for(Witness::start(Manner::Dripping), "longer than 5 s").await;
}

#[tokio::test]
async fn a_witness_that_sends_elsewhere_is_not_followed() {
    let elsewhere = Witness::start(Manner::Status(200));
    let witness = Witness::start(Manner::Elsewhere(elsewhere.address.clone()));
    is_made_up_for(witness, "redirects are not followed").await;
    assert_eq!(elsewhere.asked(), 0, "nobody else is asked");
}
