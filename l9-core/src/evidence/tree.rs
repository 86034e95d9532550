//! The Merkle tree: hashes (RFC 6962 section 2.1), proofs and their verification
//! (RFC 9162 section 2.1).
//!
//! A range `lo..hi` stands for the subtree over those leaves. What a proof consists of is
//! named by ranges first, so that whoever has the hashes decides how to fetch them.

use std::ops::Range;

use crate::digest::{Digest, sha256};
use crate::{Error, Result};

/// The leaf of a record: SHA-256 over a zero byte and the record's hash.
#[must_use]
pub fn leaf_hash(record: &Digest) -> Digest {
    sha256(&[&[0], record.as_bytes()])
}

/// An inner node: SHA-256 over a one byte and its two children.
#[must_use]
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    sha256(&[&[1], left.as_bytes(), right.as_bytes()])
}

/// The root over these leaves.
#[must_use]
pub fn root_of(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => sha256(&[]),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            node_hash(&root_of(left), &root_of(right))
        }
    }
}

/// Where a subtree of so many leaves, at least two, is divided: the largest power of two
/// below their number.
fn split(range: &Range<u64>) -> u64 {
    let half = (range.end - range.start - 1).checked_ilog2().map_or(0, |log| 1 << log);
    range.start + half
}

/// The subtrees whose hashes prove a leaf's place, from the leaf up.
pub(super) fn inclusion_path(leaf: u64, size: u64) -> Vec<Range<u64>> {
    let mut path = Vec::new();
    let mut range = 0..size;
    while range.end - range.start > 1 {
        let middle = split(&range);
        let (inside, beside) = if leaf < middle {
            (range.start..middle, middle..range.end)
        } else {
            (middle..range.end, range.start..middle)
        };
        path.push(beside);
        range = inside;
    }
    path.reverse();
    path
}

/// The subtrees whose hashes prove that a tree of `size` leaves begins with one of `old`.
pub(super) fn consistency_path(old: u64, size: u64) -> Vec<Range<u64>> {
    let mut path = Vec::new();
    let (mut range, mut whole) = (0..size, true);
    while range.end != old {
        let middle = split(&range);
        if old <= middle {
            path.push(middle..range.end);
            range = range.start..middle;
        } else {
            path.push(range.start..middle);
            (range, whole) = (middle..range.end, false);
        }
    }
    // The verifier has the old root itself.
    if !whole {
        path.push(range);
    }
    path.reverse();
    path
}

/// The subtrees without any of these leaves (in rising order), from left to right: with
/// the leaves themselves they give the root.
pub(super) fn others(size: u64, leaves: &[u64]) -> Vec<Range<u64>> {
    fn walk(range: Range<u64>, leaves: &[u64], out: &mut Vec<Range<u64>>) {
        if leaves.is_empty() {
            return out.push(range);
        }
        if range.end - range.start == 1 {
            return;
        }
        let middle = split(&range);
        let (left, right) = leaves.split_at(leaves.partition_point(|leaf| *leaf < middle));
        walk(range.start..middle, left, out);
        walk(middle..range.end, right, out);
    }
    let mut out = Vec::new();
    if size > 0 {
        walk(0..size, leaves, &mut out);
    }
    out
}

