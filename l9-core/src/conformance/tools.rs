//! What every store of the changes of tools must do. The cases share one order of
//! changes, as all processes of a store do, so each begins at its end.

use std::sync::Arc;

use super::PlainVault;
use super::audit::Stores;
use crate::ErrorKind;
use crate::id::ToolId;
use crate::time::Timestamp;
use crate::tool::{Cause, ContractHash, Order, StoredToolChange, ToolChange, ToolLedger, ToolState};

/// Every case. The log is that of the same store.
pub async fn all(ledger: &Arc<dyn ToolLedger>, stores: &Stores) {
    changes_come_back_in_their_order(&**ledger).await;
    a_change_that_does_not_follow_is_refused_whole(&**ledger, stores).await;
    a_statement_is_kept_with_its_change(&**ledger, stores).await;
    deciders_that_compete_lose_nothing(ledger).await;
}

async fn end(ledger: &dyn ToolLedger) -> u64 {
    ledger.changes(0, usize::MAX).await.expect("read").last().map_or(0, |change| change.position)
}

fn change(position: u64, state: ToolState, reason: &str) -> StoredToolChange {
    let order =
        Order { cause: Cause::Decision, by: "person:ada".into(), reason: reason.into(), signer: None, manifest: None };
    let change = ToolChange {
        tool: ToolId::new("conformance/tool").expect("an id"),
        version: semver::Version::new(1, 0, position),
        contract: ContractHash::of(&position).expect("a contract"),
        state,
        at: Timestamp::from_millis(1_700_000_000_123),
        order,
    };
    let sealed = change.seal(&PlainVault, position).expect("sealed");
    assert_eq!(ToolChange::open(&PlainVault, &sealed).expect("opened"), change);
    let moved = StoredToolChange { state: ToolState::Offered, ..sealed.clone() };
    assert!(
        state == ToolState::Offered || ToolChange::open(&PlainVault, &moved).is_err(),
        "what is open is sealed too"
    );
    sealed
}

async fn changes_come_back_in_their_order(ledger: &dyn ToolLedger) {
    let from = end(ledger).await;
    let states = [ToolState::Offered, ToolState::Accepted, ToolState::Disabled, ToolState::Revoked];
    let written: Vec<_> = (from + 1..).zip(states).map(|(at, state)| change(at, state, "why")).collect();
    ledger.record(written[..1].to_vec(), Vec::new()).await.expect("one");
    ledger.record(written[1..].to_vec(), Vec::new()).await.expect("several");
    assert_eq!(ledger.changes(from, 100).await.expect("read"), written, "all");
    assert_eq!(ledger.changes(from + 1, 2).await.expect("read"), written[1..3], "some");
    assert_eq!(ledger.changes(from + 4, 100).await.expect("read"), [], "none");
}

async fn a_change_that_does_not_follow_is_refused_whole(ledger: &dyn ToolLedger, stores: &Stores) {
    let from = end(ledger).await;
    let statements = stores.log.statements().await.expect("read").len();
    let at = |position| change(position, ToolState::Accepted, "why");
    for wrong in [vec![at(from)], vec![at(from + 2)], vec![at(from + 1), at(from + 3)]] {
        let refused = ledger.record(wrong, vec!["note".to_owned()]).await.expect_err("does not follow");
        assert_eq!(refused.kind(), ErrorKind::Conflict);
    }
    assert_eq!(end(ledger).await, from, "nothing is written");
    assert_eq!(stores.log.statements().await.expect("read").len(), statements, "nor stated");
}

async fn a_statement_is_kept_with_its_change(ledger: &dyn ToolLedger, stores: &Stores) {
    let from = end(ledger).await;
    let note = format!("conformance {from}\n");
    ledger.record(vec![change(from + 1, ToolState::Revoked, "why")], vec![note.clone()]).await.expect("recorded");
    assert_eq!(stores.log.statements().await.expect("read").last(), Some(&note));
}

async fn deciders_that_compete_lose_nothing(ledger: &Arc<dyn ToolLedger>) {
    const EACH: usize = 5;
    let from = end(&**ledger).await;
    let tasks: Vec<_> = ["one", "two", "three"]
        .into_iter()
        .map(|name| {
            let ledger = Arc::clone(ledger);
            tokio::spawn(async move {
                for _ in 0..EACH {
                    loop {
                        let next = end(&*ledger).await + 1;
                        match ledger.record(vec![change(next, ToolState::Accepted, name)], Vec::new()).await {
                            Ok(()) => break,
                            Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
                        }
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a decider");
    }
    let written = ledger.changes(from, usize::MAX).await.expect("read");
    let positions: Vec<u64> = written.iter().map(|change| change.position).collect();
    assert_eq!(positions, (from + 1..=from + 15).collect::<Vec<_>>(), "dense");
    let of = |name: &str| {
        let opened = written.iter().map(|stored| ToolChange::open(&PlainVault, stored).expect("opened"));
        opened.filter(|change| change.order.reason == name).count()
    };
    assert_eq!(["one", "two", "three"].map(of), [EACH; 3], "nobody's is lost");
}
