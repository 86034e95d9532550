//! Redis's faults as kinds that say what to do about them.

use l9_core::{Error, ErrorKind};
use redis::{ErrorKind as Fault, RedisError, ServerErrorKind};

/// What a fault of the server shown as `shown` (never with its password) means.
pub(super) fn fault(shown: &str, error: RedisError) -> Error {
    let (kind, message) = match (error.kind(), error.code()) {
        (Fault::AuthenticationFailed, _) | (_, Some("NOAUTH" | "WRONGPASS")) => {
            (ErrorKind::Denied, format!("Redis at {shown} refuses the user or password: mend them in REDIS_PASSWORD"))
        }
        (Fault::Server(ServerErrorKind::NoPerm), _) => (
            ErrorKind::Denied,
            format!(
                "Redis at {shown} does not let its user do this: let it run scripts over keys and channels that begin with l9:"
            ),
        ),
        (_, Some("OOM")) => (
            ErrorKind::Exhausted,
            format!(
                "Redis at {shown} is full: raise its maxmemory, or lower memory.short_term_ttl_ms and workers.queue_capacity"
            ),
        ),
        (Fault::Server(ServerErrorKind::ReadOnly), _) => {
            (ErrorKind::Denied, format!("Redis at {shown} is a replica: name the primary server in REDIS_URL"))
        }
        (Fault::Server(ServerErrorKind::BusyLoading | ServerErrorKind::MasterDown), _) => {
            (ErrorKind::Unavailable, format!("Redis at {shown} is starting: wait for it"))
        }
        (Fault::Server(ServerErrorKind::Moved | ServerErrorKind::Ask), _) => {
            (ErrorKind::Invalid, format!("Redis at {shown} is of a cluster: set redis.cluster"))
        }
        (Fault::Server(ServerErrorKind::ClusterDown), _) => (
            ErrorKind::Unavailable,
            format!(
                "a part of the Redis Cluster at {shown} is served by nobody: see what `redis-cli cluster info` says"
            ),
        ),
        (Fault::ClusterConnectionNotFound, _) => (
            ErrorKind::Unavailable,
            format!("the Redis Cluster at {shown} cannot be reached: is it running there, and as a cluster?"),
        ),
        _ if error.is_timeout() => {
            (ErrorKind::Unavailable, format!("Redis at {shown} did not answer in time: is it overloaded?"))
        }
        (Fault::Io, _) => (ErrorKind::Unavailable, format!("Redis at {shown} cannot be reached: is it running there?")),
        _ => (ErrorKind::Unavailable, format!("Redis at {shown} failed")),
    };
    Error::new(kind, message).caused_by(error)
}
