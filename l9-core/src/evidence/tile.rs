//! Tiles: the tree as it is stored, 256 hashes side by side.
//!
//! A tile of level 0 holds leaves, one of level 1 the roots of full tiles of level 0, and
//! so on. So a proof reads a few tiles whatever the tree's size, an extension writes those
//! at the right edge only, and a full tile never changes.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::tree::{node_hash, root_of};
use crate::digest::Digest;
use crate::{Error, Result};

/// Hashes of a full tile.
pub const TILE: usize = 256;

/// Levels of the tree that a tile spans.
const HEIGHT: u32 = TILE.ilog2();

/// Which tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    /// Zero for leaves.
    pub level: u8,
    /// Its place in its level, from the left.
    pub index: u64,
}

/// A subtree without a gap: its root stands `level` levels above the leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Node {
    level: u32,
    index: u64,
}

impl Node {
    fn tile(self) -> TileId {
        let level = u8::try_from(self.level / HEIGHT).unwrap_or(u8::MAX);
        TileId { level, index: self.first() / TILE as u64 }
    }

    /// Its first hash among those of its tile's level.
    fn first(self) -> u64 {
        self.index << (self.level % HEIGHT)
    }
}

/// The largest whole subtrees of a range of the tree, from left to right.
fn peaks(range: &Range<u64>) -> Vec<Node> {
    let mut at = range.start;
    let mut out = Vec::new();
    while let Some(level) = (range.end - at).checked_ilog2() {
        out.push(Node { level, index: at >> level });
        at += 1 << level;
    }
    out
}

/// Hashes side by side become the root of a subtree whose right edge is ragged.
fn fold(peaks: impl DoubleEndedIterator<Item = Digest>) -> Option<Digest> {
    peaks.rev().reduce(|right, left| node_hash(&left, &right))
}

/// Tiles in hand.
#[derive(Debug, Clone, Default)]
pub struct Tiles(BTreeMap<TileId, Vec<Digest>>);

impl Tiles {
    /// The tiles that the hashes of these ranges are in.
    #[must_use]
    pub fn of(ranges: &[Range<u64>]) -> Vec<TileId> {
        let ids: BTreeSet<TileId> = ranges.iter().flat_map(peaks).map(Node::tile).collect();
        ids.into_iter().collect()
    }

    /// Adds tiles, of which some may be wider than they were when they were asked for.
    pub fn add(&mut self, tiles: impl IntoIterator<Item = (TileId, Vec<Digest>)>) {
        self.0.extend(tiles);
    }

    /// Whether a tile is in hand.
    #[must_use]
    pub fn has(&self, id: &TileId) -> bool {
        self.0.contains_key(id)
    }

    /// The hash of a range of the tree.
    ///
    /// # Errors
    /// `Corrupt` when a tile is missing or too short.
    pub fn hash(&self, range: &Range<u64>) -> Result<Digest> {
        let hashes: Vec<Digest> = peaks(range).into_iter().map(|node| self.node(node)).collect::<Result<_>>()?;
        Ok(fold(hashes.into_iter()).unwrap_or_else(|| root_of(&[])))
    }

    fn node(&self, node: Node) -> Result<Digest> {
        let id = node.tile();
        let first = usize::try_from(node.first() % TILE as u64).unwrap_or(usize::MAX);
        let hashes = self.0.get(&id).and_then(|tile| tile.get(first..first + (1 << (node.level % HEIGHT))));
        let hashes = hashes.ok_or_else(|| {
            Error::corrupt(format!("tile {} of level {} of the audit tree is missing or too short", id.index, id.level))
        })?;
        Ok(root_of(hashes))
    }
}

/// The right edge of the tree: what it takes to add leaves and tell the root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    /// The hashes of the last tile of each level, if it is not full.
    levels: Vec<Vec<Digest>>,
}

impl Edge {
    /// The tiles at the edge of a tree of this size, from the leaves up.
    #[must_use]
    pub fn tiles(size: u64) -> Vec<TileId> {
        let mut ids = Vec::new();
        let (mut hashes, mut level) = (size, 0);
        while hashes > 0 {
            if !hashes.is_multiple_of(TILE as u64) {
                ids.push(TileId { level, index: hashes / TILE as u64 });
            }
            (hashes, level) = (hashes / TILE as u64, level + 1);
        }
        ids
    }

    /// The edge of a tree of this size, from the tiles named by [`Edge::tiles`].
    ///
    /// # Errors
    /// `Corrupt` when a tile is missing or not as wide as the size says.
    pub fn load(size: u64, tiles: &Tiles) -> Result<Self> {
        let mut levels = Vec::new();
        let (mut hashes, mut level) = (size, 0);
        while hashes > 0 {
            let id = TileId { level, index: hashes / TILE as u64 };
            let width = usize::try_from(hashes % TILE as u64).unwrap_or(TILE);
            let tile = tiles.0.get(&id).map_or(&[][..], Vec::as_slice);
            if tile.len() != width {
                return Err(Error::corrupt(format!(
                    "tile {} of level {level} of the audit tree has {} hashes, not {width}",
                    id.index,
                    tile.len()
                )));
            }
            levels.push(tile.to_vec());
            (hashes, level) = (hashes / TILE as u64, level + 1);
        }
        Ok(Self { size, levels })
    }

