//! The whole tree, rebuilt from the records in the database and held against what is
//! stored of it and against the newest checkpoint.

use std::sync::Arc;

use serde::Serialize;

use super::checkpoint::SignedCheckpoint;
use super::log::{AuditLog, Entry};
use super::note::VerifyingKey;
use super::records::{Fault, Report};
use super::tile::{Edge, TILE, TileId};
use super::tree::leaf_hash;
use crate::digest::Digest;
use crate::time::Timestamp;
use crate::{Error, Result};

/// What the tree is found to be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TreeReport {
    /// How many leaves the newest checkpoint covers.
    pub size: u64,
    /// Its root.
    pub root: Option<Digest>,
    /// When it was signed.
    pub at: Option<Timestamp>,
    /// The log.
    pub origin: Option<String>,
    /// What does not hold besides single records.
    pub faults: Vec<String>,
}

/// Rebuilds the tree from the records; adds what it finds to the report. A log that has
/// checkpoints and no key is a finding.
///
/// # Errors
/// When the log cannot be read at all.
pub async fn verify_tree(log: &Arc<dyn AuditLog>, key: Option<&VerifyingKey>, report: &mut Report) -> Result<()> {
    let mut tree = TreeReport::default();
    if let Some(newest) = log.newest(1).await?.pop() {
        rebuild(log, key, newest, report, &mut tree).await?;
    }
    report.tree = Some(tree);
    Ok(())
}

async fn rebuild(
    log: &Arc<dyn AuditLog>,
    key: Option<&VerifyingKey>,
    newest: SignedCheckpoint,
    report: &mut Report,
    tree: &mut TreeReport,
) -> Result<()> {
    let missing = || Error::not_found("the key that signed it is missing: restore its file from a backup");
    let opened = key.ok_or_else(missing).and_then(|key| SignedCheckpoint::open(key, &newest.note));
    let checkpoint = match opened {
        Ok(signed) => signed.checkpoint,
        Err(error) => {
            tree.faults.push(format!("the newest checkpoint: {error}"));
            newest.checkpoint
        }
    };
    (tree.size, tree.root, tree.at) = (checkpoint.size, Some(checkpoint.root), Some(checkpoint.at));
    tree.origin = Some(checkpoint.origin.clone());
    let mut edge = Edge::default();
    while edge.size() < checkpoint.size {
        let from = edge.size();
        let width = usize::try_from(checkpoint.size - from).unwrap_or(TILE).min(TILE);
        let leaves = match page(log, from, width, report).await {
            Ok(leaves) => leaves,
            Err(error) => {
                tree.faults.push(format!("leaves {from} to {} cannot be rebuilt: {error}", from + width as u64 - 1));
                return Ok(());
            }
        };
        edge.extend(leaves);
    }
    if edge.root() != checkpoint.root {
        tree.faults
            .push(format!("the records do not give the root of the newest checkpoint over {} leaves", checkpoint.size));
    }
    Ok(())
}

/// The leaves of one tile's records. Whichever is not what the stored tile says is named.
async fn page(log: &Arc<dyn AuditLog>, from: u64, width: usize, report: &mut Report) -> Result<Vec<Digest>> {
    let entries = log.entries(from, width).await?;
    let id = TileId { level: 0, index: from / TILE as u64 };
    let stored = log.tiles(&[id]).await?.pop().map(|(_, hashes)| hashes).unwrap_or_default();
    let mut leaves = Vec::with_capacity(width);
    let mut entries = entries.into_iter().peekable();
    for at in 0..width {
        let leaf = from + at as u64;
        let kept = stored.get(at);
        match entries.next_if(|entry| entry.position == leaf) {
            Some(entry) => {
                let hash = leaf_hash(&entry.hash);
                if kept != Some(&hash) {
                    report.faults.push(differs(&entry, leaf));
                }
                leaves.push(hash);
            }
            None => return Err(Error::corrupt(format!("the record of leaf {leaf} is missing"))),
        }
    }
    Ok(leaves)
}

fn differs(entry: &Entry, leaf: u64) -> Fault {
    Fault {
        tenant: entry.tenant.clone(),
        run_id: entry.run,
        seq: Some(entry.seq),
        what: format!("record {} of run {} is not the one whose hash is leaf {leaf} of the tree", entry.seq, entry.run),
    }
}
