//! Private servers that tests and benchmarks start, on free ports of the loopback and in
//! folders of their own, and that never outlive them; and what stands between them.
//!
//! What is missing on the machine is a failure that names the package, never a skip.

#![expect(clippy::panic, reason = "whoever starts a server is a test, whose failure this is")]

mod ledger;
mod model;
mod postgres;
mod proxy;
mod redis;
mod redis_cluster;

pub use ledger::{Fault, Ledger, Line};
pub use model::sentence_model;
pub use postgres::{Postgres, Stop};
pub use proxy::Proxy;
pub use redis::Redis;
pub use redis_cluster::RedisCluster;
