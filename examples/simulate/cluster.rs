//! The nodes of one world, dead and alive.

use std::sync::{Arc, Mutex, PoisonError};

use l9::Result;
use l9::vault::Vault;

use crate::database::Database;
use crate::node::Node;
use crate::sim::Sim;

/// The nodes.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) sim: Arc<Sim>,
    database: Arc<Database>,
    vault: Arc<dyn Vault>,
    places: Mutex<Vec<Place>>,
}

#[derive(Debug, Default, Clone)]
struct Place {
    /// How many lives began here.
    lives: u32,
    node: Option<Arc<Node>>,
}

impl Cluster {
    pub(crate) fn new(sim: Arc<Sim>, database: Arc<Database>, vault: Arc<dyn Vault>, nodes: usize) -> Self {
        Self { sim, database, vault, places: Mutex::new(vec![Place::default(); nodes]) }
    }

    /// Starts a node in every empty place.
    pub(crate) fn boot_all(&self) -> Result<()> {
        (0..self.with(|places| places.len())).try_for_each(|place| self.boot(place))
    }

    /// Starts a node in a place, if it is empty.
    pub(crate) fn boot(&self, place: usize) -> Result<()> {
        let life = self.with(|places| {
            let place = places.get_mut(place).filter(|place| place.node.is_none())?;
            place.lives += 1;
            Some(place.lives)
        });
        let Some(life) = life else { return Ok(()) };
        let node = Arc::new(Node::boot(&self.sim, &self.database, &self.vault, (place, life))?);
        self.with(|places| places[place].node = Some(node));
        Ok(())
    }

    /// A node that runs, frozen or cut off though it may be, and where it stands.
    pub(crate) fn any(&self) -> Option<(usize, Arc<Node>)> {
        self.with(|places| {
            let running = || places.iter().enumerate().filter_map(|(place, at)| Some((place, at.node.as_ref()?)));
            let count = running().count() as u64;
            let which = (count > 0).then(|| self.sim.draw(|random| random.below(count)))?;
            let (place, node) = running().nth(usize::try_from(which).unwrap_or(0))?;
            Some((place, Arc::clone(node)))
        })
    }

    /// The nodes that run.
    pub(crate) fn all(&self) -> Vec<Arc<Node>> {
        self.with(|places| places.iter().filter_map(|place| place.node.clone()).collect())
    }

    /// The node of that name, if it still lives.
    pub(crate) fn named(&self, owner: &str) -> Option<(usize, Arc<Node>)> {
        self.with(|places| {
            let mut nodes = places.iter().enumerate();
            nodes.find_map(|(place, at)| {
                let node = at.node.as_ref().filter(|node| node.gate.owner == owner)?;
                Some((place, Arc::clone(node)))
            })
        })
    }

    /// Ends the life of a node, and leaves its place empty.
    pub(crate) fn crash(&self, place: usize) {
        if let Some(node) = self.with(|places| places[place].node.take()) {
            node.crash();
        }
    }

    fn with<T>(&self, change: impl FnOnce(&mut Vec<Place>) -> T) -> T {
        change(&mut self.places.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
