//! Questions to people: asked before an effect, decided once, and a decision holds for
//! exactly what was asked. Through the library's front door.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may fail, and waits for real")]

mod asking;
mod refusals;
mod system;
