//! Which lines of two texts differ. Where few do, it is as few as can be (Myers); where many do,
//! lines that both texts have once tell what belongs together, as in a patience diff. The work
//! is bounded: what is left when it is used up differs as a whole.
//!
//! Of the libraries, `similar` bounds its work by a clock, which a component has not, and
//! `imara-diff` goes through blank lines between different ones in quadratic time.

use std::collections::HashMap;
use std::ops::Range;

use crate::snake::{Work, middle};

/// Lines that a comparison looks at. One takes some 170 units of fuel, of which the tool has
/// 5 billion.
pub(crate) const WORK: usize = 15_000_000;
/// What a line costs where those that occur once are looked for.
const SEEN: usize = 4;
/// Edits from either end that are tried before lines that occur once are looked for.
const NEAR: usize = 1_000;

/// Of each line whether it is changed.
pub(crate) struct Changes {
    pub(crate) removed: Vec<bool>,
    pub(crate) added: Vec<bool>,
}

/// A text whose lines that the other one lacks are left out.
struct Side {
    lines: Vec<u32>,
    /// Where they are in the whole text.
    places: Vec<usize>,
    changed: Vec<bool>,
}

impl Side {
    fn new(lines: &[u32], in_other: impl Fn(u32) -> bool) -> Self {
        let shared = lines.iter().enumerate().filter(|(_, line)| in_other(**line));
        let (places, shared) = shared.map(|(at, line)| (at, *line)).unzip();
        Self { lines: shared, places, changed: vec![true; lines.len()] }
    }

    fn keep(&mut self, at: usize) {
        self.changed[self.places[at]] = false;
    }
}

/// Where a line is in a part.
#[derive(Debug, Clone, Copy)]
enum Seen {
    Never,
    Once(usize),
    Often,
}

/// Two texts, and what is known of their lines.
struct Comparison<'a> {
    before: Side,
    after: Side,
    /// Where each line is in the part of either side that is compared; empty between parts.
    seen: Vec<[Seen; 2]>,
    /// Parts that are still to be compared.
    waiting: Vec<(Range<usize>, Range<usize>)>,
    work: &'a mut Work,
}

/// Compares two texts by their lines.
pub(crate) fn compare<'a>(before: &[&'a str], after: &[&'a str], work: &mut Work) -> Changes {
    let mut known = HashMap::new();
    let (before, after) = (numbered(before, &mut known), numbered(after, &mut known));
    let there = |lines: &[u32]| {
        let mut there = vec![false; known.len()];
        lines.iter().for_each(|line| there[*line as usize] = true);
        there
    };
    let (in_before, in_after) = (there(&before), there(&after));
    let before = Side::new(&before, |line| in_after[line as usize]);
    let after = Side::new(&after, |line| in_before[line as usize]);
    let waiting = vec![(0..before.lines.len(), 0..after.lines.len())];
    let mut comparison = Comparison { before, after, seen: vec![[Seen::Never; 2]; known.len()], waiting, work };
    while let Some((before, after)) = comparison.waiting.pop() {
        comparison.part(before, after);
    }
    Changes { removed: comparison.before.changed, added: comparison.after.changed }
}

/// Equal lines have equal numbers.
fn numbered<'a>(lines: &[&'a str], known: &mut HashMap<&'a str, u32>) -> Vec<u32> {
    let number = |line: &&'a str| {
        let next = known.len() as u32;
        *known.entry(line).or_insert(next)
    };
    lines.iter().map(number).collect()
}

impl Comparison<'_> {
    fn part(&mut self, mut before: Range<usize>, mut after: Range<usize>) {
        let same = |own: &Self, x: usize, y: usize| own.before.lines[x] == own.after.lines[y];
        while !before.is_empty() && !after.is_empty() && same(self, before.start, after.start) {
            self.keep(before.start, after.start);
            (before.start, after.start) = (before.start + 1, after.start + 1);
        }
        while !before.is_empty() && !after.is_empty() && same(self, before.end - 1, after.end - 1) {
            (before.end, after.end) = (before.end - 1, after.end - 1);
            self.keep(before.end, after.end);
        }
        if before.is_empty() || after.is_empty() || self.halved(&before, &after, NEAR) {
            return;
        }
        if !self.anchored(&before, &after) {
            self.halved(&before, &after, usize::MAX);
        }
    }

    fn keep(&mut self, x: usize, y: usize) {
        self.before.keep(x);
        self.after.keep(y);
    }

    /// Cuts a part in two, if that takes no more than so many edits from either end.
    fn halved(&mut self, before: &Range<usize>, after: &Range<usize>, edits: usize) -> bool {
        let (own, its) = (&self.before.lines[before.clone()], &self.after.lines[after.clone()]);
        let Some((x, y)) = middle(own, its, edits, self.work) else { return false };
        let (x, y) = (before.start + x, after.start + y);
        self.waiting.push((x..before.end, y..after.end));
        self.waiting.push((before.start..x, after.start..y));
        true
    }

    /// Cuts a part at the lines that both sides have once and in the same order, if there are any.
    fn anchored(&mut self, before: &Range<usize>, after: &Range<usize>) -> bool {
        if self.work.take(SEEN * (before.len() + after.len())).is_none() {
            return false;
        }
        let anchors = rising(&self.once(before, after));
        let (mut x, mut y) = (before.start, after.start);
        for &(own, its) in &anchors {
            self.waiting.push((x..own, y..its));
            self.keep(own, its);
            (x, y) = (own + 1, its + 1);
        }
        if !anchors.is_empty() {
            self.waiting.push((x..before.end, y..after.end));
        }
        !anchors.is_empty()
    }
    /// Where lines are that both sides of a part have once, in the order of `before`.
    fn once(&mut self, before: &Range<usize>, after: &Range<usize>) -> Vec<(usize, usize)> {
        let parts = [(&self.before.lines, before), (&self.after.lines, after)];
        for (side, (lines, part)) in parts.iter().enumerate() {
            for at in (*part).clone() {
                let seen = &mut self.seen[lines[at] as usize][side];
                *seen = if matches!(seen, Seen::Never) { Seen::Once(at) } else { Seen::Often };
            }
        }
        let own = &self.before.lines[before.clone()];
        let both = own.iter().filter_map(|line| match self.seen[*line as usize] {
            [Seen::Once(own), Seen::Once(its)] => Some((own, its)),
            _ => None,
        });
        let both = both.collect();
        for line in own.iter().chain(&self.after.lines[after.clone()]) {
            self.seen[*line as usize] = [Seen::Never; 2];
        }
        both
    }
}

/// The most of these pairs whose second numbers rise as their first ones do.
fn rising(pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
    // Of all rows of one length, that whose last number is the least; and what comes before each.
    let mut lasts: Vec<usize> = Vec::new();
    let mut previous: Vec<Option<usize>> = Vec::new();
    for (at, (_, number)) in pairs.iter().enumerate() {
        let length = lasts.partition_point(|last| pairs[*last].1 < *number);
        previous.push(length.checked_sub(1).map(|shorter| lasts[shorter]));
        match lasts.get_mut(length) {
            Some(last) => *last = at,
            None => lasts.push(at),
        }
    }
    let mut row: Vec<(usize, usize)> =
        std::iter::successors(lasts.last().copied(), |at| previous[*at]).map(|at| pairs[at]).collect();
    row.reverse();
    row
}
