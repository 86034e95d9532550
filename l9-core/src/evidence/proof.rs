//! Proofs out of a stored tree: which hashes, fetched from a few tiles.

use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;

use super::checkpoint::{Checkpoint, SignedCheckpoint};
use super::log::AuditLog;
use super::tile::{TileId, Tiles};
use super::tree::{consistency_path, inclusion_path, others};
use crate::digest::Digest;
use crate::{Error, Result};

/// That a record is in the tree of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InclusionProof {
    /// The record's leaf.
    pub leaf: u64,
    /// The hashes from the leaf up.
    pub hashes: Vec<Digest>,
}

/// That a tree begins with an older one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConsistencyProof {
    /// The older tree's size.
    pub from: u64,
    /// The older tree's root.
    pub root: Digest,
    /// The hashes (RFC 9162 section 2.1.4).
    pub hashes: Vec<Digest>,
}

/// Proves against one checkpoint; tiles that were read are kept.
#[derive(Debug)]
pub struct Prover {
    log: Arc<dyn AuditLog>,
    checkpoint: SignedCheckpoint,
    tiles: Tiles,
}

impl Prover {
    /// Proves against a checkpoint of the log.
    #[must_use]
    pub fn new(log: Arc<dyn AuditLog>, checkpoint: SignedCheckpoint) -> Self {
        Self { log, checkpoint, tiles: Tiles::default() }
    }

    /// What is proved against.
    #[must_use]
    pub fn checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }

    fn against(&self) -> &Checkpoint {
        &self.checkpoint.checkpoint
    }

    /// Proves that a leaf is in the tree.
    ///
    /// # Errors
    /// `NotFound` for a leaf beyond the checkpoint, `Corrupt` when tiles are missing.
    pub async fn inclusion(&mut self, leaf: u64) -> Result<InclusionProof> {
        let size = self.against().size;
        if leaf >= size {
            return Err(Error::not_found(format!("the tree of {size} has no leaf {leaf}")));
        }
        Ok(InclusionProof { leaf, hashes: self.hashes(&inclusion_path(leaf, size)).await? })
    }

    /// Proves that the tree begins with an older one.
    ///
    /// # Errors
    /// `Invalid` for a size beyond the checkpoint, `Corrupt` when tiles are missing.
    pub async fn consistency(&mut self, from: u64) -> Result<ConsistencyProof> {
        let size = self.against().size;
        if from > size {
            return Err(Error::invalid(format!("the tree has {size} leaves, not {from}: ask from an older size")));
        }
        let path = if from == 0 { Vec::new() } else { consistency_path(from, size) };
        let older = 0..from;
        let root = self.hashes(std::slice::from_ref(&older)).await?;
        Ok(ConsistencyProof { from, root: root[0], hashes: self.hashes(&path).await? })
    }

    /// What it takes besides these leaves, in rising order, to have the root.
    ///
    /// # Errors
    /// `Corrupt` when tiles are missing.
    pub async fn others(&mut self, leaves: &[u64]) -> Result<Vec<Digest>> {
        self.hashes(&others(self.against().size, leaves)).await
    }

    async fn hashes(&mut self, ranges: &[Range<u64>]) -> Result<Vec<Digest>> {
        let missing: Vec<TileId> = Tiles::of(ranges).into_iter().filter(|id| !self.tiles.has(id)).collect();
        if !missing.is_empty() {
            self.tiles.add(self.log.tiles(&missing).await?);
        }
        ranges.iter().map(|range| self.tiles.hash(range)).collect()
    }
}
