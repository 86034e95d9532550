//! What a good witness gets.

use std::sync::Arc;

use l9::Runtime;
use l9::evidence::{Prover, SignedCheckpoint, VerifyingKey, verify_consistency};

use crate::support::Served;
use crate::witness::{Kept, Manner, QUERY, TOKEN, Witness, newest, served, until};

#[tokio::test]
async fn a_good_witness_has_a_chain_of_checkpoints_each_of_which_continues_the_one_before() {
    for status in [200, 204] {
        let witness = Witness::start(Manner::Status(status));
        let mut served = served(&witness).await;
        for _ in 0..4 {
            served.research().await;
            witness.catches_up(&served).await;
        }
        let (key, last) = newest(&served).await;
        served.terminate();
        assert_eq!(served.ended().await, Some(0));
        let kept = witness.kept();
        assert!(kept.len() >= 4, "{kept:?}");
        for kept in &kept {
            asks_well(kept, &key);
        }
        continues(&served, &kept, &key).await;
        assert!(witness.newest(&key).unwrap().size >= last.size, "it has the last one");
        let log = served.log();
        assert!(!log.contains("hunter2"), "a secret is logged: {log}");
        assert!(!log.contains("gets no checkpoints"), "{log}");
    }
}

/// The form of a request.
fn asks_well(kept: &Kept, key: &VerifyingKey) {
    assert_eq!(kept.line, format!("POST /l9/checkpoints?key={QUERY} HTTP/1.1"));
    let header = |name: &str| kept.headers.get(name).map(String::as_str);
    assert_eq!(header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(header("authorization"), Some(format!("Bearer {TOKEN}").as_str()));
    let checkpoint = SignedCheckpoint::open(key, &kept.note).unwrap().checkpoint;
    assert_eq!(header("idempotency-key"), Some(format!("{}-{}", checkpoint.size, checkpoint.root).as_str()));
}

/// Each note's tree begins with that of the note before.
async fn continues(served: &Served, kept: &[Kept], key: &VerifyingKey) {
    let runtime = Box::pin(Runtime::builder().data_dir(served.data.path()).build()).await.unwrap();
    for pair in kept.windows(2) {
        let [old, new] = [0, 1].map(|at| SignedCheckpoint::open(key, &pair[at].note).unwrap());
        let (old, now) = (old.checkpoint, new.checkpoint.clone());
        assert!(old.size < now.size, "{} stands after {}", now.size, old.size);
        let proof = Prover::new(Arc::clone(runtime.audit().log()), new).consistency(old.size).await.unwrap();
        verify_consistency((old.size, &old.root), (now.size, &now.root), &proof.hashes).unwrap();
    }
    runtime.shutdown().await;
}

#[tokio::test]
async fn what_a_process_could_not_hand_over_the_next_one_does() {
    let mut witness = Witness::away();
    let mut first = served(&witness).await;
    first.research().await;
    let (key, missed) = newest(&first).await;
    first.terminate();
    assert_eq!(first.ended().await, Some(0), "a witness that is away keeps nobody from ending");
    witness.change(Manner::Status(200));
    let environment = witness.environment();
    let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let second = Served::start_over(&environment, first.data.path()).await;
    until("it gets what it missed", async || witness.newest(&key).is_some_and(|kept| kept.size >= missed.size)).await;
    let again = witness.kept().last().unwrap().headers["idempotency-key"].clone();
    drop(second);

    // What it has already comes under the same key, so that it need not be kept twice.
    let before = witness.kept().len();
    let _third = Served::start_over(&environment, first.data.path()).await;
    until("the newest is told anew", async || witness.kept().len() > before).await;
    assert_eq!(witness.kept()[before].headers["idempotency-key"], again);
}
