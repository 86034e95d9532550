//! What every task queue must do.

use std::sync::Arc;
use std::time::Duration;

use super::steps::sleep;
use crate::ErrorKind;
use crate::entropy::SeededEntropy;
use crate::id::{RunId, TenantId};
use crate::queue::{Claim, Depth, Finished, Task, TaskQueue};
use crate::time::{Clock, SystemClock, Timestamp};

/// How the queue of a case is set.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The most tasks in it.
    pub capacity: usize,
    /// The most tasks of one tenant that are claimed at a time.
    pub tenant_claims: usize,
    /// The most claims of all tenants in a period; 0 is no limit.
    pub rate_claims: u64,
    /// The most claims of one tenant in a period; 0 is no limit.
    pub tenant_rate_claims: u64,
    /// The period of both.
    pub rate_period: Duration,
    /// The first retry's delay; later ones take twice as long each.
    pub backoff: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            capacity: 100_000,
            tenant_claims: 100_000,
            rate_claims: 0,
            tenant_rate_claims: 0,
            rate_period: Duration::from_secs(1),
            backoff: Duration::from_millis(1),
        }
    }
}

/// Every case, each with an empty queue of its own.
pub async fn all(make: &dyn Fn(Bounds) -> Arc<dyn TaskQueue>) {
    greater_priority_goes_first_and_equals_in_order(&*make(Bounds::default())).await;
    a_full_queue_refuses_and_a_known_run_does_not_count_twice(&*make(Bounds { capacity: 1, ..Bounds::default() }))
        .await;
    a_delay_is_waited_for_and_can_be_brought_forward(&*make(Bounds::default())).await;
    a_run_waits_once_and_keeps_its_place(&*make(Bounds::default())).await;
    what_is_enqueued_while_claimed_goes_again_and_stale_fences_change_nothing(&*make(Bounds::default())).await;
    retries_back_off_and_count_failed_attempts(&*make(Bounds::default())).await;
    a_waiting_task_can_be_removed_and_a_claimed_one_not(&*make(Bounds::default())).await;
    tenants_take_turns(&*make(Bounds::default())).await;
    a_tenant_has_no_more_claims_than_it_may(&*make(Bounds { tenant_claims: 2, ..Bounds::default() })).await;
    all_claims_keep_to_the_rate(&*make(Bounds { rate_claims: 2, ..Bounds::default() })).await;
    a_tenant_keeps_to_its_rate_and_holds_nobody_up(&*make(Bounds { tenant_rate_claims: 2, ..Bounds::default() })).await;
    whoever_is_held_back_is_claimed_as_soon_as_it_may_be(&*make(Bounds { tenant_rate_claims: 1, ..Bounds::default() }))
        .await;
    let both = Bounds { rate_claims: 3, tenant_rate_claims: 1, ..Bounds::default() };
    both_rates_hold_at_once(&*make(both)).await;
    nobody_claims_from_a_paused_queue(&*make(Bounds::default())).await;
    depth_is_told_by_tenant_and_with_the_oldest(&*make(Bounds::default())).await;
    whoever_waits_is_woken(make(Bounds::default())).await;
}

/// The task of a number, of the tenant `default`.
#[must_use]
pub fn task(n: u64, priority: i32) -> Task {
    task_of("default", n, priority)
}

/// The task of a number.
#[must_use]
pub fn task_of(tenant: &str, n: u64, priority: i32) -> Task {
    let run = RunId::generate(Timestamp::EPOCH, &SeededEntropy::new(n), tenant);
    Task { tenant: TenantId::new(tenant).expect("a tenant"), run, priority }
}

/// The next claim, within a few seconds.
pub async fn next(queue: &dyn TaskQueue) -> Claim {
    within(queue, Duration::from_secs(5)).await.expect("there is something to claim")
}

async fn within(queue: &dyn TaskQueue, wait: Duration) -> Option<Claim> {
    tokio::select! {
        claim = queue.claim() => claim,
        () = sleep(wait) => None,
    }
}

async fn add(queue: &dyn TaskQueue, task: Task) {
    queue.enqueue(task, Duration::ZERO).await.expect("enqueued");
}

async fn depth(queue: &dyn TaskQueue) -> Depth {
    Depth { oldest: None, ..queue.depth(None).await.expect("asked") }
}

async fn is_quiet(queue: &dyn TaskQueue) -> bool {
    within(queue, Duration::from_millis(60)).await.is_none()
}

