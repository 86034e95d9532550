//! The HTTP interface: server, border, routes and their handlers.

mod admission;
mod app;
mod plans;
mod problem;
mod settings;

mod serve;

mod border;
mod guard;
mod requests;

mod access;
mod body;
mod media;
mod openapi;
mod routes;

mod agents;
mod approvals;
mod audit;
mod curation;
mod erasure;
mod events;
mod evidence;
mod forecast;
mod graph;
mod health;
mod home;
mod lifecycle;
mod memory;
mod nodes;
mod queue;
mod runs;
pub(crate) mod schedules;
mod stop;
mod tools;
mod usage;

pub(crate) use access::{Access, permit};
pub(crate) use admission::Admission;
pub(crate) use app::App;
pub(crate) use approvals::{Decision, upon};
pub(crate) use border::Correlation;
pub(crate) use memory::{Found, find};
pub(crate) use openapi::Operation;
pub(crate) use problem::Problem;
pub(crate) use requests::{Requests, Sender};
pub(crate) use routes::Routes;
pub(crate) use runs::{End, command, words};
pub(crate) use serve::{Serving, Slot, bind, serve};
pub(crate) use settings::Settings;