    /// How many leaves there are.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds leaves; gives every tile that changed, with all its hashes.
    pub fn extend(&mut self, leaves: impl IntoIterator<Item = Digest>) -> Vec<(TileId, Vec<Digest>)> {
        let mut changed: BTreeMap<TileId, Vec<Digest>> = BTreeMap::new();
        let mut highest = None;
        for leaf in leaves {
            let (mut hash, mut level) = (leaf, 0);
            let mut place = self.size;
            self.size += 1;
            loop {
                if self.levels.len() == level {
                    self.levels.push(Vec::new());
                }
                let tile = &mut self.levels[level];
                tile.push(hash);
                highest = highest.max(Some(level));
                if tile.len() < TILE {
                    break;
                }
                let id = TileId { level: u8::try_from(level).unwrap_or(u8::MAX), index: place / TILE as u64 };
                hash = root_of(tile);
                changed.insert(id, std::mem::take(tile));
                (place, level) = (place / TILE as u64, level + 1);
            }
        }
        for id in Self::tiles(self.size).into_iter().filter(|id| highest >= Some(usize::from(id.level))) {
            changed.entry(id).or_insert_with(|| self.levels[usize::from(id.level)].clone());
        }
        changed.into_iter().collect()
    }

    /// The root over all leaves.
    #[must_use]
    pub fn root(&self) -> Digest {
        let peaks = self.levels.iter().rev().flat_map(|tile| {
            let mut rest = tile.as_slice();
            std::iter::from_fn(move || {
                let (peak, after) = rest.split_at(1 << rest.len().checked_ilog2()?);
                rest = after;
                Some(root_of(peak))
            })
        });
        let peaks: Vec<Digest> = peaks.collect();
        fold(peaks.into_iter()).unwrap_or_else(|| root_of(&[]))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree::{consistency_path, inclusion_path, leaf_hash, verify_consistency, verify_inclusion};
    use super::*;
    use crate::digest::sha256;

    fn leaves(range: Range<u64>) -> impl Iterator<Item = Digest> {
        range.map(|at| leaf_hash(&sha256(&[&at.to_be_bytes()])))
    }

    #[test]
    fn an_edge_grows_in_any_steps_and_is_loaded_again_from_its_tiles() {
        let all: Vec<Digest> = leaves(0..70_000).collect();
        let (mut edge, mut tiles) = (Edge::default(), Tiles::default());
        let mut step = 1_u64;
        while edge.size() < 70_000 {
            let next = (edge.size() + step).min(70_000);
            let new = edge.extend(leaves(edge.size()..next));
            tiles.add(new);
            step = step * 3 % 1_021 + 1;
            let size = usize::try_from(next).unwrap();
            if next < 1_200 || next == 70_000 || next.is_multiple_of(7) {
                assert_eq!(edge.root(), root_of(&all[..size]), "{next} leaves");
            }
            assert!(Edge::tiles(next).iter().all(|id| tiles.has(id)));
        }
        assert_eq!(Edge::load(70_000, &loaded(&tiles, 70_000)).unwrap(), edge);
        assert!(Edge::load(70_001, &tiles).is_err());
    }

    /// Only what was asked for.
    fn loaded(tiles: &Tiles, size: u64) -> Tiles {
        let mut some = Tiles::default();
        some.add(Edge::tiles(size).into_iter().map(|id| (id, tiles.0[&id].clone())));
        some
    }

    #[test]
    fn proofs_come_from_few_tiles_at_every_older_size() {
        let all: Vec<Digest> = leaves(0..66_000).collect();
        let (mut edge, mut tiles) = (Edge::default(), Tiles::default());
        tiles.add(edge.extend(all.iter().copied()));
        for size in [1, 2, 255, 256, 257, 511, 65_535, 65_536, 65_537, 65_999, 66_000_u64] {
            let root = tiles.hash(&(0..size)).unwrap();
            assert_eq!(root, root_of(&all[..usize::try_from(size).unwrap()]));
            for leaf in [0, size / 3, size / 2, size - 1] {
                let path = inclusion_path(leaf, size);
                assert!(Tiles::of(&path).len() <= 6, "{:?}", Tiles::of(&path));
                let proof: Vec<Digest> = path.iter().map(|range| tiles.hash(range).unwrap()).collect();
                verify_inclusion(leaf, size, &all[usize::try_from(leaf).unwrap()], &proof, &root).unwrap();
                let old = leaf + 1;
                let old_root = tiles.hash(&(0..old)).unwrap();
                let proof: Vec<Digest> =
                    consistency_path(old, size).iter().map(|range| tiles.hash(range).unwrap()).collect();
                verify_consistency((old, &old_root), (size, &root), &proof).unwrap();
            }
        }
    }
}