/// Also after negative ones.
pub async fn greater_priority_goes_first_and_equals_in_order(queue: &dyn TaskQueue) {
    for (n, priority) in [(1, 0), (2, 5), (3, 0), (4, 5), (5, i32::MAX), (6, i32::MIN), (7, -1)] {
        add(queue, task(n, priority)).await;
    }
    for n in [5, 2, 4, 1, 3, 7, 6] {
        assert_eq!(next(queue).await.task.run, task(n, 0).run);
    }
}

/// What is refused stays in the journal.
pub async fn a_full_queue_refuses_and_a_known_run_does_not_count_twice(queue: &dyn TaskQueue) {
    add(queue, task(1, 0)).await;
    add(queue, task(1, 3)).await;
    let refused = queue.enqueue(task(2, 0), Duration::ZERO).await.expect_err("it is full");
    assert_eq!(refused.kind(), ErrorKind::Exhausted);
    let claim = next(queue).await;
    assert_eq!(claim.task.priority, 3);
    assert!(queue.enqueue(task(2, 0), Duration::ZERO).await.is_err(), "what is claimed counts");
    assert!(queue.finish(claim, Finished::Done).await);
    add(queue, task(2, 0)).await;
}

/// The earlier time wins.
pub async fn a_delay_is_waited_for_and_can_be_brought_forward(queue: &dyn TaskQueue) {
    let clock = SystemClock::default();
    let begun = clock.monotonic();
    queue.enqueue(task(1, 0), Duration::from_millis(150)).await.expect("enqueued");
    queue.enqueue(task(2, 0), Duration::from_secs(3600)).await.expect("enqueued");
    queue.enqueue(task(1, 0), Duration::from_secs(60)).await.expect("enqueued");
    assert_eq!(depth(queue).await.delayed, 2);
    assert_eq!(next(queue).await.task.run, task(1, 0).run);
    let waited = clock.monotonic() - begun;
    assert!(waited >= Duration::from_millis(140), "it was claimed after {waited:?}");
    add(queue, task(2, 0)).await;
    assert_eq!(next(queue).await.task.run, task(2, 0).run);
}

/// Whoever asks again is not sent to the end.
pub async fn a_run_waits_once_and_keeps_its_place(queue: &dyn TaskQueue) {
    for n in 1..=3 {
        add(queue, task(n, 0)).await;
    }
    add(queue, task(1, 0)).await;
    add(queue, task(3, 4)).await;
    add(queue, task(3, -4)).await;
    assert_eq!(depth(queue).await.ready, 3);
    let order = [next(queue).await, next(queue).await, next(queue).await].map(|claim| claim.task);
    assert_eq!(order, [task(3, 4), task(1, 0), task(2, 0)]);
    assert!(is_quiet(queue).await);
}

/// A claim is answered once.
pub async fn what_is_enqueued_while_claimed_goes_again_and_stale_fences_change_nothing(queue: &dyn TaskQueue) {
    add(queue, task(1, 0)).await;
    let first = next(queue).await;
    add(queue, task(1, 0)).await;
    assert!(is_quiet(queue).await, "it is in somebody's hands");
    assert!(queue.finish(first.clone(), Finished::Done).await);
    let second = next(queue).await;
    assert!(second.fence > first.fence);
    assert_eq!(second.attempt, 1, "the first was done");
    let held = depth(queue).await;
    assert!(!queue.finish(first.clone(), Finished::Done).await, "an old fence must not acknowledge");
    assert!(!queue.finish(first, Finished::Retry { after: None }).await);
    assert_eq!(depth(queue).await, held);
    assert!(queue.finish(second.clone(), Finished::Done).await);
    assert!(!queue.finish(second, Finished::Done).await, "an acknowledgement that is delivered twice");
    assert_eq!(depth(queue).await, Depth::default());
}

/// A wait that was asked for is no failure.
pub async fn retries_back_off_and_count_failed_attempts(queue: &dyn TaskQueue) {
    let clock = SystemClock::default();
    add(queue, task(1, 0)).await;
    for attempt in 1..=6 {
        let claim = next(queue).await;
        assert_eq!(claim.attempt, attempt);
        assert!(queue.finish(claim, Finished::Retry { after: None }).await);
    }
    let begun = clock.monotonic();
    let claim = next(queue).await;
    let waited = clock.monotonic() - begun;
    assert!(waited >= Duration::from_millis(8), "the sixth retry waits 16 to 32 ms, not {waited:?}");
    let after = Some(Duration::from_millis(1));
    assert!(queue.finish(claim, Finished::Retry { after }).await);
    assert_eq!(next(queue).await.attempt, 1);
}

