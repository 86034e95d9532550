//! What every store of schedules must do.

use std::sync::Arc;

use crate::ErrorKind;
use crate::entropy::SystemEntropy;
use crate::id::{ScheduleId, TenantId};
use crate::schedule::{Moved, Schedules, SeriesId, StoredSchedule};
use crate::time::Timestamp;

/// Every case.
pub async fn all(store: &Arc<dyn Schedules>) {
    what_is_kept_comes_back(&**store).await;
    an_id_is_taken_once_in_a_tenant(&**store).await;
    pages_follow_the_ids(&**store).await;
    who_saw_an_older_one_moves_nothing(&**store).await;
    what_is_made_again_is_another(&**store).await;
    the_longest_due_comes_first_and_the_rest_not_at_all(&**store).await;
    of_many_who_move_one_wins(store).await;
}

fn tenant(name: &str) -> TenantId {
    TenantId::new(format!("schedules-{name}")).expect("a tenant")
}

fn id(name: &str) -> ScheduleId {
    ScheduleId::new(name).expect("an id")
}

fn new(tenant: &TenantId, name: &str, due_at: Option<i64>) -> StoredSchedule {
    let made = Timestamp::from_millis(1_700_000_000_123);
    StoredSchedule {
        tenant: tenant.clone(),
        id: id(name),
        series: SeriesId::generate(made, &SystemEntropy, name),
        version: 0,
        due_at: due_at.map(Timestamp::from_millis),
        created_at: made,
        definition: b"definition".to_vec(),
        state: b"state".to_vec(),
    }
}

fn moved(due_at: Option<i64>, state: &[u8]) -> Moved {
    Moved { due_at: due_at.map(Timestamp::from_millis), state: state.to_vec() }
}

async fn what_is_kept_comes_back(store: &dyn Schedules) {
    let tenant = tenant("kept");
    for kept in [new(&tenant, "daily", Some(7)), new(&tenant, "paused", None)] {
        store.create_schedule(kept.clone()).await.expect("created");
        assert_eq!(store.schedule(&tenant, &kept.id).await.expect("read"), Some(kept));
    }
    assert_eq!(store.schedule(&tenant, &id("weekly")).await.expect("read"), None);
    assert!(store.remove_schedule(&tenant, &id("daily")).await.expect("removed"));
    assert!(!store.remove_schedule(&tenant, &id("daily")).await.expect("gone"));
    assert_eq!(store.schedule(&tenant, &id("daily")).await.expect("read"), None);
}

async fn an_id_is_taken_once_in_a_tenant(store: &dyn Schedules) {
    let (one, other) = (tenant("one"), tenant("other"));
    let first = new(&one, "daily", Some(7));
    store.create_schedule(first.clone()).await.expect("created");
    let again = store.create_schedule(new(&one, "daily", Some(8))).await.expect_err("taken");
    assert_eq!(again.kind(), ErrorKind::Conflict);
    assert!(again.to_string().contains("daily"), "{again}");
    assert_eq!(store.schedule(&one, &id("daily")).await.expect("read"), Some(first), "the first stays");
    store.create_schedule(new(&other, "daily", Some(9))).await.expect("another tenant's");
    assert!(store.remove_schedule(&other, &id("daily")).await.expect("removed"));
    assert!(store.schedule(&one, &id("daily")).await.expect("read").is_some());
}

async fn pages_follow_the_ids(store: &dyn Schedules) {
    let tenant = tenant("pages");
    for name in ["c", "a", "b"] {
        store.create_schedule(new(&tenant, name, None)).await.expect("created");
    }
    let page = |found: Vec<StoredSchedule>| found.iter().map(|found| found.id.to_string()).collect::<Vec<_>>();
    assert_eq!(page(store.schedules(&tenant, None, 2).await.expect("read")), ["a", "b"]);
    assert_eq!(page(store.schedules(&tenant, Some(&id("b")), 2).await.expect("read")), ["c"]);
}

async fn who_saw_an_older_one_moves_nothing(store: &dyn Schedules) {
    let tenant = tenant("moved");
    let first = new(&tenant, "daily", Some(7));
    store.create_schedule(first.clone()).await.expect("created");
    assert!(store.move_schedule(&first, moved(Some(8), b"second")).await.expect("moved"));
    let second = StoredSchedule {
        version: 1,
        due_at: Some(Timestamp::from_millis(8)),
        state: b"second".to_vec(),
        ..first.clone()
    };
    assert_eq!(store.schedule(&tenant, &first.id).await.expect("read"), Some(second.clone()));
    assert!(!store.move_schedule(&first, moved(Some(9), b"late")).await.expect("refused"));
    assert_eq!(store.schedule(&tenant, &first.id).await.expect("read"), Some(second.clone()));
    assert!(store.move_schedule(&second, moved(None, b"third")).await.expect("moved"));
    let third = store.schedule(&tenant, &first.id).await.expect("read").expect("there");
    assert_eq!((third.version, third.due_at), (2, None));
}

async fn what_is_made_again_is_another(store: &dyn Schedules) {
    let tenant = tenant("again");
    let first = new(&tenant, "daily", Some(7));
    store.create_schedule(first.clone()).await.expect("created");
    assert!(store.remove_schedule(&tenant, &first.id).await.expect("removed"));
    assert!(!store.move_schedule(&first, moved(Some(8), b"late")).await.expect("gone"));
    store.create_schedule(new(&tenant, "daily", Some(7))).await.expect("made again");
    assert!(!store.move_schedule(&first, moved(Some(8), b"late")).await.expect("another series"));
}

async fn the_longest_due_comes_first_and_the_rest_not_at_all(store: &dyn Schedules) {
    let (one, other) = (tenant("due"), tenant("due-too"));
    // Long before what other cases have.
    for (tenant, name, due) in
        [(&one, "b", Some(-30)), (&other, "a", Some(-50)), (&one, "c", Some(-40)), (&one, "d", None)]
    {
        store.create_schedule(new(tenant, name, due)).await.expect("created");
    }
    let found = store.due_schedules(Timestamp::from_millis(-40), 9).await.expect("read");
    let mine = found.iter().filter(|found| found.tenant == one || found.tenant == other);
    assert_eq!(mine.map(|found| found.id.as_str()).collect::<Vec<_>>(), ["a", "c"]);
    assert_eq!(store.due_schedules(Timestamp::from_millis(-30), 1).await.expect("read")[0].id.as_str(), "a");
}

async fn of_many_who_move_one_wins(store: &Arc<dyn Schedules>) {
    const EACH: u64 = 10;
    let tenant = tenant("race");
    let first = new(&tenant, "daily", Some(7));
    store.create_schedule(first.clone()).await.expect("created");
    let movers: Vec<_> = (0..4)
        .map(|_| {
            let (store, tenant, id) = (Arc::clone(store), tenant.clone(), first.id.clone());
            tokio::spawn(async move {
                let mut won = 0;
                while won < EACH {
                    let seen = store.schedule(&tenant, &id).await.expect("read").expect("there");
                    if store.move_schedule(&seen, moved(Some(7), b"state")).await.expect("moved") {
                        won += 1;
                    }
                }
            })
        })
        .collect();
    for mover in movers {
        mover.await.expect("a mover");
    }
    let last = store.schedule(&tenant, &first.id).await.expect("read").expect("there");
    assert_eq!(last.version, 4 * EACH, "each version was moved once");
}
