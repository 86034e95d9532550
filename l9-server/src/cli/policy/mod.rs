//! `policy`: what policies say, and what is wrong with them.

#[cfg(feature = "cedar")]
mod check;
mod command;
#[cfg(feature = "cedar")]
mod diff;
#[cfg(feature = "cedar")]
mod language;
#[cfg(not(feature = "cedar"))]
#[path = "no_language.rs"]
mod language;
mod simulate;

pub(super) use command::policy;
