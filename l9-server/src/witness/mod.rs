//! Where checkpoints are kept besides: which place the configuration names, and the witness
//! that is reached over HTTP.

mod address;
mod http;
mod place;

pub(crate) use http::{HttpWitness, check};
pub(crate) use place::Place;
