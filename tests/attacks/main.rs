//! The attacks that must fail, each against the real thing and with a control that shows
//! that it would succeed if nothing held it.

mod addresses;
mod audit;
mod clients;
mod files;
mod guest_requests;
mod guests;
mod input;
mod policy;
mod redirects;
mod registry;
mod requests;
mod resources;
mod secrets;
mod setup;
mod world;

#[path = "../support/words.rs"]
mod words;
