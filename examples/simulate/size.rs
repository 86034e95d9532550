//! How large a world is: a few nodes as the seed draws them, or as many as are asked for, with
//! clients, people and trouble in proportion.

use crate::random::Random;

/// How many nodes one task troubles where there are many.
const TROUBLED: u64 = 8;

/// How many nodes there are for each person where there are many.
const LOOKED_AFTER: u64 = 25;

/// How large a world is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) nodes: u64,
    /// Each has one run carried out.
    pub(crate) clients: u64,
    /// How many look after the runs.
    pub(crate) people: u64,
    /// The most forks.
    pub(crate) forks: u64,
    /// How many troubles befall the nodes side by side.
    pub(crate) troubles: u64,
}

impl Size {
    /// Draws a small world, or one of that many nodes.
    pub(crate) fn draw(random: &mut Random, asked: Option<u64>) -> Self {
        let (nodes, clients) = (random.between(2, 6), random.between(2, 12));
        let small = Self { nodes, clients, people: 2, forks: 4, troubles: 1 };
        let Some(nodes) = asked else { return small };
        Self {
            nodes,
            clients: 2 * nodes,
            people: small.people + nodes / LOOKED_AFTER,
            forks: small.forks + nodes / LOOKED_AFTER,
            troubles: nodes.div_ceil(TROUBLED),
        }
    }
}
