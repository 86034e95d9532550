//! The attacks that must fail, each against the real thing and with a control that shows
//! that it would succeed if nothing held it.

mod egress;
mod registry;
mod secrets;
mod world;

#[path = "../support/words.rs"]
mod words;
