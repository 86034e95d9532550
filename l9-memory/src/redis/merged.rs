//! Pages of two lists in one order.

use l9_core::memory::{Cursor, Order, Page};

use super::memory::FIRST;

/// The items of a page, and what the next one begins after.
pub(super) struct Merged<T> {
    pub(super) items: Vec<T>,
    pub(super) next: Next,
}

/// What the next page begins after.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// There is no more.
    End,
    At(Cursor),
    /// After the first `items` of the page of what lasts, at least one; `otherwise`, if that
    /// has no more.
    After {
        items: usize,
        otherwise: Cursor,
    },
}

/// Puts a page of what lasts and everything short-term after the same place together. `at` tells
/// when an item was said.
pub(super) fn merged<T>(
    long: Page<T>,
    short: Vec<(Cursor, T)>,
    order: Order,
    limit: usize,
    at: impl Fn(&T) -> i64,
) -> Merged<T> {
    let (of_long, long_next) = (long.items.len(), long.next);
    // Those of one time keep their order: sorting is stable, and short-term places are beyond.
    let placed = long.items.into_iter().map(|item| (Cursor { at: at(&item), position: 0 }, item));
    let mut all: Vec<(Cursor, T)> = placed.chain(short).collect();
    match order {
        Order::Oldest => all.sort_by_key(|(cursor, _)| *cursor),
        Order::Newest => all.sort_by_key(|(cursor, _)| std::cmp::Reverse(*cursor)),
    }
    let more = all.len() > limit || long_next.is_some();
    all.truncate(limit);
    let items = all.iter().filter(|(cursor, _)| cursor.position == 0).count();
    let next = match all.last() {
        Some((last, _)) if more && last.position > 0 => Next::At(*last),
        Some((last, _)) if more => match long_next.filter(|_| items == of_long) {
            Some(next) => Next::At(next),
            None => {
                let position = if order == Order::Oldest { FIRST } else { 0 };
                Next::After { items, otherwise: Cursor { at: last.at, position } }
            }
        },
        _ => Next::End,
    };
    Merged { items: all.into_iter().map(|(_, item)| item).collect(), next }
}
