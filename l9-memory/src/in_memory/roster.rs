//! What the nodes of one process say of themselves.

use std::time::Duration;

use async_trait::async_trait;
use l9_core::Result;
use l9_core::node::{FORGOTTEN, Node, Presence, Roster};
use l9_core::time::Timestamp;

use super::store::Store;

/// What a node said, and when on the monotonic clock.
pub(super) struct Said {
    presence: Presence,
    started_at: Timestamp,
    seen_at: Timestamp,
    at: Duration,
}

#[async_trait]
impl Roster for Store {
    async fn say(&self, presence: &Presence) -> Result<()> {
        let (now, at) = (self.clock.now(), self.clock.monotonic());
        let nodes = &mut self.state().nodes;
        nodes.retain(|_, said| at.saturating_sub(said.at) < FORGOTTEN);
        let started_at = nodes.get(&presence.owner).map_or(now, |said| said.started_at);
        let said = Said { presence: presence.clone(), started_at, seen_at: now, at };
        nodes.insert(presence.owner.clone(), said);
        Ok(())
    }

    async fn leave(&self, owner: &str) -> Result<()> {
        self.state().nodes.remove(owner);
        Ok(())
    }

    async fn nodes(&self) -> Result<Vec<Node>> {
        let now = self.clock.monotonic();
        let node = |said: &Said| Node {
            presence: said.presence.clone(),
            started_at: said.started_at,
            seen_at: said.seen_at,
            silent: now.saturating_sub(said.at),
        };
        let mut nodes: Vec<Node> = self.state().nodes.values().map(node).collect();
        nodes.sort_by(|one, other| {
            let key = |node: &Node| (node.presence.name.clone(), node.started_at, node.presence.owner.clone());
            key(one).cmp(&key(other))
        });
        Ok(nodes)
    }
}