/// The run of a claimed one is cancelled through its journal.
pub async fn a_waiting_task_can_be_removed_and_a_claimed_one_not(queue: &dyn TaskQueue) {
    add(queue, task(1, 0)).await;
    queue.enqueue(task(2, 0), Duration::from_secs(60)).await.expect("enqueued");
    assert!(queue.remove(task(1, 0).run).await && queue.remove(task(2, 0).run).await);
    assert!(!queue.remove(task(1, 0).run).await);
    add(queue, task(1, 0)).await;
    let claim = next(queue).await;
    assert!(!queue.remove(task(1, 0).run).await);
    assert!(queue.finish(claim, Finished::Done).await);
    assert_eq!(depth(queue).await, Depth::default());
}

/// A crowd of one tenant, of whatever priority, keeps no other waiting.
pub async fn tenants_take_turns(queue: &dyn TaskQueue) {
    for n in 0..50 {
        add(queue, task_of("crowd", n, 9)).await;
    }
    for n in 0..3 {
        add(queue, task_of("crow", n, 0)).await;
        add(queue, task_of("few", n, -1)).await;
    }
    let mut turns = Vec::new();
    for _ in 0..9 {
        let claim = next(queue).await;
        turns.push(claim.task.tenant.to_string());
        assert!(queue.finish(claim, Finished::Done).await);
    }
    for round in turns.chunks(3) {
        let mut round = round.to_vec();
        round.sort();
        assert_eq!(round, ["crow", "crowd", "few"]);
    }
    // Who comes later is next after those that wait.
    add(queue, task_of("late", 0, 0)).await;
    let both = [next(queue).await.task.tenant, next(queue).await.task.tenant];
    assert!(both.iter().any(|tenant| tenant.as_str() == "late"), "{both:?}");
}

/// Others go on meanwhile, and what is finished makes room.
pub async fn a_tenant_has_no_more_claims_than_it_may(queue: &dyn TaskQueue) {
    for n in 0..4 {
        add(queue, task_of("greedy", n, 0)).await;
    }
    let held = [next(queue).await, next(queue).await];
    assert!(is_quiet(queue).await, "two are claimed");
    add(queue, task_of("modest", 0, 0)).await;
    assert_eq!(next(queue).await.task.tenant.as_str(), "modest");
    let [first, second] = held;
    assert!(queue.finish(first, Finished::Done).await);
    let third = next(queue).await;
    assert_eq!(third.task.tenant.as_str(), "greedy");
    assert!(is_quiet(queue).await);
    assert!(queue.finish(second, Finished::Retry { after: Some(Duration::from_secs(60)) }).await);
    assert_eq!(next(queue).await.task.tenant.as_str(), "greedy");
}

/// After a quiet period all at once, then one after another; what waits is neither lost nor tried.
pub async fn all_claims_keep_to_the_rate(queue: &dyn TaskQueue) {
    let clock = SystemClock::default();
    let begun = clock.monotonic();
    for n in 0..4 {
        add(queue, task_of(if n % 2 == 0 { "one" } else { "two" }, n, 0)).await;
    }
    for n in 0..2 {
        let claim = next(queue).await;
        assert_eq!(claim.attempt, 1, "claim {n}");
        assert!(queue.finish(claim, Finished::Done).await);
    }
    assert!(is_quiet(queue).await, "two were claimed");
    assert_eq!(depth(queue).await.ready, 2);
    for (n, least) in [(2, 490), (3, 990)] {
        let claim = next(queue).await;
        assert_eq!(claim.attempt, 1, "claim {n}");
        let waited = clock.monotonic() - begun;
        assert!(waited >= Duration::from_millis(least), "claim {n} was made after {waited:?}");
        assert!(queue.finish(claim, Finished::Done).await);
    }
    assert_eq!(depth(queue).await, Depth::default());
}

/// Also one that has nothing left in the meantime.
pub async fn a_tenant_keeps_to_its_rate_and_holds_nobody_up(queue: &dyn TaskQueue) {
    let clock = SystemClock::default();
    let begun = clock.monotonic();
    for n in 0..2 {
        add(queue, task_of("greedy", n, 9)).await;
        let claim = next(queue).await;
        assert!(queue.finish(claim, Finished::Done).await);
    }
    add(queue, task_of("greedy", 2, 9)).await;
    assert!(is_quiet(queue).await, "two were claimed");
    for n in 0..2 {
        add(queue, task_of("modest", n, 0)).await;
        assert_eq!(next(queue).await.task.tenant.as_str(), "modest");
    }
    add(queue, task_of("greedy", 3, 9)).await;
    assert!(queue.remove(task_of("greedy", 3, 9).run).await);
    let claim = next(queue).await;
    let waited = clock.monotonic() - begun;
    assert!(waited >= Duration::from_millis(490), "it was claimed after {waited:?}");
    assert_eq!((claim.task, claim.attempt), (task_of("greedy", 2, 9), 1));
}

