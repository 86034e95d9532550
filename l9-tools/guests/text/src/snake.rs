//! Where to cut two sequences so that both halves can be compared by themselves: the middle of
//! the shortest way from one to the other (E. Myers, An O(ND) Difference Algorithm, 1986,
//! section 4b), searched from both ends.
//!
//! A place is `x` lines into `before` and `y` into `after`; its diagonal is `x - y`. Backward,
//! both are counted from the ends.

/// What a comparison may still do, in lines that are looked at.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) left: usize,
}

impl Work {
    /// Takes so much of what is left, if there is as much.
    pub(crate) fn take(&mut self, lines: usize) -> Option<()> {
        self.left = self.left.checked_sub(lines)?;
        Some(())
    }
}

/// A place on a shortest way, at neither of its ends. Both sequences have lines, and neither
/// their first nor their last lines are the same. Nothing if each end is more than `edits`
/// from the middle, or the work is used up.
pub(crate) fn middle(before: &[u32], after: &[u32], edits: usize, work: &mut Work) -> Option<(usize, usize)> {
    let (width, height) = (before.len() as isize, after.len() as isize);
    let most = edits.min((before.len() + after.len()).div_ceil(2)) as isize;
    let forward_equal = |x: isize, y: isize| before[x as usize] == after[y as usize];
    let backward_equal = |x: isize, y: isize| forward_equal(width - 1 - x, height - 1 - y);
    let mut forward = Search::new(width, height, most);
    let mut backward = Search::new(width, height, most);
    // On ways of an odd number of edits the forward search has one more than the other.
    let odd = (width - height) % 2 != 0;
    for edits in 0..=most {
        let met = |diagonal: isize, x: isize| odd && backward.reaches(width - height - diagonal, width - x);
        if let Some((x, y)) = forward.advance(edits, forward_equal, met, work)? {
            return Some((x as usize, y as usize));
        }
        let met = |diagonal: isize, x: isize| !odd && forward.reaches(width - height - diagonal, width - x);
        if let Some((x, y)) = backward.advance(edits, backward_equal, met, work)? {
            return Some(((width - x) as usize, (height - y) as usize));
        }
    }
    None
}

/// How far one gets from an end with so many edits.
struct Search {
    width: isize,
    height: isize,
    /// The furthest `x` on each diagonal, from `-most`; -1 where none is reached.
    furthest: Vec<isize>,
    most: isize,
}

const NOWHERE: isize = -1;

impl Search {
    fn new(width: isize, height: isize, most: isize) -> Self {
        Self { width, height, furthest: vec![NOWHERE; 2 * most as usize + 1], most }
    }

    fn at(&self, diagonal: isize) -> isize {
        self.furthest.get((self.most + diagonal) as usize).copied().unwrap_or(NOWHERE)
    }

    fn set(&mut self, diagonal: isize, x: isize) {
        self.furthest[(self.most + diagonal) as usize] = x;
    }

    fn reaches(&self, diagonal: isize, x: isize) -> bool {
        let reached = self.at(diagonal);
        reached != NOWHERE && reached >= x
    }

    /// One edit further on each diagonal, and on over equal lines; the first place that is `met`.
    /// Nothing at all if the work is used up.
    fn advance(
        &mut self,
        edits: isize,
        equal: impl Fn(isize, isize) -> bool,
        met: impl Fn(isize, isize) -> bool,
        work: &mut Work,
    ) -> Option<Option<(isize, isize)>> {
        // Diagonals beside both sequences lead nowhere; every second one takes an odd number of edits.
        let within = |side: isize| if edits <= side { edits } else { side - (edits - side) % 2 };
        for diagonal in (-within(self.height)..=within(self.width)).step_by(2) {
            work.take(1)?;
            let Some(from) = self.stepped(edits, diagonal) else {
                self.set(diagonal, NOWHERE);
                continue;
            };
            let mut x = from;
            while x < self.width && x - diagonal < self.height && equal(x, x - diagonal) {
                x += 1;
            }
            work.take((x - from) as usize)?;
            self.set(diagonal, x);
            if met(diagonal, x) {
                return Some(Some((x, x - diagonal)));
            }
        }
        Some(None)
    }

    /// The furthest place on a diagonal that one more edit leads to from those beside it.
    fn stepped(&self, edits: isize, diagonal: isize) -> Option<isize> {
        if edits == 0 {
            return Some(0);
        }
        let (above, below) = (self.at(diagonal + 1), self.at(diagonal - 1));
        let down = (above != NOWHERE && above - diagonal <= self.height).then_some(above);
        let right = (below != NOWHERE && below < self.width).then_some(below + 1);
        down.max(right)
    }
}
