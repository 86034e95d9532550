//! Whatever foreign bytes reach L9 through: none of them makes a reader panic, hang or say
//! yes to what it must refuse. Each target runs for a bounded number of cases;
//! `PROPTEST_CASES=100000 cargo test -p l9 --test fuzz NAME` runs one for longer.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod addresses;
mod change;
mod input;
mod manifest;
#[cfg(feature = "mcp")]
mod mcp;
#[cfg(feature = "mcp")]
mod messages;
mod personal;
mod relations;
#[cfg(feature = "mcp")]
mod servers;
mod trace;
