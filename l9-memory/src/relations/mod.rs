//! Relations taken from texts: what an entry states of two things, kept as entries that derive
//! from it.
//!
//! Nothing here stands in the way of remembering or of searching. What is taken is never read
//! itself, and goes wherever its origin goes.

mod answer;
mod kept;
mod rules;
mod sentences;
mod words;
mod work;

pub use answer::answered;
pub(crate) use kept::TAKEN;
pub use kept::{Progress, Read, Readable, Reading, Unread};
pub use rules::read;
pub use work::{Reader, Rules, Worker};
