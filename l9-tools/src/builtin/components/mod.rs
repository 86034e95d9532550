//! The tools that run in the wasm sandbox.

mod calc;
mod data;
mod embedded;
mod register;
mod text;
mod time;
mod web;

pub use register::register_all;