/// The queue says when to look again: nobody has to be woken.
pub async fn whoever_is_held_back_is_claimed_as_soon_as_it_may_be(queue: &dyn TaskQueue) {
    let clock = SystemClock::default();
    for n in 0..2 {
        add(queue, task(n, 0)).await;
    }
    next(queue).await;
    let begun = clock.monotonic();
    next(queue).await;
    let waited = clock.monotonic() - begun;
    assert!((Duration::from_millis(900)..Duration::from_millis(1_500)).contains(&waited), "{waited:?}");
}

/// Neither bound keeps the other from being seen: here a tenant is let go while the rate of all
/// still holds everybody back.
pub async fn both_rates_hold_at_once(queue: &dyn TaskQueue) {
    let clock = SystemClock::default();
    let begun = clock.monotonic();
    for n in 0..2 {
        add(queue, task_of("held", n, 0)).await;
    }
    next(queue).await;
    assert!(is_quiet(queue).await, "one of a tenant was claimed");
    sleep(Duration::from_millis(900).saturating_sub(clock.monotonic() - begun)).await;
    for tenant in ["one", "two", "three"] {
        add(queue, task_of(tenant, 0, 0)).await;
        assert_eq!(next(queue).await.task.tenant.as_str(), tenant);
    }
    assert_eq!(next(queue).await.task, task_of("held", 1, 0));
    let waited = clock.monotonic() - begun;
    assert!(waited >= Duration::from_millis(1_200), "it was claimed after {waited:?}");
}

/// What is claimed can be finished.
pub async fn nobody_claims_from_a_paused_queue(queue: &dyn TaskQueue) {
    add(queue, task(1, 0)).await;
    let claim = next(queue).await;
    queue.pause(true).await.expect("paused");
    assert!(depth(queue).await.paused);
    add(queue, task(2, 0)).await;
    assert!(queue.finish(claim, Finished::Done).await);
    assert!(is_quiet(queue).await);
    queue.pause(false).await.expect("resumed");
    assert_eq!(next(queue).await.task.run, task(2, 0).run);
    assert!(!depth(queue).await.paused);
}

/// Nobody sees how much others have.
pub async fn depth_is_told_by_tenant_and_with_the_oldest(queue: &dyn TaskQueue) {
    assert_eq!(queue.depth(None).await.expect("asked"), Depth::default());
    for n in 0..3 {
        add(queue, task_of("one", n, 0)).await;
    }
    queue.enqueue(task_of("one", 3, 0), Duration::from_secs(60)).await.expect("enqueued");
    sleep(Duration::from_millis(30)).await;
    add(queue, task_of("two", 0, 0)).await;
    next(queue).await;
    let of = async |tenant: &str| {
        let tenant = TenantId::new(tenant).expect("a tenant");
        queue.depth(Some(&tenant)).await.expect("asked")
    };
    assert_eq!(of("one").await, Depth { ready: 2, delayed: 1, claimed: 1, ..Depth::default() });
    assert_eq!(of("two").await, Depth { ready: 1, ..Depth::default() });
    assert_eq!(of("on").await, Depth::default());
    let all = queue.depth(None).await.expect("asked");
    assert_eq!((all.ready, all.delayed, all.claimed, all.paused), (3, 1, 1, false));
    assert!(all.oldest.expect("some wait") >= Duration::from_millis(25), "{all:?}");
}

/// At once, not with the next look; and closing ends the wait.
pub async fn whoever_waits_is_woken(queue: Arc<dyn TaskQueue>) {
    let clock = SystemClock::default();
    let waiting = tokio::spawn({
        let queue = Arc::clone(&queue);
        async move { (queue.claim().await, queue.claim().await) }
    });
    // Long enough for a connection to be made.
    sleep(Duration::from_millis(200)).await;
    let begun = clock.monotonic();
    add(&*queue, task(1, 0)).await;
    while depth(&*queue).await.claimed == 0 {
        sleep(Duration::from_millis(1)).await;
        assert!(clock.monotonic() - begun < Duration::from_millis(500), "nobody woke up");
    }
    queue.close();
    let (first, second) = waiting.await.expect("it ended");
    assert_eq!(first.map(|claim| claim.task), Some(task(1, 0)));
    assert_eq!(second, None);
}
