//! Bytes that leave the machine: who may send where, and the one way that they take.
//!
//! Nothing else in this crate may open a connection of its own.

mod address;
mod body;
mod direct;
mod gateway;
mod grant;
mod origin;
mod redirect;
mod settings;
mod target;

/// What L9 calls itself to servers.
pub(crate) const USER_AGENT: &str = concat!("l9/", env!("CARGO_PKG_VERSION"));

pub use address::special;
pub(crate) use body::{Encoded, Idle, NotSent};
pub use direct::Direct;
pub use gateway::{Gateway, Resolver, Rules, System};
#[cfg(feature = "wasm")]
pub(crate) use grant::Tally;
pub use origin::Origin;
pub(crate) use redirect::Redirected;
pub use settings::Settings;
pub(crate) use target::{authority, wire_bytes};
