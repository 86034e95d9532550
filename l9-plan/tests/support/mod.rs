//! What the tests of both queues share.

use std::collections::BTreeSet;
use std::time::Duration;

use l9_core::conformance::queue::{Bounds, next, task, task_of};
use l9_core::id::RunId;
use l9_core::queue::{Claim, Finished, TaskQueue};
use l9_plan::Settings;
use proptest::prelude::*;

/// The settings of a case.
pub(crate) fn settings(bounds: Bounds) -> Settings {
    Settings {
        capacity: bounds.capacity,
        tenant_claims: bounds.tenant_claims,
        rate_claims: bounds.rate_claims,
        tenant_rate_claims: bounds.tenant_rate_claims,
        rate_ms: u64::try_from(bounds.rate_period.as_millis()).unwrap(),
        backoff_ms: u64::try_from(bounds.backoff.as_millis()).unwrap(),
        ..Settings::default()
    }
}

/// One of another tenant is next although it came after so many.
pub(crate) async fn a_crowd_keeps_nobody_waiting(queue: &dyn TaskQueue, crowd: u64) {
    for n in 0..crowd {
        queue.enqueue(task_of("crowd", n, 9), Duration::ZERO).await.unwrap();
    }
    let held = next(queue).await;
    queue.enqueue(task_of("alone", 0, -9), Duration::ZERO).await.unwrap();
    let both = [next(queue).await.task, next(queue).await.task];
    assert!(both.contains(&task_of("alone", 0, -9)), "{both:?}");
    assert!(queue.finish(held, Finished::Done).await);
    assert_eq!(queue.depth(None).await.unwrap().ready as u64, crowd - 2);
}

/// Steps of the property below: what to do, with which task, of which priority.
pub(crate) fn steps() -> impl Strategy<Value = Vec<(u8, u64, i32)>> {
    prop::collection::vec((0_u8..5, 0_u64..12, -2_i32..3), 1..120)
}

/// Every accepted task is claimed until it is done, none twice at once, none lost.
pub(crate) async fn none_is_lost_or_handed_out_twice(queue: &dyn TaskQueue, steps: Vec<(u8, u64, i32)>) {
    let (mut waiting, mut held): (BTreeSet<RunId>, Vec<Claim>) = (BTreeSet::new(), Vec::new());
    let mut again: BTreeSet<RunId> = BTreeSet::new();
    for (step, n, priority) in steps {
        let task = task(n, priority);
        match step {
            0 | 1 => {
                if held.iter().any(|claim| claim.task.run == task.run) {
                    again.insert(task.run);
                } else {
                    waiting.insert(task.run);
                }
                queue.enqueue(task, Duration::ZERO).await.unwrap();
            }
            2 if !waiting.is_empty() => {
                let claim = next(queue).await;
                assert!(waiting.remove(&claim.task.run), "handed out twice or unknown");
                held.push(claim);
            }
            3 if !held.is_empty() => {
                let claim = held.remove(usize::try_from(n).unwrap() % held.len());
                if again.remove(&claim.task.run) {
                    waiting.insert(claim.task.run);
                }
                assert!(queue.finish(claim, Finished::Done).await);
            }
            4 => assert_eq!(queue.remove(task.run).await, waiting.remove(&task.run)),
            _ => {}
        }
        let depth = queue.depth(None).await.unwrap();
        assert_eq!((depth.ready, depth.claimed, depth.delayed), (waiting.len(), held.len(), 0));
    }
}
