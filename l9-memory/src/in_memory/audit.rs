//! The tree over the records of this process. A record's leaf is its place in the log.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use l9_core::digest::Digest;
use l9_core::evidence::{AuditLog, Entry, Extension, Lead, SignedCheckpoint, SignedHorizon, Tile, TileId};
use l9_core::id::{RunId, TenantId};
use l9_core::{Error, Result};

use super::store::{State, Store};
use crate::check;

/// What is kept of the tree.
#[derive(Debug, Default)]
pub(super) struct Tree {
    size: u64,
    signer: Option<String>,
    epoch: u64,
    lease: Option<(String, Duration)>,
    tiles: BTreeMap<TileId, Vec<Digest>>,
    checkpoints: BTreeMap<u64, SignedCheckpoint>,
    horizons: BTreeMap<TenantId, SignedHorizon>,
    statements: Vec<String>,
}

impl Tree {
    /// Keeps a statement.
    pub(super) fn keep(&mut self, note: &str) {
        self.statements.push(note.to_owned());
    }
}

impl State {
    /// Logged records from a place on. `shift` is what their positions begin with.
    fn logged(&self, from: usize, limit: usize, shift: u64) -> Result<Vec<Entry>> {
        let logged = self.log.iter().enumerate().skip(from).take(limit);
        logged
            .map(|(at, (tenant, run, seq))| {
                let hash = self.hash(tenant, *run, *seq);
                let hash = hash.ok_or_else(|| Error::internal("the log names a record that is not kept"))?;
                Ok(Entry { position: at as u64 + shift, tenant: tenant.clone(), run: *run, seq: *seq, hash })
            })
            .collect()
    }
}

fn place(at: u64) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

#[async_trait]
impl AuditLog for Store {
    async fn lead(&self, owner: &str, signer: &str, ttl: Duration) -> Result<Option<Lead>> {
        let now = self.clock.monotonic();
        let tree = &mut self.state().tree;
        let mine = tree.lease.as_ref().is_some_and(|(holder, _)| holder == owner);
        if ttl.is_zero() {
            tree.lease = tree.lease.take().filter(|_| !mine);
            return Ok(None);
        }
        if let Some(bound) = tree.signer.as_ref().filter(|bound| *bound != signer) {
            return Err(check::other_signer(bound, signer));
        }
        if !mine && tree.lease.as_ref().is_some_and(|(_, until)| *until > now) {
            return Ok(None);
        }
        tree.signer = Some(signer.to_owned());
        tree.epoch += u64::from(!mine);
        tree.lease = Some((owner.to_owned(), now.saturating_add(ttl)));
        Ok(Some(Lead { epoch: tree.epoch, size: tree.size }))
    }

    async fn pending(&self, limit: usize) -> Result<Vec<Entry>> {
        let state = self.state();
        state.logged(place(state.tree.size), limit, 1)
    }

    async fn extend(&self, extension: Extension) -> Result<()> {
        let mut state = self.state();
        check::extends(&extension, state.tree.epoch, state.tree.size)?;
        let dense = (extension.from + 1..).zip(&extension.entries).all(|(position, entry)| entry.position == position);
        if !dense || extension.from + extension.entries.len() as u64 > state.log.len() as u64 {
            return Err(Error::internal("the leaves to be added are not those that wait"));
        }
        let tree = &mut state.tree;
        tree.size = extension.checkpoint.checkpoint.size;
        tree.tiles.extend(extension.tiles);
        tree.checkpoints.insert(tree.size, extension.checkpoint);
        Ok(())
    }

    async fn tiles(&self, ids: &[TileId]) -> Result<Vec<Tile>> {
        let state = self.state();
        Ok(ids.iter().filter_map(|id| Some((*id, state.tree.tiles.get(id)?.clone()))).collect())
    }

    async fn covering(&self, size: u64) -> Result<Option<SignedCheckpoint>> {
        Ok(self.state().tree.checkpoints.range(size..).next().map(|(_, checkpoint)| checkpoint.clone()))
    }

    async fn newest(&self, limit: usize) -> Result<Vec<SignedCheckpoint>> {
        Ok(self.state().tree.checkpoints.values().rev().take(limit).cloned().collect())
    }

    async fn leaves_of(&self, tenant: &TenantId, run: RunId, from: u64, limit: usize) -> Result<Vec<u64>> {
        let state = self.state();
        let covered = state.log.iter().take(place(state.tree.size)).enumerate();
        let own = covered.filter(|(_, (owner, of, seq))| owner == tenant && *of == run && *seq >= from);
        Ok(own.map(|(leaf, _)| leaf as u64).take(limit).collect())
    }

    async fn entries(&self, from: u64, limit: usize) -> Result<Vec<Entry>> {
        let state = self.state();
        let left = place(state.tree.size.saturating_sub(from));
        state.logged(place(from), limit.min(left), 0)
    }

    async fn publish(&self, horizon: SignedHorizon) -> Result<()> {
        let horizons = &mut self.state().tree.horizons;
        let kept = horizons.entry(horizon.tenant.clone()).or_insert_with(|| horizon.clone());
        if kept.before < horizon.before {
            *kept = horizon;
        }
        Ok(())
    }

    async fn horizon(&self, tenant: &TenantId) -> Result<Option<SignedHorizon>> {
        Ok(self.state().tree.horizons.get(tenant).cloned())
    }

    async fn attest(&self, note: &str) -> Result<()> {
        self.state().tree.keep(note);
        Ok(())
    }

    async fn statements(&self) -> Result<Vec<String>> {
        Ok(self.state().tree.statements.clone())
    }
}
