//! A node as it is shown, over HTTP and at the terminal alike.

use l9::node::{Node, Presence, Roles};
use l9::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

/// A process that serves the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct NodeShown {
    /// Its configured name.
    pub(crate) name: String,
    /// The process's own name, under which it owns leases.
    pub(crate) owner: String,
    /// `here`, or `away` if nothing was heard of it for ten seconds.
    pub(crate) state: &'static str,
    /// What it does.
    #[schemars(with = "Vec<String>")]
    pub(crate) roles: Roles,
    /// The version of L9 that it runs.
    pub(crate) version: String,
    /// Where it listens.
    pub(crate) address: Option<String>,
    /// When it came, by the store's clock.
    pub(crate) started_at: Timestamp,
    /// When it was last heard of, by the store's clock.
    pub(crate) seen_at: Timestamp,
    /// How many runs it advanced then.
    pub(crate) runs: u64,
}

impl From<Node> for NodeShown {
    fn from(node: Node) -> Self {
        let state = if node.is_away() { "away" } else { "here" };
        let Node { presence, started_at, seen_at, .. } = node;
        let Presence { name, owner, roles, version, address, runs } = presence;
        Self { name, owner, state, roles, version, address, started_at, seen_at, runs }
    }
}
