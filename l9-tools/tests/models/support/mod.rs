//! What the tests of model clients share: a provider without manners, and a real
//! engine, since only its governor can issue the permit a call needs.

pub(crate) mod engine;
pub(crate) mod provider;
