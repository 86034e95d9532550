//! Tiles of the audit tree as databases keep them: their hashes side by side.

use l9_core::digest::Digest;
use l9_core::evidence::{Tile, TileId};
use l9_core::{Error, Result};

/// A tile's hashes as they are stored.
pub(crate) fn packed(hashes: &[Digest]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.as_bytes()).copied().collect()
}

/// A tile as it is read.
pub(crate) fn unpacked(id: TileId, bytes: &[u8]) -> Result<Tile> {
    let whole = bytes.len().is_multiple_of(32) && !bytes.is_empty();
    let hashes = bytes.chunks_exact(32).map(Digest::from_slice).collect::<Result<Vec<_>>>()?;
    if whole {
        return Ok((id, hashes));
    }
    Err(Error::corrupt(format!(
        "tile {} of level {} of the audit tree cannot be read: restore it from a backup",
        id.index, id.level
    )))
}
