//! Tools of MCP servers, as a client of the Model Context Protocol.
//!
//! A server is an untrusted party: what it lists becomes a tool only after it was bounded,
//! cleaned and recorded, and nothing that it says lowers what a call needs. It never reaches
//! the governor, the journal or another server.

mod connection;
mod frame;
mod handler;
mod http;
mod intake;
mod listing;
mod manifest;
mod name;
mod output;
mod pace;
mod process;
mod sandbox;
mod server;
mod servers;
mod settings;
mod status;
mod stdio;
mod ticket;
mod words;

pub use intake::{Intake, Offer};
pub use servers::Servers;
pub use settings::{Override, Settings};
pub use status::{Refused, State, Status};
