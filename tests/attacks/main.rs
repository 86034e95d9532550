//! The attacks that must fail, each against the real thing and with a control that shows
//! that it would succeed if nothing held it.

mod registry;

#[path = "../support/words.rs"]
mod words;
