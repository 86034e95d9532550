//! Policy in Cedar: the defaults say what the baseline says, *ask* is a deny that an approval
//! turns into an allow, and what is wrong with a policy is told with its place.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod check;
mod defaults;
mod engine;
mod support;
mod wrong;