/// The root of a tree of which some leaves are known, in rising order, and the hashes of
/// the largest subtrees without any of them, from left to right.
///
/// # Errors
/// `Corrupt` when leaves are out of order or place, or hashes are missing or left over.
pub fn root_of_some(size: u64, leaves: &[(u64, Digest)], others: &[Digest]) -> Result<Digest> {
    fn walk(range: Range<u64>, leaves: &[(u64, Digest)], others: &mut std::slice::Iter<'_, Digest>) -> Result<Digest> {
        if leaves.is_empty() {
            let next = others.next().copied();
            return next.ok_or_else(|| {
                Error::corrupt(format!("the proof ends before the leaves {} to {}", range.start, range.end - 1))
            });
        }
        if range.end - range.start == 1 {
            return Ok(leaves[0].1);
        }
        let middle = split(&range);
        let (left, right) = leaves.split_at(leaves.partition_point(|(leaf, _)| *leaf < middle));
        Ok(node_hash(&walk(range.start..middle, left, others)?, &walk(middle..range.end, right, others)?))
    }
    if let Some(pair) = leaves.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
        return Err(Error::corrupt(format!("leaf {} stands where one after {} should", pair[1].0, pair[0].0)));
    }
    if let Some((leaf, _)) = leaves.last().filter(|(leaf, _)| *leaf >= size) {
        return Err(Error::corrupt(format!("leaf {leaf} is beyond a tree of {size}")));
    }
    if size == 0 {
        return if others.is_empty() { Ok(root_of(&[])) } else { Err(spare(others.len())) };
    }
    let mut rest = others.iter();
    let root = walk(0..size, leaves, &mut rest)?;
    if rest.len() == 0 { Ok(root) } else { Err(spare(rest.len())) }
}

/// Checks that a leaf stands at its place in a tree (RFC 9162 section 2.1.3.2).
///
/// # Errors
/// `Corrupt` when it does not.
pub fn verify_inclusion(leaf: u64, size: u64, hash: &Digest, proof: &[Digest], root: &Digest) -> Result<()> {
    if leaf >= size {
        return Err(Error::corrupt(format!("leaf {leaf} is beyond a tree of {size}")));
    }
    let (mut node, mut last, mut found) = (leaf, size - 1, *hash);
    for sibling in proof {
        if last == 0 {
            return Err(Error::corrupt(format!("the proof of leaf {leaf} has hashes to spare")));
        }
        if node % 2 == 1 || node == last {
            found = node_hash(sibling, &found);
            while node % 2 == 0 && node != 0 {
                (node, last) = (node / 2, last / 2);
            }
        } else {
            found = node_hash(&found, sibling);
        }
        (node, last) = (node / 2, last / 2);
    }
    if last == 0 && found == *root {
        Ok(())
    } else {
        Err(Error::corrupt(format!("the proof of leaf {leaf} does not lead to the root of the tree of {size}")))
    }
}

/// Checks that a tree begins with an older one (RFC 9162 section 2.1.4.2).
///
/// # Errors
/// `Corrupt` when it does not.
pub fn verify_consistency(
    (old, old_root): (u64, &Digest),
    (size, root): (u64, &Digest),
    proof: &[Digest],
) -> Result<()> {
    let wrong = || Error::corrupt(format!("the tree of {size} does not begin with the tree of {old}"));
    if old > size {
        return Err(Error::corrupt(format!("the tree of {size} is older than that of {old}")));
    }
    if old == size {
        return if proof.is_empty() && old_root == root { Ok(()) } else { Err(wrong()) };
    }
    if old == 0 {
        return if proof.is_empty() && *old_root == root_of(&[]) { Ok(()) } else { Err(wrong()) };
    }
    let own = old.is_power_of_two().then_some(old_root);
    let mut path = own.into_iter().chain(proof);
    let (mut node, mut last) = (old - 1, size - 1);
    while node % 2 == 1 {
        (node, last) = (node / 2, last / 2);
    }
    let first = path.next().ok_or_else(wrong)?;
    let (mut before, mut after) = (*first, *first);
    for sibling in path {
        if last == 0 {
            return Err(wrong());
        }
        if node % 2 == 1 || node == last {
            (before, after) = (node_hash(sibling, &before), node_hash(sibling, &after));
            while node % 2 == 0 && node != 0 {
                (node, last) = (node / 2, last / 2);
            }
        } else {
            after = node_hash(&after, sibling);
        }
        (node, last) = (node / 2, last / 2);
    }
    if last == 0 && before == *old_root && after == *root { Ok(()) } else { Err(wrong()) }
}

