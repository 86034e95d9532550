//! Where short-term memories are kept: in a Redis server, if the settings name one.

#[cfg(not(feature = "redis"))]
mod none;
#[cfg(feature = "redis")]
mod some;

#[cfg(not(feature = "redis"))]
pub(crate) use none::ShortTerm;
#[cfg(feature = "redis")]
pub(crate) use some::ShortTerm;
