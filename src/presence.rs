//! What this process says to other nodes and hears of them: that it is there, and which runs
//! have something new.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use l9_core::Result;
use l9_core::kernel::Engine;
use l9_core::node::{BEAT, Node, Presence, Roles, Roster};

use crate::runtime::Runtime;

impl Runtime {
    /// Says which roles this process has and where it listens, now and every few seconds
    /// until it shuts down.
    pub async fn appear(&self, roles: Roles, address: Option<String>) {
        let mut presence = Presence {
            name: self.inner.settings.node.clone(),
            owner: self.inner.engine.owner().to_owned(),
            roles,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            address,
            runs: 0,
        };
        let (roster, engine) = (Arc::clone(&self.inner.roster), self.inner.engine.clone());
        self.inner.appeared.store(true, Ordering::SeqCst);
        let heard = say(&*roster, &engine, &mut presence, true).await;
        self.inner.endless.lock().await.push(tokio::spawn(keep_saying(roster, engine, presence, heard)));
    }

    /// Says that this process goes away, if it ever said that it is there.
    pub(crate) async fn disappear(&self) {
        if !self.inner.appeared.swap(false, Ordering::SeqCst) {
            return;
        }
        if let Err(error) = self.inner.roster.leave(self.inner.engine.owner()).await {
            tracing::warn!(%error, "this node is shown as away for a day: it could not say that it goes");
        }
    }

    /// Hears the hints of other nodes from now on, and gives them its own, if there is a Redis
    /// server; without one, what other nodes do is seen by looking. A process that was started
    /// does so already.
    pub async fn listen(&self) {
        let Some(relay) = self.inner.relay.clone() else { return };
        if self.inner.listening.swap(true, Ordering::SeqCst) {
            return;
        }
        self.inner.endless.lock().await.push(tokio::spawn(async move { relay.run().await }));
    }

    /// Gives the last hints.
    pub(crate) async fn fall_silent(&self) {
        if let Some(relay) = &self.inner.relay {
            relay.part().await;
        }
    }

    /// The processes that serve this store, and those of the last day that were not heard of
    /// since.
    ///
    /// # Errors
    /// `Unavailable` from the store.
    pub async fn nodes(&self) -> Result<Vec<Node>> {
        self.inner.roster.nodes().await
    }
}

async fn keep_saying(roster: Arc<dyn Roster>, engine: Engine, mut presence: Presence, mut heard: bool) {
    loop {
        engine.parts().clock.sleep(BEAT).await;
        heard = say(&*roster, &engine, &mut presence, heard).await;
    }
}

/// Says once what is so now, and whether it was heard; `heard` is whether the last time was, so
/// that a store that is away is told of once.
async fn say(roster: &dyn Roster, engine: &Engine, presence: &mut Presence, heard: bool) -> bool {
    presence.runs = engine.under_way() as u64;
    let said = roster.say(presence).await;
    if let Err(error) = &said
        && heard
    {
        tracing::warn!(%error, "this node could not say that it is there");
    }
    said.is_ok()
}