fn spare(count: usize) -> Error {
    Error::corrupt(format!("the proof has {count} hashes to spare"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The inputs and roots that implementations of RFC 6962 share.
    const INPUTS: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    fn raw_leaf(data: &[u8]) -> Digest {
        sha256(&[&[0], data])
    }

    fn leaves(count: u64) -> Vec<Digest> {
        (0..count).map(|at| leaf_hash(&sha256(&[&at.to_be_bytes()]))).collect()
    }

    fn hash(leaves: &[Digest], range: &Range<u64>) -> Digest {
        root_of(&leaves[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()])
    }

    #[test]
    fn roots_are_those_of_rfc_6962() {
        let leaves: Vec<Digest> = INPUTS.iter().map(|input| raw_leaf(input)).collect();
        for (count, root) in ROOTS.iter().enumerate() {
            assert_eq!(root_of(&leaves[..count]).to_string(), *root, "{count} leaves");
        }
    }

    #[test]
    fn every_leaf_of_every_small_tree_is_proved_and_nothing_else_is() {
        let all = leaves(40);
        for size in 1..=40_u64 {
            let root = hash(&all, &(0..size));
            for leaf in 0..size {
                let proof: Vec<Digest> = inclusion_path(leaf, size).iter().map(|range| hash(&all, range)).collect();
                let known = all[usize::try_from(leaf).unwrap()];
                verify_inclusion(leaf, size, &known, &proof, &root).unwrap();
                assert!(verify_inclusion(leaf ^ 1, size, &known, &proof, &root).is_err() || size == 1);
                assert!(verify_inclusion(leaf, size + 64, &known, &proof, &root).is_err());
                let longer = [proof.as_slice(), &[known]].concat();
                assert!(verify_inclusion(leaf, size, &known, &longer, &root).is_err());
                for at in 0..proof.len() {
                    let mut other = proof.clone();
                    other[at] = node_hash(&other[at], &known);
                    assert!(verify_inclusion(leaf, size, &known, &other, &root).is_err());
                    other.remove(at);
                    assert!(verify_inclusion(leaf, size, &known, &other, &root).is_err());
                }
            }
        }
    }

    #[test]
    fn every_small_tree_begins_with_every_smaller_one_and_with_no_other() {
        let all = leaves(40);
        for size in 1..=40_u64 {
            let root = hash(&all, &(0..size));
            for old in 1..=size {
                let old_root = hash(&all, &(0..old));
                let proof: Vec<Digest> = consistency_path(old, size).iter().map(|range| hash(&all, range)).collect();
                verify_consistency((old, &old_root), (size, &root), &proof).unwrap();
                let forged = node_hash(&old_root, &root);
                assert!(verify_consistency((old, &forged), (size, &root), &proof).is_err());
                assert!(verify_consistency((old, &old_root), (size, &forged), &proof).is_err());
                assert!(verify_consistency((size + 1, &old_root), (size, &root), &proof).is_err());
                let longer = [proof.as_slice(), &[root]].concat();
                assert!(verify_consistency((old, &old_root), (size, &root), &longer).is_err());
                for at in 0..proof.len() {
                    let mut other = proof.clone();
                    other[at] = forged;
                    assert!(verify_consistency((old, &old_root), (size, &root), &other).is_err());
                }
            }
        }
    }

    proptest! {
        #[test]
        fn some_leaves_and_the_others_hashes_give_the_root(size in 1_u64..300, picks in prop::collection::btree_set(0_u64..300, 0..40)) {
            let all = leaves(size);
            let some: Vec<(u64, Digest)> = picks.into_iter().filter(|leaf| *leaf < size).map(|leaf| (leaf, all[usize::try_from(leaf).unwrap()])).collect();
            let places: Vec<u64> = some.iter().map(|(leaf, _)| *leaf).collect();
            let mut proof: Vec<Digest> = others(size, &places).iter().map(|range| hash(&all, range)).collect();
            let root = hash(&all, &(0..size));
            prop_assert_eq!(root_of_some(size, &some, &proof).unwrap(), root);
            proof.push(root);
            prop_assert!(root_of_some(size, &some, &proof).is_err());
            proof.truncate(proof.len().saturating_sub(2));
            prop_assert!(some.len() as u64 == size || root_of_some(size, &some, &proof).is_err());
        }
    }
}
