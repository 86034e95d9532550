//! The judge: keeps its own view of runs, leases and effects, told of every step that
//! changes the database and of every request that leaves, and finds what may never be.

mod bench;
mod conduct;
mod course;
mod effects;
mod forks;
mod invariant;
mod leases;
mod life;
mod plan;
mod stand;
mod undoing;

pub(crate) use bench::Judge;
pub(crate) use effects::Departure;
pub(crate) use invariant::{Broken, Invariant};
pub(crate) use stand::{PlanStand, Stand};
