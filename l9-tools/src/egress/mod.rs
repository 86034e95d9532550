//! Bytes that leave the machine: the origins they may go to and the client that sends
//! them.
//!
//! Nothing else in this crate may open a connection of its own. Tools with grants of
//! their own get another implementation of the same trait.

mod body;
mod direct;
mod origin;
mod settings;
mod target;

pub(crate) use body::Idle;
pub use direct::Direct;
pub use origin::Origin;
pub use settings::Settings;
