//! Bytes that leave the machine: the origins they may go to and the client that sends
//! them.
//!
//! Nothing else in this crate may open a connection of its own. Tools with grants of
//! their own get another implementation of the same trait.

mod address;
mod body;
mod direct;
mod granted;
mod origin;
mod settings;
mod target;

pub(crate) use body::{Idle, NotSent};
pub use direct::Direct;
pub(crate) use granted::Granted;
pub use origin::Origin;
pub use settings::Settings;
pub(crate) use target::wire_bytes;
