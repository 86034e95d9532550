//! What every roster of nodes must do.

use crate::node::{Node, Presence, Role, Roles, Roster};

/// Every case.
pub async fn all(roster: &dyn Roster) {
    what_a_node_said_last_is_shown(roster).await;
    a_node_that_leaves_is_shown_no_more(roster).await;
}

fn presence(name: &str, owner: &str) -> Presence {
    let roles: Roles = [Role::Api, Role::Worker].into_iter().collect();
    Presence { name: name.into(), owner: owner.into(), roles, version: "0.1.0".into(), address: None, runs: 0 }
}

/// The nodes whose name begins with the case's own.
async fn shown(roster: &dyn Roster, case: &str) -> Vec<Node> {
    let all = roster.nodes().await.expect("read");
    all.into_iter().filter(|node| node.presence.name.starts_with(case)).collect()
}

async fn what_a_node_said_last_is_shown(roster: &dyn Roster) {
    let (second, first) = (presence("said-b", "said/2"), presence("said-a", "said/1"));
    roster.say(&second).await.expect("said");
    roster.say(&first).await.expect("said");
    let before = shown(roster, "said-").await;
    let names: Vec<_> = before.iter().map(|node| node.presence.clone()).collect();
    assert_eq!(names, [first.clone(), second], "in the order of names");
    assert!(before.iter().all(|node| !node.is_away() && node.started_at <= node.seen_at), "{before:?}");

    let later = Presence { runs: 3, address: Some("127.0.0.1:8000".into()), ..first };
    roster.say(&later).await.expect("said again");
    let after = shown(roster, "said-").await;
    assert_eq!((after.len(), &after[0].presence), (2, &later), "one row for each process");
    assert_eq!(after[0].started_at, before[0].started_at, "it began when it first said something");
    assert!(after[0].seen_at >= before[0].seen_at);

    // Another process of the same name is another node.
    roster.say(&presence("said-a", "said/3")).await.expect("said");
    assert_eq!(shown(roster, "said-a").await.len(), 2);
}

async fn a_node_that_leaves_is_shown_no_more(roster: &dyn Roster) {
    roster.say(&presence("left-a", "left/1")).await.expect("said");
    roster.say(&presence("left-b", "left/2")).await.expect("said");
    roster.leave("left/1").await.expect("left");
    roster.leave("left/1").await.expect("left twice");
    let left: Vec<_> = shown(roster, "left-").await.into_iter().map(|node| node.presence.owner).collect();
    assert_eq!(left, ["left/2"]);
}
