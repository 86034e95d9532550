//! Redis's faults as kinds that say what to do about them.

use l9_core::{Error, ErrorKind};
use redis::{ErrorKind as Fault, RedisError, ServerErrorKind};

/// What a fault of the server, or of a cluster, means that is shown as `shown`, never with its
/// password.
pub(super) fn fault(shown: &str, cluster: bool, error: RedisError) -> Error {
    if cluster && is_torn(&error) {
        return torn(shown).caused_by(error);
    }
    let (kind, message) = match (error.kind(), error.code()) {
        (Fault::AuthenticationFailed, _) | (_, Some("NOAUTH" | "WRONGPASS")) => {
            (ErrorKind::Denied, format!("Redis at {shown} refuses the user or password: mend them in REDIS_PASSWORD"))
        }
        (Fault::Server(ServerErrorKind::NoPerm), _) => (
            ErrorKind::Denied,
            format!(
                "Redis at {shown} does not let its user do this: let it run scripts over keys and channels that begin with l9:, and INFO{}",
                if cluster { ", CLUSTER SLOTS and CLUSTER INFO" } else { "" }
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
        (Fault::Server(ServerErrorKind::ResponseError), _) if cluster && is_single(&error) => {
            (ErrorKind::Invalid, format!("Redis at {shown} is no cluster: unset redis.cluster"))
        }
        (Fault::ClusterConnectionNotFound, _) => (
            ErrorKind::Unavailable,
            format!("no server of the Redis Cluster at {shown} can be reached where it says it is"),
        ),
        _ if error.is_timeout() => {
            (ErrorKind::Unavailable, format!("Redis at {shown} did not answer in time: is it overloaded?"))
        }
        (Fault::Io, _) => (ErrorKind::Unavailable, format!("Redis at {shown} cannot be reached: is it running there?")),
        _ => (ErrorKind::Unavailable, format!("Redis at {shown} failed")),
    };
    Error::new(kind, message).caused_by(error)
}

/// Nobody answers for some of a cluster's keys.
pub(super) fn torn(shown: &str) -> Error {
    Error::unavailable(format!(
        "a part of the Redis Cluster at {shown} is served by nobody, or moves: see what `redis-cli cluster info` says"
    ))
}

/// Whether a cluster sends from one server to another, or waits for one that is to serve a slot.
fn is_torn(error: &RedisError) -> bool {
    use ServerErrorKind::{Ask, ClusterDown, MasterDown, Moved, ReadOnly, TryAgain};
    matches!(error.kind(), Fault::Server(Moved | Ask | TryAgain | ReadOnly | ClusterDown | MasterDown))
}

/// Whether a server says that it is of no cluster.
fn is_single(error: &RedisError) -> bool {
    error.detail().is_some_and(|detail| detail.contains("cluster support disabled"))
}

/// No answer came in time.
pub(super) fn late() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}
