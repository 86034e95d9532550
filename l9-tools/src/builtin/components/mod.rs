//! The tools that run in the wasm sandbox.

mod calc;
#[cfg(feature = "models")]
mod charset;
mod data;
mod embedded;
#[cfg(feature = "models")]
mod fetch;
mod file;
mod pdf;
mod register;
mod text;
mod time;
mod web;

#[cfg(feature = "models")]
pub use fetch::{WebHosts, register_fetch};
pub use file::{FileMount, FileMounts};
pub use register::register_all;
